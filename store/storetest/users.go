package storetest

import (
	"errors"
	"slices"
	"strings"

	"stile/vpn"
)

func users(w *world) {
	n := vpn.NewUser{Name: "Анна", Email: "anna@example.com", PasswordHash: "phc", Role: vpn.RoleOwner, Locale: "en", Verified: true}
	made, err := w.store.AddUser(w.ctx, n, by("user.add"))
	w.ok(err)
	if made.ID <= 0 || made.EmailVerifiedAt.IsZero() || made.CreatedAt.IsZero() || made.UpdatedAt.IsZero() {
		w.Fatalf("incomplete: %+v", made)
	}
	is(w, "made", made, vpn.User{
		ID: made.ID, Name: n.Name, Email: n.Email, EmailVerifiedAt: made.EmailVerifiedAt, Status: vpn.UserActive, Role: n.Role,
		Locale: n.Locale, CreatedAt: made.CreatedAt, UpdatedAt: made.UpdatedAt,
	})
	byID, err := w.store.User(w.ctx, made.ID)
	w.ok(err)
	is(w, "by id", byID, made)
	byEmail, err := w.store.UserByEmail(w.ctx, n.Email)
	w.ok(err)
	is(w, "by e-mail", byEmail, made)

	_, err = w.store.AddUser(w.ctx, n, by("user.add"))
	w.is(err, vpn.ErrTaken)
	_, err = w.store.User(w.ctx, made.ID+1000)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.UserByEmail(w.ctx, "nobody@example.com")
	w.is(err, vpn.ErrNotFound)
}

// is fails unless err is the wanted one.
func (w *world) is(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got error %v, want %v", err, want)
	}
}

func userPages(w *world) {
	var ids []int64
	for _, name := range []string{"Анна", "Boris", "100% Vera", "under_score", `back\slash`} {
		u, err := w.store.AddUser(w.ctx, vpn.NewUser{Name: name, Email: strings.ToLower(name) + "@example.com"}, by("user.add"))
		w.ok(err)
		ids = append(ids, u.ID)
	}
	var seen []int64
	filter := vpn.UserFilter{Limit: 2}
	for range 3 {
		page, err := w.store.Users(w.ctx, filter)
		w.ok(err)
		for _, u := range page.Users {
			seen = append(seen, u.ID)
		}
		filter.After = page.Next
	}
	is(w, "after the last page", filter.After, 0)
	if !slices.Equal(seen, ids) {
		w.Fatalf("pages hold %v, want %v", seen, ids)
	}
	for search, want := range map[string]int{"АНН": 0, "boris@": 1, "%": 2, "_": 3, `\`: 4} {
		page, err := w.store.Users(w.ctx, vpn.UserFilter{Search: search, Limit: 10})
		w.ok(err)
		if len(page.Users) != 1 || page.Users[0].ID != ids[want] || page.Next != 0 {
			w.Fatalf("search %q: %+v", search, page)
		}
	}
}

func credentials(w *world) {
	u, err := w.store.AddUser(w.ctx, vpn.NewUser{Email: "a@example.com", PasswordHash: "first"}, by("user.add"))
	w.ok(err)
	c, err := w.store.Credentials(w.ctx, "a@example.com")
	w.ok(err)
	is(w, "credentials", c, vpn.Credentials{UserID: u.ID, Status: vpn.UserActive, PasswordHash: "first"})
	_, err = w.store.Credentials(w.ctx, "b@example.com")
	w.is(err, vpn.ErrNotFound)

	_, kept := w.signIn(u.ID)
	changed, err := w.store.SetPasswordHash(w.ctx, u.ID, "second", false, by("user.password"))
	w.ok(err)
	is(w, "changed nodes", len(changed), 0)
	_, err = w.store.Session(w.ctx, 0, kept)
	w.ok(err)
	w.ok(w.store.SetUserStatus(w.ctx, u.ID, vpn.UserBlocked, by("user.block")))
	c, err = w.store.Credentials(w.ctx, "a@example.com")
	w.ok(err)
	is(w, "credentials", c, vpn.Credentials{UserID: u.ID, Status: vpn.UserBlocked, PasswordHash: "second"})

	// A rehash knows which hash it replaces.
	w.is(w.store.Rehash(w.ctx, u.ID, "first", "stale", by("user.rehash")), vpn.ErrNotFound)
	w.ok(w.store.Rehash(w.ctx, u.ID, "second", "same password", by("user.rehash")))
	c, err = w.store.Credentials(w.ctx, "a@example.com")
	w.ok(err)
	is(w, "hash", c.PasswordHash, "same password")

	server := w.server()
	in, gone := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	changed, err = w.store.SetPasswordHash(w.ctx, u.ID, "third", true, by("user.password"))
	w.ok(err)
	if !slices.Equal(changed, []vpn.NodeRev{{NodeID: server.ID, Rev: 2}}) {
		w.Fatalf("changed nodes: %v", changed)
	}
	for _, token := range []vpn.TokenHash{kept, gone} {
		_, err = w.store.Session(w.ctx, 0, token)
		w.is(err, vpn.ErrNotFound)
	}
	_, err = w.store.Key(w.ctx, key.ID)
	w.is(err, vpn.ErrNotFound)
	w.slotsAreFree(u.ID, 3)

	_, err = w.store.SetPasswordHash(w.ctx, u.ID+1000, "x", true, by("user.password"))
	w.is(err, vpn.ErrNotFound)
	w.is(w.store.SetUserStatus(w.ctx, u.ID+1000, vpn.UserBlocked, by("user.block")), vpn.ErrNotFound)
}

func removedUser(w *world) {
	u, other, server := w.user(), w.user(), w.server()
	in, token := w.signIn(u.ID)
	otherIn, _ := w.signIn(other.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	otherKey := w.issue(w.newKey(other.ID, otherIn.DeviceID, server.ID))
	w.report(server.ID, 1, 1, vpn.UsageEntry{KeyID: key.ID, Up: 1})

	changed, err := w.store.RemoveUser(w.ctx, u.ID, by("user.remove"))
	w.ok(err)
	if !slices.Equal(changed, []vpn.NodeRev{{NodeID: server.ID, Rev: 3}}) {
		w.Fatalf("changed nodes: %v", changed)
	}
	_, err = w.store.User(w.ctx, u.ID)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.Session(w.ctx, 0, token)
	w.is(err, vpn.ErrNotFound)
	days, err := w.store.UserUsage(w.ctx, u.ID, 10)
	w.ok(err)
	is(w, "days of usage", len(days), 0)
	_, err = w.store.Key(w.ctx, otherKey.ID)
	w.ok(err)

	// The tombstone outlives the user, until the node has it.
	changes, _, err := w.store.NodeChanges(w.ctx, server.ID, 2, 10)
	w.ok(err)
	if len(changes) != 1 || changes[0] != (vpn.NodeKey{ID: key.ID, Rev: 3, IsRemoved: true}) {
		w.Fatalf("changes: %+v", changes)
	}
	w.digestHolds(server.ID)
	// What the node still reports of the key is nobody's.
	w.report(server.ID, 1, 2, vpn.UsageEntry{KeyID: key.ID, Up: 1})

	_, err = w.store.RemoveUser(w.ctx, u.ID, by("user.remove"))
	w.is(err, vpn.ErrNotFound)
	// A later user is somebody else.
	if later := w.user(); later.ID == u.ID {
		w.Fatalf("id %d came back", u.ID)
	}
}
