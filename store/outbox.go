package store

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"time"

	"stile/vpn"
)

// enqueue puts an event in line for each webhook that asks for it. Where none does, it costs a look into an index.
const enqueue = `
	INSERT INTO delivery (webhook_id, event, user_id, subject_id, at, queued_at, due_at, attempts, status, error, is_delivered, ended_at)
	SELECT w.id, CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($4 AS BIGINT), CAST($4 AS BIGINT),
		0, 0, '', FALSE, 0
	FROM webhook w
	WHERE w.is_active
		AND w.id IN (SELECT e.webhook_id FROM webhook_event e WHERE e.pattern IN ($1, $5, '*'))`

// event is the statement that puts one in line.
func event(name string, userID, subjectID int64, at time.Time) statement {
	return statement{text: enqueue, args: []any{name, userID, subjectID, millis(at), patternOf(name)}}
}

// patternOf is the pattern of all events of the same noun.
func patternOf(event string) string {
	for i := range len(event) {
		if event[i] == '.' {
			return event[:i+1] + "*"
		}
	}
	return event
}

// tell puts an event in line that is no audited change.
func (t *tx) tell(name string, userID, subjectID int64) error {
	return t.together(event(name, userID, subjectID, t.now))
}

const deliveryColumns = `
	id, webhook_id, event, user_id, subject_id, at, due_at, attempts, status, error, is_delivered, ended_at`

func scanDelivery(row scanner) (d vpn.Delivery, err error) {
	err = row.Scan(&d.ID, &d.WebhookID, &d.Event, &d.UserID, &d.SubjectID, instant{&d.At}, instant{&d.DueAt}, &d.Attempts, &d.Status,
		&d.Error, &d.IsDelivered, instant{&d.EndedAt})
	return d, err
}

// DueWebhooks implements vpn.OutboxStore.
func (s *Store) DueWebhooks(ctx context.Context) ([]int64, error) {
	rows, err := s.read(ctx).rows(`
		SELECT w.id
		FROM webhook w
		WHERE w.is_active
			AND EXISTS (
				SELECT 1
				FROM delivery d
				WHERE d.webhook_id = w.id
					AND d.due_at > 0
					AND d.due_at <= $1
			)
		ORDER BY w.id`, millis(s.now()))
	return list(rows, err, scanID)
}

// ClaimDeliveries implements vpn.OutboxStore.
func (s *Store) ClaimDeliveries(ctx context.Context, webhookID int64, lease time.Duration, limit int) (claimed []vpn.Delivery, err error) {
	err = s.write(ctx, "claim deliveries", func(t *tx) error {
		rows, err := t.rows(`
			UPDATE delivery
			SET due_at = $3, attempts = attempts + 1
			WHERE id IN (
				SELECT id
				FROM delivery
				WHERE webhook_id = $1
					AND due_at > 0
					AND due_at <= $2
					AND EXISTS (SELECT 1 FROM webhook WHERE webhook.id = $1 AND is_active)
				ORDER BY due_at, id
				LIMIT $4
				{{skip}}
			)
			RETURNING`+deliveryColumns, webhookID, millis(t.now), millis(t.now.Add(lease)), limit)
		claimed, err = list(rows, err, scanDelivery)
		return err
	})
	return claimed, err
}

// EndAttempts implements vpn.OutboxStore.
func (s *Store) EndAttempts(ctx context.Context, attempts []vpn.Attempt) error {
	return s.write(ctx, "end attempts", func(t *tx) error {
		delivered := map[int][]any{} // by status
		var failed []statement
		for _, a := range attempts {
			if a.IsDelivered {
				delivered[a.Status] = append(delivered[a.Status], a.DeliveryID, a.Number)
				continue
			}
			var endedAt int64
			if a.RetryAt.IsZero() {
				endedAt = millis(t.now)
			}
			failed = append(failed, statement{text: `
				UPDATE delivery
				SET due_at = $3, status = $4, error = $5, ended_at = $6
				WHERE id = $1
					AND attempts = $2
					AND due_at > 0`, args: []any{a.DeliveryID, a.Number, millis(a.RetryAt), a.Status, a.Error, endedAt}})
		}
		for status, args := range delivered {
			if err := t.endDelivered(status, args); err != nil {
				return err
			}
		}
		return t.together(failed...)
	})
}

