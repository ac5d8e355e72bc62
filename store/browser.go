package store

import (
	"context"
	"time"

	"stile/vpn"
)

// AddBrowser implements vpn.BrowserStore.
func (s *Store) AddBrowser(ctx context.Context, userID int64, hash vpn.TokenHash, limit int, code vpn.CodeUse, a vpn.Audit) error {
	return s.write(ctx, "add browser", func(t *tx) error {
		if err := t.lockUser(userID); err != nil {
			return err
		}
		if err := t.takeCode(code); err != nil {
			return err
		}
		return t.addBrowser(userID, hash, limit, a)
	})
}

// addBrowser makes a session of a user, whose row is held.
func (t *tx) addBrowser(userID int64, hash vpn.TokenHash, limit int, a vpn.Audit) error {
	var id int64
	if err := t.row(`
		INSERT INTO browser (user_id, hash, last_used_day, created_at)
		VALUES ($1, $2, $3, $4)
		RETURNING id`, userID, hash[:], millis(midnight(t.now)), millis(t.now)).Scan(&id); err != nil {
		return t.taken(err)
	}
	if _, err := t.exec(`
		DELETE FROM browser
		WHERE user_id = $1
			AND id <= (
				SELECT id
				FROM browser
				WHERE user_id = $1
				ORDER BY id DESC
				LIMIT 1 OFFSET $2
			)`, userID, limit); err != nil {
		return err
	}
	return t.audit(a, id)
}

// Browser implements vpn.BrowserStore.
func (s *Store) Browser(ctx context.Context, hash vpn.TokenHash) (b vpn.Browser, u vpn.User, err error) {
	err = one(s.read(ctx).row(`
		SELECT b.id, b.last_used_day, b.created_at,`+userColumns+`
		FROM browser b
		JOIN account a ON a.id = b.user_id
		WHERE b.hash = $1`, hash[:]),
		&b.ID, instant{&b.LastUsedDay}, instant{&b.CreatedAt},
		&u.ID, &u.Name, &u.Email, instant{&u.EmailVerifiedAt}, &u.Status, &u.Role, &u.Locale, instant{&u.CreatedAt}, instant{&u.UpdatedAt})
	b.UserID = u.ID
	return b, u, err
}

// Browsers implements vpn.BrowserStore.
func (s *Store) Browsers(ctx context.Context, userID int64) ([]vpn.Browser, error) {
	rows, err := s.read(ctx).rows(`
		SELECT id, user_id, last_used_day, created_at
		FROM browser
		WHERE user_id = $1
		ORDER BY id`, userID)
	return list(rows, err, func(row scanner) (b vpn.Browser, err error) {
		err = row.Scan(&b.ID, &b.UserID, instant{&b.LastUsedDay}, instant{&b.CreatedAt})
		return b, err
	})
}

// TouchBrowser implements vpn.BrowserStore.
func (s *Store) TouchBrowser(ctx context.Context, id int64, today time.Time) error {
	return s.write(ctx, "touch browser", func(t *tx) error {
		_, err := t.exec(`
			UPDATE browser
			SET last_used_day = $2
			WHERE id = $1
				AND last_used_day < $2`, id, millis(midnight(today)))
		return err
	})
}

// RemoveBrowser implements vpn.BrowserStore.
func (s *Store) RemoveBrowser(ctx context.Context, hash vpn.TokenHash) error {
	return s.write(ctx, "remove browser", func(t *tx) error {
		return t.change(`
			DELETE FROM browser
			WHERE hash = $1`, hash[:])
	})
}

// RemoveBrowsers implements vpn.BrowserStore.
func (s *Store) RemoveBrowsers(ctx context.Context, userID int64, a vpn.Audit) error {
	return s.write(ctx, "remove browsers", func(t *tx) error {
		if err := t.number(); err != nil { // there may be none
			return err
		}
		if _, err := t.exec(`
			DELETE FROM browser
			WHERE user_id = $1`, userID); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
}
