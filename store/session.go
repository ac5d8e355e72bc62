package store

import (
	"context"
	"errors"
	"time"

	"stile/vpn"
)

// sessionOf is what a token stands for, behind the key that it is looked up by.
const sessionOf = ` t.id, t.hash, t.user_id, t.device_id, t.name, t.last_used_day, t.created_at, t.expires_at, t.is_imported, t.scopes,
		d.client_id, d.name, d.platform, d.last_seen_day, d.created_at,` + userColumns + `,` + subscriptionColumns + `,` + planColumns + `
	FROM token t
	JOIN account a ON a.id = t.user_id
	LEFT JOIN device d ON d.id = t.device_id
	LEFT JOIN subscription s ON s.user_id = t.user_id
	LEFT JOIN plan p ON p.id = s.plan_id`

var (
	sessionByID = lookup{`
	SELECT t.id,` + sessionOf + `
	WHERE t.id IN (`, "?", ", ", ")"}

	sessionByHash = lookup{`
	SELECT t.hash,` + sessionOf + `
	WHERE t.hash IN (`, "?", ", ", ")"}
)

// Session implements vpn.SessionStore. An id that is right saves the index of hashes, where each lies somewhere else.
func (s *Store) Session(_ context.Context, id int64, hash vpn.TokenHash) (*vpn.Session, error) {
	if id != 0 {
		v, found, err := s.session(&sessionByID, id)
		if err == nil && found == hash {
			return v, nil
		}
		if err != nil && !errors.Is(err, vpn.ErrNotFound) {
			return nil, err
		}
	}
	v, _, err := s.session(&sessionByHash, hash[:])
	return v, err
}

// session looks a session up by its token's id or hash, and returns the hash.
func (s *Store) session(by *lookup, key any) (*vpn.Session, vpn.TokenHash, error) {
	var v vpn.Session
	var hash vpn.TokenHash
	var scopes string
	t, d := &v.Token, &v.Device
	err := s.lookRow(by, func(row scanner) error {
		fields := append(make([]any, 0, 48),
			nil, &t.ID, sum32{(*[32]byte)(&hash)}, &t.UserID, &t.DeviceID, &t.Name, instant{&t.LastUsedDay}, instant{&t.CreatedAt}, instant{&t.ExpiresAt},
			&t.IsImported, &scopes, &d.ClientID, &d.Name, &d.Platform, instant{&d.LastSeenDay}, instant{&d.CreatedAt})
		fields = append(fields, userFields(&v.User)...)
		return row.Scan(append(fields, entitlementFields(&v.Entitlement)...)...)
	}, key)
	if err != nil {
		return nil, hash, err
	}
	t.Scopes, _ = vpn.ParseScopes(scopes) // a word of a later release is good for nothing here
	if t.DeviceID != 0 {
		d.ID, d.UserID = t.DeviceID, t.UserID
	}
	return &v, hash, nil
}

// SignIn implements vpn.SessionStore.
func (s *Store) SignIn(ctx context.Context, n vpn.NewSession, a vpn.Audit) (in vpn.SignedIn, err error) {
	err = s.write(ctx, "sign in", func(t *tx) error {
		in = vpn.SignedIn{}
		if n.Code.FactorID != 0 { // before the slot: who gives no good code does not learn whether one is free
			if err := t.lockUser(n.UserID); err != nil {
				return err
			}
			if err := t.takeCode(n.Code); err != nil {
				return err
			}
		}
		if in.DeviceID, in.Changed, err = t.takeSlot(n); err != nil {
			return err
		}
		if _, err := t.exec(`
			DELETE FROM token
			WHERE device_id = $1`, in.DeviceID); err != nil {
			return err
		}
		in.TokenID, err = t.addToken(vpn.Token{UserID: n.UserID, DeviceID: in.DeviceID, Name: n.Name}, n.TokenHash)
		if err != nil {
			return err
		}
		a.UserID = n.UserID
		return t.audit(a, in.DeviceID)
	})
	if err != nil {
		return vpn.SignedIn{}, err
	}
	return in, nil
}

// takeSlot returns the device that signs in: the one the client holds, or a new one in a free slot.
func (t *tx) takeSlot(n vpn.NewSession) (deviceID int64, changed []vpn.NodeRev, err error) {
	if err := t.lockUser(n.UserID); err != nil { // another process may sign the same client in
		return 0, nil, err
	}
	today := millis(midnight(t.now))
	err = t.row(`
		UPDATE device
		SET name = $3, platform = $4, last_seen_day = $5
		WHERE user_id = $1
			AND client_id = $2
		RETURNING id`, n.UserID, n.ClientID, n.Name, string(n.Platform), today).Scan(&deviceID)
	if !isNone(err) {
		return deviceID, nil, err
	}
	err = t.countDevice(n)
	if err == vpn.ErrDeviceLimit && n.ReplaceDeviceID != 0 { //nolint:errorlint // made two lines above
		changed, err = t.removeDevice(n.UserID, n.ReplaceDeviceID)
		if err == vpn.ErrNotFound { //nolint:errorlint // never wrapped inside a transaction
			return 0, nil, vpn.ErrDeviceLimit
		}
		if err == nil {
			err = t.countDevice(n)
		}
	}
	if err != nil {
		return 0, nil, err
	}
	err = t.row(`
		INSERT INTO device (user_id, client_id, name, platform, last_seen_day, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		RETURNING id`, n.UserID, n.ClientID, n.Name, string(n.Platform), today, millis(t.now)).Scan(&deviceID)
	return deviceID, changed, err
}

