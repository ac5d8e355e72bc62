package store

import (
	"context"
	"time"

	"stile/vpn"
)

// SetPasswordReset implements vpn.ResetStore.
func (s *Store) SetPasswordReset(ctx context.Context, userID int64, hash vpn.TokenHash, expiresAt time.Time, a vpn.Audit) error {
	return s.write(ctx, "set password reset", func(t *tx) error {
		if err := t.lockUser(userID); err != nil {
			return err
		}
		if _, err := t.exec(`
			INSERT INTO password_reset (user_id, hash, expires_at)
			VALUES ($1, $2, $3)
			ON CONFLICT (user_id) DO UPDATE
			SET hash = excluded.hash, expires_at = excluded.expires_at`, userID, hash[:], millis(expiresAt)); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
}

// PasswordReset implements vpn.ResetStore.
func (s *Store) PasswordReset(ctx context.Context, hash vpn.TokenHash) (userID int64, expiresAt time.Time, err error) {
	err = one(s.read(ctx).row(`
		SELECT user_id, expires_at
		FROM password_reset
		WHERE hash = $1`, hash[:]), &userID, instant{&expiresAt})
	return userID, expiresAt, err
}

// RedeemPasswordReset implements vpn.ResetStore.
func (s *Store) RedeemPasswordReset(ctx context.Context, hash vpn.TokenHash, passwordHash string, keepDevices bool, a vpn.Audit) (userID int64, changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "redeem password reset", func(t *tx) error {
		if err := one(t.row(`
			SELECT user_id
			FROM password_reset
			WHERE hash = $1`, hash[:]), &userID); err != nil {
			return err
		}
		if err := t.change(`
			UPDATE account
			SET password_hash = $2, updated_at = $3
			WHERE id = $1`, userID, passwordHash, millis(t.now)); err != nil { // holds the account, before anything else
			return err
		}
		if err := t.change(`
			DELETE FROM password_reset
			WHERE hash = $1
				AND expires_at > $2`, hash[:], millis(t.now)); err != nil {
			return err // used or replaced meanwhile, or too old: undone
		}
		if keepDevices {
			_, err = t.exec(`
				DELETE FROM browser
				WHERE user_id = $1`, userID)
		} else {
			changed, err = t.signOutEverywhere(userID)
		}
		if err != nil {
			return err
		}
		a.ActorID = userID
		return t.audit(a, userID)
	})
	return userID, changed, err
}

// SignOutUser implements vpn.SessionStore.
func (s *Store) SignOutUser(ctx context.Context, userID int64, a vpn.Audit) (changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "sign out user", func(t *tx) error {
		if err := t.change(`
			UPDATE account
			SET updated_at = $2
			WHERE id = $1`, userID, millis(t.now)); err != nil { // holds the row: no sign-in between here and the end
			return err
		}
		if changed, err = t.signOutEverywhere(userID); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
	return changed, err
}
