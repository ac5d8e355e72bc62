package store

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"
	"time"

	"stile/vpn"
)

// purposeAnswer seals first answers: they hold voucher codes and reset links, and digests of bodies with passwords.
const purposeAnswer = "stile first_answer.sealed v1"

// answerRow is what a sealed answer is bound to: a number made of who asked and the name.
func answerRow(userID int64, name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatInt(userID, 10) + "\x00" + name)) // never fails
	return int64(h.Sum64())
}

// ClaimAnswer implements vpn.AnswerStore.
func (s *Store) ClaimAnswer(ctx context.Context, userID int64, name string, digest [32]byte, since time.Time) (first vpn.Answer, err error) {
	sealed := s.seal(digest[:], purposeAnswer, answerRow(userID, name))
	err = s.write(ctx, "claim answer", func(t *tx) error {
		first = vpn.Answer{}
		n, err := t.exec(`
			INSERT INTO first_answer (user_id, name, sealed, is_done, created_at)
			VALUES ($1, $2, $3, FALSE, $4)
			ON CONFLICT (user_id, name) DO UPDATE
			SET sealed = excluded.sealed, is_done = FALSE, created_at = excluded.created_at
			WHERE first_answer.created_at < $5`, userID, name, sealed, millis(t.now), millis(since))
		if err != nil {
			return err
		}
		if first.IsMine = n > 0; first.IsMine {
			return nil
		}
		var kept []byte
		if err := one(t.row(`
			SELECT sealed, is_done
			FROM first_answer
			WHERE user_id = $1
				AND name = $2`, userID, name), &kept, &first.IsDone); err != nil {
			return err
		}
		plain, err := s.unseal(kept, purposeAnswer, answerRow(userID, name))
		if err != nil {
			return err
		}
		if len(plain) < len(digest) {
			return errors.New("a first answer is cut off")
		}
		first.IsSame = string(plain[:len(digest)]) == string(digest[:])
		first.Body = plain[len(digest):]
		return nil
	})
	return first, err
}

// KeepAnswer implements vpn.AnswerStore.
func (s *Store) KeepAnswer(ctx context.Context, userID int64, name string, digest [32]byte, body []byte) error {
	plain := append(append(make([]byte, 0, len(digest)+len(body)), digest[:]...), body...)
	sealed := s.seal(plain, purposeAnswer, answerRow(userID, name))
	return s.write(ctx, "keep answer", func(t *tx) error {
		return t.change(`
			UPDATE first_answer
			SET sealed = $3, is_done = TRUE
			WHERE user_id = $1
				AND name = $2`, userID, name, sealed)
	})
}

// DropAnswer implements vpn.AnswerStore.
func (s *Store) DropAnswer(ctx context.Context, userID int64, name string) error {
	return s.write(ctx, "drop answer", func(t *tx) error {
		_, err := t.exec(`
			DELETE FROM first_answer
			WHERE user_id = $1
				AND name = $2
				AND NOT is_done`, userID, name)
		return err
	})
}

// ForgetAnswers implements vpn.AnswerStore.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time) error {
	for {
		rows, err := s.read(ctx).rows(`
			SELECT user_id
			FROM first_answer
			WHERE created_at < $1
			LIMIT 1`, millis(before))
		if old, err := list(rows, err, scanID); err != nil || len(old) == 0 {
			return err // nothing is written for nothing
		}
		var n int64
		if err := s.write(ctx, "forget answers", func(t *tx) error {
			n, err = t.exec(`
				DELETE FROM first_answer
				WHERE (user_id, name) IN (
					SELECT user_id, name
					FROM first_answer
					WHERE created_at < $1
					ORDER BY created_at
					LIMIT $2
					{{skip}}
				)`, millis(before), maxPruned)
			return err
		}); err != nil || n < maxPruned {
			return err
		}
	}
}
