package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"stile/vpn"
)

var (
	accountsByID = batch{0, `
	SELECT id, email
	FROM account
	WHERE id IN (`, "?", ")"}

	accountsByEmail = batch{0, `
	SELECT id, email
	FROM account
	WHERE email IN (`, "?", ")"}

	importedAccounts = batch{0, `
	SELECT old_id, user_id
	FROM imported_account
	WHERE old_id IN (`, "?", ")"}

	insertAccounts = batch{0, `
	INSERT INTO account (id, name, email, search_text, password_hash, email_verified_at, status, role, locale, created_at, updated_at)
	{{given}}
	VALUES `, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ""}

	insertImported = batch{0, `
	INSERT INTO imported_account (old_id, user_id)
	VALUES `, "(?, ?)", ""}

	tokensByID = batch{0, `
	SELECT id
	FROM token
	WHERE id IN (`, "?", ")"}

	tokensByHash = batch{0, `
	SELECT hash
	FROM token
	WHERE hash IN (`, "?", ")"}

	insertTokens = batch{0, `
	INSERT INTO token (id, user_id, device_id, hash, name, last_used_day, created_at, expires_at, is_imported)
	{{given}}
	VALUES `, "(?, ?, NULL, ?, ?, ?, ?, ?, TRUE)", ""}
)

// userImport is the work of one ImportUsers.
type userImport struct {
	*tx
	emails   map[int64]string   // of the accounts that hold the ids
	ids      map[string]int64   // of the accounts that hold the e-mails
	imported map[int64]int64    // old id → account
	rows     []any              // of account
	links    []any              // of imported_account
	moved    []vpn.ImportedUser // those whose id is taken
}

// ImportUsers implements vpn.ImportStore.
func (s *Store) ImportUsers(ctx context.Context, users []vpn.ImportedUser, dry bool, a vpn.Audit) (outcomes []vpn.ImportOutcome, err error) {
	err = s.write(ctx, "import users", func(t *tx) error {
		w := userImport{tx: t, emails: map[int64]string{}, ids: map[string]int64{}, imported: map[int64]int64{}}
		outcomes = make([]vpn.ImportOutcome, len(users))
		if err := w.look(users); err != nil {
			return err
		}
		for i := range users {
			outcomes[i] = w.decide(&users[i])
		}
		if dry {
			return nil
		}
		return w.write(a)
	})
	return outcomes, err
}

// look reads who holds the ids and the e-mails.
func (w *userImport) look(users []vpn.ImportedUser) error {
	var ids, emails []any
	for i := range users {
		ids, emails = append(ids, users[i].ID), append(emails, users[i].Email)
	}
	note := func(row scanner) error {
		var id int64
		var email string
		err := row.Scan(&id, &email)
		w.emails[id], w.ids[email] = email, id
		return err
	}
	if err := w.eachOf(&accountsByID, nil, ids, note); err != nil {
		return err
	}
	if err := w.eachOf(&accountsByEmail, nil, emails, note); err != nil {
		return err
	}
	return w.importedOf(ids, w.imported)
}

// importedOf notes which accounts old ids became.
func (t *tx) importedOf(oldIDs []any, imported map[int64]int64) error {
	return t.eachOf(&importedAccounts, nil, oldIDs, func(row scanner) error {
		var oldID, userID int64
		err := row.Scan(&oldID, &userID)
		imported[oldID] = userID
		return err
	})
}

// decide says what becomes of an account and notes its rows.
func (w *userImport) decide(u *vpn.ImportedUser) vpn.ImportOutcome {
	holder, isEmailTaken := w.ids[u.Email]
	_, isIDTaken := w.emails[u.ID]
	userID, isImported := w.imported[u.ID]
	switch {
	case isImported && isEmailTaken && holder == userID:
		return vpn.ImportThere
	case isEmailTaken, isImported: // an account of somebody else, or of another application
		return vpn.ImportEmailTaken
	}
	w.ids[u.Email], w.emails[u.ID] = u.ID, u.Email
	if isIDTaken {
		w.moved = append(w.moved, *u)
		return vpn.ImportRenumbered
	}
	w.imported[u.ID] = u.ID
	w.rows = append(append(w.rows, u.ID), accountValues(u, w.tx)...)
	w.links = append(w.links, u.ID, u.ID)
	return vpn.ImportNew
}

