package store

import (
	"context"
	"strings"

	"stile/vpn"
)

const userColumns = `
	a.id, a.name, a.email, a.email_verified_at, a.status, a.role, a.locale, a.created_at, a.updated_at`

// userFields are the places for userColumns.
func userFields(u *vpn.User) []any {
	return []any{
		&u.ID, &u.Name, &u.Email, instant{&u.EmailVerifiedAt}, &u.Status, &u.Role, &u.Locale, instant{&u.CreatedAt}, instant{&u.UpdatedAt},
	}
}

func scanUser(row scanner) (vpn.User, error) {
	var u vpn.User
	err := row.Scan(userFields(&u)...)
	if isNone(err) {
		err = vpn.ErrNotFound
	}
	return u, err
}

// AddUser implements vpn.UserStore.
func (s *Store) AddUser(ctx context.Context, u vpn.NewUser, a vpn.Audit) (made vpn.User, err error) {
	err = s.write(ctx, "add user", func(t *tx) error {
		made, err = t.addUser(u, a)
		return err
	})
	return made, err
}

func (t *tx) addUser(u vpn.NewUser, a vpn.Audit) (vpn.User, error) {
	made := vpn.User{
		Name: u.Name, Email: u.Email, Status: vpn.UserActive, Role: u.Role, Locale: u.Locale, CreatedAt: t.now, UpdatedAt: t.now,
	}
	if u.Verified {
		made.EmailVerifiedAt = t.now
	}
	err := t.row(`
		INSERT INTO account (name, email, search_text, password_hash, email_verified_at, status, role, locale, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
		RETURNING id`,
		u.Name, u.Email, strings.ToLower(u.Email+" "+u.Name), u.PasswordHash, millis(made.EmailVerifiedAt), string(made.Status),
		string(u.Role), u.Locale, millis(t.now),
	).Scan(&made.ID)
	if err != nil {
		return vpn.User{}, t.taken(err)
	}
	return made, t.audit(a, made.ID)
}

// User implements vpn.UserStore.
func (s *Store) User(ctx context.Context, id int64) (vpn.User, error) {
	return scanUser(s.read(ctx).row(`
		SELECT`+userColumns+`
		FROM account a
		WHERE a.id = $1`, id))
}

// UserByEmail implements vpn.UserStore.
func (s *Store) UserByEmail(ctx context.Context, email string) (vpn.User, error) {
	return scanUser(s.read(ctx).row(`
		SELECT`+userColumns+`
		FROM account a
		WHERE a.email = $1`, email))
}

// Credentials implements vpn.UserStore.
func (s *Store) Credentials(ctx context.Context, email string) (vpn.Credentials, error) {
	var c vpn.Credentials
	err := one(s.read(ctx).row(`
		SELECT id, status, password_hash
		FROM account
		WHERE email = $1`, email), &c.UserID, &c.Status, &c.PasswordHash)
	return c, err
}

// SetPasswordHash implements vpn.UserStore.
func (s *Store) SetPasswordHash(ctx context.Context, userID int64, hash string, signOut bool, a vpn.Audit) (changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "set password", func(t *tx) error {
		changed = nil
		if err := t.change(`
			UPDATE account
			SET password_hash = $2, updated_at = $3
			WHERE id = $1`, userID, hash, millis(t.now)); err != nil {
			return err
		}
		if signOut {
			if changed, err = t.signOutEverywhere(userID); err != nil {
				return err
			}
		}
		return t.audit(a, userID)
	})
	return changed, err
}

// Rehash implements vpn.UserStore.
func (s *Store) Rehash(ctx context.Context, userID int64, old, hash string, a vpn.Audit) error {
	return s.write(ctx, "rehash password", func(t *tx) error {
		if err := t.change(`
			UPDATE account
			SET password_hash = $3
			WHERE id = $1
				AND password_hash = $2`, userID, old, hash); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
}

// signOutEverywhere deletes all tokens, browsers and devices of a user, whose row the transaction holds.
func (t *tx) signOutEverywhere(userID int64) ([]vpn.NodeRev, error) {
	rows, err := t.rows(`
		SELECT id
		FROM device
		WHERE user_id = $1
		ORDER BY id
		{{lock}}`, userID)
	devices, err := list(rows, err, scanID)
	if err != nil {
		return nil, err
	}
	changed, err := t.removeDeviceKeys(devices)
	if err != nil {
		return nil, err
	}
	for _, clear := range []string{
		"DELETE FROM token WHERE user_id = $1",
		"DELETE FROM browser WHERE user_id = $1",
		"DELETE FROM password_reset WHERE user_id = $1",
		"DELETE FROM device WHERE user_id = $1",
		"UPDATE account SET devices = 0 WHERE id = $1",
	} {
		if _, err := t.exec(clear, userID); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

func scanID(row scanner) (id int64, err error) {
	err = row.Scan(&id)
	return id, err
}

// SetRole implements vpn.UserStore.
func (s *Store) SetRole(ctx context.Context, userID int64, role vpn.Role, a vpn.Audit) error {
	return s.write(ctx, "set role", func(t *tx) error {
		if err := t.changeOwner(userID, `
			UPDATE account
			SET role = $2, updated_at = $3
			WHERE id = $1
				AND ($2 = 'operator' OR`+othersOwn+`)`, userID, string(role), millis(t.now)); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
}

// othersOwn is a condition of changeOwner: account $1 is not the last active owner.
const othersOwn = `
	role <> 'operator'
	OR status <> 'active'
	OR EXISTS (
		SELECT 1
		FROM account AS other
		WHERE other.role = 'operator'
			AND other.status = 'active'
			AND other.id <> $1
	)`

// changeOwner runs a statement on an account that changes nothing if no owner would be left. The owners are held first,
// in the order of their ids: two processes may each take the other's last one away.
func (t *tx) changeOwner(userID int64, query string, args ...any) error {
	rows, err := t.rows(`
		SELECT id
		FROM account
		WHERE role = 'operator'
		ORDER BY id
		{{lock}}`)
	if _, err := list(rows, err, scanID); err != nil {
		return err
	}
	err = t.change(query, args...)
	if err != vpn.ErrNotFound { //nolint:errorlint // never wrapped inside a transaction
		return err
	}
	if err := t.lockUser(userID); err != nil {
		return err
	}
	return vpn.ErrLastOwner
}

// SetUserStatus implements vpn.UserStore.
func (s *Store) SetUserStatus(ctx context.Context, userID int64, status vpn.UserStatus, a vpn.Audit) error {
	return s.write(ctx, "set user status", func(t *tx) error {
		if err := t.changeOwner(userID, `
			UPDATE account
			SET status = $2, keys_due = TRUE, updated_at = $3
			WHERE id = $1
				AND ($2 = 'active' OR`+othersOwn+`)`, userID, string(status), millis(t.now)); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
}

// RemoveUser implements vpn.UserStore.
func (s *Store) RemoveUser(ctx context.Context, userID int64, a vpn.Audit) (changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "remove user", func(t *tx) error {
		if err := t.changeOwner(userID, `
			UPDATE account
			SET updated_at = $2
			WHERE id = $1
				AND (`+othersOwn+`)`, userID, millis(t.now)); err != nil { // holds the row: no sign-in between here and the end
			return err
		}
		if changed, err = t.signOutEverywhere(userID); err != nil {
			return err
		}
		if err := t.change(`
			DELETE FROM account
			WHERE id = $1`, userID); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
	return changed, err
}
