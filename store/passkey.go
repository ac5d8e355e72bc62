package store

import (
	"context"
	"encoding/binary"
	"time"

	"stile/vpn"
)

// Challenge implements vpn.PasskeyStore: sealed, whose it is and until when it holds.
func (s *Store) Challenge(userID int64, until time.Time) []byte {
	plain := binary.BigEndian.AppendUint64(nil, uint64(userID))
	return s.seal(binary.BigEndian.AppendUint64(plain, uint64(until.UnixMilli())), purposeChallenge, 0)
}

// ChallengeOf implements vpn.PasskeyStore.
func (s *Store) ChallengeOf(challenge []byte) (userID int64, until time.Time, err error) {
	plain, err := s.unseal(challenge, purposeChallenge, 0)
	if err != nil || len(plain) != 16 {
		return 0, time.Time{}, vpn.ErrNotFound
	}
	return int64(binary.BigEndian.Uint64(plain)), time.UnixMilli(int64(binary.BigEndian.Uint64(plain[8:]))).UTC(), nil
}

const passkeyColumns = `
	p.id, p.user_id, p.credential, p.public_key, p.sign_count, p.is_synced, p.name, p.last_used_day, p.created_at`

// passkeyFields are the places for passkeyColumns.
func passkeyFields(p *vpn.Passkey) []any {
	return []any{
		&p.ID, &p.UserID, &p.Credential, &p.PublicKey, &p.SignCount, &p.IsSynced, &p.Name, instant{&p.LastUsedDay}, instant{&p.CreatedAt},
	}
}

// Passkeys implements vpn.PasskeyStore.
func (s *Store) Passkeys(ctx context.Context, userID int64) ([]vpn.Passkey, error) {
	rows, err := s.read(ctx).rows(`
		SELECT`+passkeyColumns+`
		FROM passkey p
		WHERE p.user_id = $1
		ORDER BY p.id`, userID)
	return list(rows, err, func(row scanner) (p vpn.Passkey, err error) {
		err = row.Scan(passkeyFields(&p)...)
		return p, err
	})
}

// Passkey implements vpn.PasskeyStore.
func (s *Store) Passkey(ctx context.Context, credential []byte) (p vpn.Passkey, status vpn.UserStatus, err error) {
	err = one(s.read(ctx).row(`
		SELECT`+passkeyColumns+`, a.status
		FROM passkey p
		JOIN account a ON a.id = p.user_id
		WHERE p.credential = $1`, credential), append(passkeyFields(&p), &status)...)
	return p, status, err
}

// AddPasskey implements vpn.PasskeyStore.
func (s *Store) AddPasskey(ctx context.Context, p vpn.Passkey, u vpn.PasskeyUse, limit int, a vpn.Audit) error {
	return s.write(ctx, "add passkey", func(t *tx) error {
		if err := t.lockUser(p.UserID); err != nil {
			return err
		}
		if err := t.takeChallenge(u); err != nil {
			return err
		}
		var kept int
		if err := t.row(`
			SELECT COUNT(*)
			FROM passkey
			WHERE user_id = $1`, p.UserID).Scan(&kept); err != nil {
			return err
		}
		if kept >= limit {
			return vpn.ErrLimit
		}
		if _, err := t.exec(`
			INSERT INTO passkey (user_id, credential, public_key, sign_count, is_synced, name, last_used_day, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			p.UserID, p.Credential, p.PublicKey, int64(p.SignCount), p.IsSynced, p.Name, millis(midnight(t.now)), millis(t.now)); err != nil {
			return t.taken(err)
		}
		return t.audit(a, p.UserID)
	})
}

// takeChallenge takes a challenge, which nobody has before; vpn.ErrTaken otherwise. Those that are too old go.
func (t *tx) takeChallenge(u vpn.PasskeyUse) error {
	if _, err := t.exec(`
		DELETE FROM answered_challenge
		WHERE expires_at <= $1`, millis(t.now)); err != nil {
		return err
	}
	taken, err := t.exec(`
		INSERT INTO answered_challenge (hash, expires_at)
		VALUES ($1, $2)
		ON CONFLICT (hash) DO NOTHING`, u.Challenge[:], millis(u.ChallengeUntil))
	if err == nil && taken == 0 {
		return vpn.ErrTaken
	}
	return err
}

// UsePasskey implements vpn.PasskeyStore. A counter that does not rise means that there are two of the authenticator
// (WebAuthn, section 6.1.1); those without one always say 0.
func (s *Store) UsePasskey(ctx context.Context, u vpn.PasskeyUse, browser vpn.TokenHash, limit int, a vpn.Audit) error {
	return s.write(ctx, "use passkey", func(t *tx) error {
		if err := t.lockUser(u.UserID); err != nil {
			return err
		}
		if err := t.takeChallenge(u); err != nil {
			return err
		}
		if err := t.change(`
			UPDATE passkey
			SET sign_count = $2, last_used_day = $3
			WHERE id = $1
				AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))`, u.ID, int64(u.SignCount), millis(midnight(t.now))); err != nil {
			return err
		}
		return t.addBrowser(u.UserID, browser, limit, a)
	})
}

// RenamePasskey implements vpn.PasskeyStore.
func (s *Store) RenamePasskey(ctx context.Context, userID, id int64, name string, a vpn.Audit) error {
	return s.write(ctx, "rename passkey", func(t *tx) error {
		if err := t.change(`
			UPDATE passkey
			SET name = $3
			WHERE id = $1
				AND user_id = $2`, id, userID, name); err != nil {
			return err
		}
		return t.audit(a, id)
	})
}

// RemovePasskey implements vpn.PasskeyStore.
func (s *Store) RemovePasskey(ctx context.Context, userID, id int64, a vpn.Audit) error {
	return s.write(ctx, "remove passkey", func(t *tx) error {
		if err := t.change(`
			DELETE FROM passkey
			WHERE id = $1
				AND user_id = $2`, id, userID); err != nil {
			return err
		}
		return t.audit(a, id)
	})
}

// RemovePasskeys implements vpn.PasskeyStore.
func (s *Store) RemovePasskeys(ctx context.Context, userID int64, a vpn.Audit) error {
	return s.write(ctx, "remove passkeys", func(t *tx) error {
		if err := t.change(`
			DELETE FROM passkey
			WHERE user_id = $1`, userID); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
}