// accountValues are the columns of an imported account behind its id.
func accountValues(u *vpn.ImportedUser, t *tx) []any {
	name, created, updated := u.Name, u.CreatedAt, u.UpdatedAt
	if name == "" {
		name, _, _ = strings.Cut(u.Email, "@")
	}
	if created.IsZero() {
		created = t.now
	}
	if updated.IsZero() {
		updated = created
	}
	return []any{
		name, u.Email, strings.ToLower(u.Email + " " + name), u.PasswordHash, millis(u.VerifiedAt), string(vpn.UserActive), "", "ru",
		millis(created), millis(updated),
	}
}

// write makes the accounts.
func (w *userImport) write(a vpn.Audit) error {
	if err := w.execBatch(&insertAccounts, 11, w.rows); err != nil {
		return err
	}
	if len(w.rows) > 0 {
		if err := w.skipIDs("account"); err != nil {
			return err
		}
	}
	for i := range w.moved {
		u := &w.moved[i]
		var id int64
		if err := w.row(`
			INSERT INTO account (name, email, search_text, password_hash, email_verified_at, status, role, locale, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			RETURNING id`, accountValues(u, w.tx)...).Scan(&id); err != nil {
			return err
		}
		w.links = append(w.links, u.ID, id)
	}
	if len(w.links) == 0 {
		return nil
	}
	if err := w.execBatch(&insertImported, 2, w.links); err != nil {
		return err
	}
	return w.audit(a, int64(len(w.links)/2))
}

// skipIDs lets a table go on behind the ids that were given to it.
func (t *tx) skipIDs(table string) error {
	if t.store.dialect.skipIDs == "" {
		return nil
	}
	return t.row(fmt.Sprintf(t.store.dialect.skipIDs, table)).Scan(new(int64))
}

// ImportTokens implements vpn.ImportStore.
func (s *Store) ImportTokens(ctx context.Context, tokens []vpn.ImportedToken, dry bool, a vpn.Audit) (outcomes []vpn.ImportOutcome, err error) {
	err = s.write(ctx, "import tokens", func(t *tx) error {
		outcomes = make([]vpn.ImportOutcome, len(tokens))
		var ids, hashes, users []any
		for i := range tokens {
			ids, hashes, users = append(ids, tokens[i].ID), append(hashes, tokens[i].Hash[:]), append(users, tokens[i].UserID)
		}
		taken, known, owners := map[int64]bool{}, map[vpn.TokenHash]bool{}, map[int64]int64{}
		if err := t.eachOf(&tokensByID, nil, ids, func(row scanner) error {
			id, err := scanID(row)
			taken[id] = true
			return err
		}); err != nil {
			return err
		}
		if err := t.eachOf(&tokensByHash, nil, hashes, func(row scanner) error {
			var hash vpn.TokenHash
			err := row.Scan(sum32{(*[32]byte)(&hash)})
			known[hash] = true
			return err
		}); err != nil {
			return err
		}
		if err := t.importedOf(users, owners); err != nil {
			return err
		}
		var rows []any
		var moved [][]any
		for i := range tokens {
			k := &tokens[i]
			owner, isOwned := owners[k.UserID]
			switch {
			case known[k.Hash]:
				outcomes[i] = vpn.ImportThere
				continue
			case !isOwned && !dry:
				outcomes[i] = vpn.ImportNoUser
				continue
			}
			known[k.Hash] = true
			if taken[k.ID] {
				outcomes[i] = vpn.ImportRenumbered
				moved = append(moved, tokenValues(k, owner))
				continue
			}
			taken[k.ID], outcomes[i] = true, vpn.ImportNew
			rows = append(append(rows, k.ID), tokenValues(k, owner)...)
		}
		if dry || len(rows)+len(moved) == 0 {
			return nil
		}
		return t.writeTokens(rows, moved, a)
	})
	return outcomes, err
}

