package store

import (
	"context"
	"time"

	"stile/vpn"
)

// HasOperator implements vpn.SetupStore.
func (s *Store) HasOperator(ctx context.Context) (has bool, err error) {
	err = s.read(ctx).row(`
		SELECT EXISTS (
			SELECT 1
			FROM account
			WHERE role = 'operator'
		)`).Scan(&has)
	return has, err
}

// SetSetupToken implements vpn.SetupStore.
func (s *Store) SetSetupToken(ctx context.Context, hash vpn.TokenHash, expiresAt time.Time) error {
	return s.write(ctx, "set setup token", func(t *tx) error {
		_, err := t.exec(`
			INSERT INTO setup_link (id, hash, expires_at, used_at)
			VALUES (1, $1, $2, 0)
			ON CONFLICT (id) DO UPDATE
			SET hash = excluded.hash, expires_at = excluded.expires_at, used_at = 0`, hash[:], millis(expiresAt))
		return err
	})
}

// HoldsSetup implements vpn.SetupStore.
func (s *Store) HoldsSetup(ctx context.Context, hash vpn.TokenHash) (holds bool, err error) {
	err = s.read(ctx).row(`
		SELECT EXISTS (
			SELECT 1
			FROM setup_link
			WHERE id = 1
				AND hash = $1
				AND used_at = 0
				AND expires_at > $2
				AND NOT EXISTS (SELECT 1 FROM account WHERE role = 'operator')
		)`, hash[:], millis(s.now())).Scan(&holds)
	return holds, err
}

// RedeemSetup implements vpn.SetupStore. The link is dead, too, once there is an operator.
func (s *Store) RedeemSetup(ctx context.Context, hash vpn.TokenHash, u vpn.NewUser, a vpn.Audit) (made vpn.User, err error) {
	u.Role = vpn.RoleOwner
	err = s.write(ctx, "redeem setup", func(t *tx) error {
		if err := t.change(`
			UPDATE setup_link
			SET used_at = $2
			WHERE id = 1
				AND hash = $1
				AND used_at = 0
				AND expires_at > $2
				AND NOT EXISTS (SELECT 1 FROM account WHERE role = 'operator')`, hash[:], millis(t.now)); err != nil {
			return err
		}
		made, err = t.addUser(u, a)
		return err
	})
	if err != nil {
		return vpn.User{}, err
	}
	return made, nil
}