var endDelivered = batch{2, `
	UPDATE delivery
	SET due_at = 0, status = $1, error = '', is_delivered = TRUE, ended_at = $2
	WHERE due_at > 0
		AND (id, attempts) IN (VALUES `, "(CAST(? AS BIGINT), CAST(? AS BIGINT))", ")"}

// endDelivered ends what was delivered with a status: pairs of delivery and attempt.
func (t *tx) endDelivered(status int, pairs []any) error {
	for len(pairs) > 0 {
		rows := min(len(pairs)/2, maxExact)
		args := append([]any{status, millis(t.now)}, pairs[:2*rows]...)
		if _, err := t.exec(t.writer.batchText(&endDelivered, rows), args...); err != nil {
			return err
		}
		pairs = pairs[2*rows:]
	}
	return nil
}

// maxPruned is the most rows that are ended or deleted in one transaction.
const maxPruned = 2000

// PruneDeliveries implements vpn.OutboxStore.
func (s *Store) PruneDeliveries(ctx context.Context, staleAt, oldAt time.Time) (n int64, err error) {
	err = s.write(ctx, "prune deliveries", func(t *tx) error {
		ended, err := t.exec(`
			UPDATE delivery
			SET due_at = 0, ended_at = $2, error = CASE WHEN error = '' THEN 'given up: it waited too long' ELSE error END
			WHERE id IN (
				SELECT id
				FROM delivery
				WHERE due_at > 0
					AND queued_at < $1
				ORDER BY queued_at
				LIMIT $3
				{{skip}}
			)`, millis(staleAt), millis(t.now), maxPruned)
		if err != nil {
			return err
		}
		deleted, err := t.exec(`
			DELETE FROM delivery
			WHERE id IN (
				SELECT id
				FROM delivery
				WHERE ended_at > 0
					AND ended_at < $1
				ORDER BY ended_at
				LIMIT $2
				{{skip}}
			)`, millis(oldAt), maxPruned)
		n = ended + deleted
		return err
	})
	return n, err
}

// SetMailing implements vpn.OutboxStore.
func (s *Store) SetMailing(ctx context.Context, isOn bool) error {
	return s.write(ctx, "set mailing", func(t *tx) error {
		_, err := t.exec(`
			UPDATE webhook
			SET is_active = $2
			WHERE id = $1
				AND is_active <> $2`, vpn.MailWebhook, isOn)
		return err
	})
}

// WantsMail implements vpn.OutboxStore.
func (s *Store) WantsMail(ctx context.Context, userID int64) (wants bool, err error) {
	err = s.read(ctx).row(`
		SELECT NOT EXISTS (
			SELECT 1
			FROM mail_refusal
			WHERE user_id = $1
		)`, userID).Scan(&wants)
	return wants, err
}

// SetWantsMail implements vpn.OutboxStore.
func (s *Store) SetWantsMail(ctx context.Context, userID int64, wants bool) error {
	return s.write(ctx, "set wants mail", func(t *tx) error {
		if err := t.lockUser(userID); err != nil {
			return err
		}
		change := `
			INSERT INTO mail_refusal (user_id)
			VALUES ($1)
			ON CONFLICT (user_id) DO NOTHING`
		if wants {
			change = `
			DELETE FROM mail_refusal
			WHERE user_id = $1`
		}
		_, err := t.exec(change, userID)
		return err
	})
}

// MailToken implements vpn.OutboxStore: the sealed id of the user.
func (s *Store) MailToken(userID int64) string {
	return base64.RawURLEncoding.EncodeToString(s.seal(binary.BigEndian.AppendUint64(nil, uint64(userID)), purposeMail, 0))
}

// maxMailToken bounds what is decoded, in bytes; ours have 48.
const maxMailToken = 100

// MailTokenUser implements vpn.OutboxStore.
func (s *Store) MailTokenUser(token string) (int64, error) {
	if len(token) > maxMailToken {
		return 0, vpn.ErrNotFound
	}
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0, vpn.ErrNotFound
	}
	plain, err := s.unseal(sealed, purposeMail, 0)
	if err != nil || len(plain) != 8 {
		return 0, vpn.ErrNotFound
	}
	return int64(binary.BigEndian.Uint64(plain)), nil
}