// tokenValues are the columns of an imported token behind its id.
func tokenValues(k *vpn.ImportedToken, userID int64) []any {
	used := k.LastUsedAt
	if used.IsZero() {
		used = k.CreatedAt
	}
	var day int64
	if !used.IsZero() {
		day = millis(midnight(used))
	}
	return []any{userID, k.Hash[:], k.Name, day, millis(k.CreatedAt), millis(k.ExpiresAt)}
}

// writeTokens makes the tokens: rows with the ids they had, moved with others.
func (t *tx) writeTokens(rows []any, moved [][]any, a vpn.Audit) error {
	if err := t.execBatch(&insertTokens, 7, rows); err != nil {
		return err
	}
	if len(rows) > 0 {
		if err := t.skipIDs("token"); err != nil {
			return err
		}
	}
	for _, values := range moved {
		if _, err := t.exec(`
			INSERT INTO token (user_id, device_id, hash, name, last_used_day, created_at, expires_at, is_imported)
			VALUES ($1, NULL, $2, $3, $4, $5, $6, TRUE)`, values...); err != nil {
			return err
		}
	}
	return t.audit(a, int64(len(rows)/7+len(moved)))
}

// importPage is how many imported accounts one transaction looks at.
const importPage = 5000

// SubscribeImported implements vpn.ImportStore.
func (s *Store) SubscribeImported(ctx context.Context, u vpn.Subscription, after int64, a vpn.Audit) (n, last int64, err error) {
	err = one(s.read(ctx).row(`
		SELECT user_id
		FROM imported_account
		WHERE user_id > $1
		ORDER BY user_id
		LIMIT 1
		OFFSET $2`, after, importPage-1), &last)
	upTo := last
	if errors.Is(err, vpn.ErrNotFound) {
		upTo = math.MaxInt64
	} else if err != nil {
		return 0, 0, err
	}
	err = s.write(ctx, "subscribe imported", func(t *tx) error {
		n, err = t.exec(`
			INSERT INTO subscription (user_id, plan_id, starts_at, expires_at, used_bytes, traffic_resets_at, updated_at, pending_days)
			SELECT i.user_id, CAST($1 AS BIGINT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), 0, CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT)
			FROM imported_account i
			WHERE i.user_id > $7
				AND i.user_id <= $8
				AND NOT EXISTS (SELECT 1 FROM subscription s WHERE s.user_id = i.user_id)
			ORDER BY i.user_id`, u.PlanID, millis(u.StartsAt), millis(u.ExpiresAt), millis(u.TrafficResetsAt), millis(t.now),
			u.PendingDays, after, upTo)
		if err != nil || n == 0 {
			return err
		}
		return t.audit(a, u.PlanID)
	})
	return n, last, err
}

// AdoptToken implements vpn.ImportStore.
func (s *Store) AdoptToken(ctx context.Context, tokenID int64, p vpn.Platform, deviceLimit int, a vpn.Audit) (d vpn.Device, err error) {
	err = s.write(ctx, "adopt token", func(t *tx) error {
		n := vpn.NewSession{ClientID: "token-" + strconv.FormatInt(tokenID, 10), Platform: p, DeviceLimit: deviceLimit}
		if err := one(t.row(`
			SELECT user_id, name
			FROM token
			WHERE id = $1
				AND is_imported`, tokenID), &n.UserID, &n.Name); err != nil {
			return err
		}
		id, _, err := t.takeSlot(n) // by another call for the same token it is held already
		if err != nil {
			return err
		}
		if err := t.change(`
			UPDATE token
			SET device_id = $2
			WHERE id = $1`, tokenID, id); err != nil {
			return err
		}
		d = vpn.Device{
			ID: id, UserID: n.UserID, ClientID: n.ClientID, Name: n.Name, Platform: p, LastSeenDay: midnight(t.now), CreatedAt: t.now,
		}
		a.UserID = n.UserID
		return t.audit(a, id)
	})
	if err != nil {
		return vpn.Device{}, err
	}
	return d, nil
}