// countDevice takes a slot, if one is free.
func (t *tx) countDevice(n vpn.NewSession) error {
	taken, err := t.exec(`
		UPDATE account
		SET devices = devices + 1
		WHERE id = $1
			AND devices < $2`, n.UserID, n.DeviceLimit)
	if err == nil && taken == 0 {
		return vpn.ErrDeviceLimit
	}
	return err
}

// lockUser holds a user's row for this transaction alone until the commit; vpn.ErrNotFound when there is none.
func (t *tx) lockUser(id int64) error {
	return one(t.row(`
		SELECT id
		FROM account
		WHERE id = $1
		{{lock}}`, id), &id)
}

// addToken inserts a token and returns its id.
func (t *tx) addToken(token vpn.Token, hash vpn.TokenHash) (id int64, err error) {
	var deviceID any // NULL for an API token
	if token.DeviceID != 0 {
		deviceID = token.DeviceID
	}
	err = t.row(`
		INSERT INTO token (user_id, device_id, hash, name, last_used_day, created_at, expires_at, scopes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		RETURNING id`,
		token.UserID, deviceID, hash[:], token.Name, millis(midnight(t.now)), millis(t.now), millis(token.ExpiresAt),
		token.Scopes.String(),
	).Scan(&id)
	return id, t.taken(err)
}

// SignOut implements vpn.SessionStore.
func (s *Store) SignOut(ctx context.Context, tokenID int64, a vpn.Audit) (changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "sign out", func(t *tx) error {
		changed = nil
		var userID, deviceID int64
		if err := one(t.row(`
			SELECT user_id
			FROM token
			WHERE id = $1`, tokenID), &userID); err != nil {
			return err
		}
		if err := t.lockUser(userID); err != nil {
			return err
		}
		if err := one(t.row(`
			SELECT COALESCE(device_id, 0)
			FROM token
			WHERE id = $1`, tokenID), &deviceID); err != nil { // not before: an imported token may just have got its device
			return err
		}
		if deviceID != 0 { // held before the token, as everywhere
			if err := t.holdDevice(userID, deviceID); err != nil {
				return err
			}
		}
		if err := t.change(`
			DELETE FROM token
			WHERE id = $1`, tokenID); err != nil {
			return err
		}
		a.UserID = userID
		if deviceID == 0 {
			return t.audit(a, tokenID)
		}
		if changed, err = t.dropDevice(deviceID); err != nil {
			return err
		}
		return t.audit(a, deviceID)
	})
	return changed, err
}

// AddToken implements vpn.SessionStore.
func (s *Store) AddToken(ctx context.Context, token vpn.Token, hash vpn.TokenHash, limit int, a vpn.Audit) (id int64, err error) {
	token.DeviceID = 0
	err = s.write(ctx, "add token", func(t *tx) error {
		if err := t.lockUser(token.UserID); err != nil {
			return err
		}
		var kept int
		if err := t.row(`
			SELECT COUNT(*)
			FROM token
			WHERE user_id = $1
				AND device_id IS NULL`, token.UserID).Scan(&kept); err != nil {
			return err
		}
		if kept >= limit {
			return vpn.ErrLimit
		}
		if id, err = t.addToken(token, hash); err != nil {
			return err
		}
		return t.audit(a, id)
	})
	return id, err
}

// Tokens implements vpn.SessionStore.
func (s *Store) Tokens(ctx context.Context, userID int64) ([]vpn.Token, error) {
	rows, err := s.read(ctx).rows(`
		SELECT id, user_id, name, last_used_day, created_at, expires_at, scopes
		FROM token
		WHERE user_id = $1
			AND device_id IS NULL
		ORDER BY id`, userID)
	return list(rows, err, func(row scanner) (v vpn.Token, err error) {
		var scopes string
		err = row.Scan(&v.ID, &v.UserID, &v.Name, instant{&v.LastUsedDay}, instant{&v.CreatedAt}, instant{&v.ExpiresAt}, &scopes)
		v.Scopes, _ = vpn.ParseScopes(scopes)
		return v, err
	})
}

// RemoveToken implements vpn.SessionStore.
func (s *Store) RemoveToken(ctx context.Context, userID, tokenID int64, a vpn.Audit) error {
	return s.write(ctx, "remove token", func(t *tx) error {
		if err := t.change(`
			DELETE FROM token
			WHERE id = $1
				AND user_id = $2
				AND device_id IS NULL`, tokenID, userID); err != nil {
			return err
		}
		return t.audit(a, tokenID)
	})
}

// Touch implements vpn.SessionStore.
func (s *Store) Touch(ctx context.Context, tokenID, deviceID int64, today time.Time) error {
	day := millis(midnight(today))
	return s.write(ctx, "touch", func(t *tx) error {
		if _, err := t.exec(`
			UPDATE token
			SET last_used_day = $2
			WHERE id = $1
				AND last_used_day < $2`, tokenID, day); err != nil {
			return err
		}
		_, err := t.exec(`
			UPDATE device
			SET last_seen_day = $2
			WHERE id = $1
				AND last_seen_day < $2`, deviceID, day)
		return err
	})
}
