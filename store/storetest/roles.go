package storetest

import (
	"errors"

	"stile/vpn"
)

// owner makes an account that may do everything.
func (w *world) owner() vpn.User {
	w.Helper()
	u := w.user()
	w.ok(w.store.SetRole(w.ctx, u.ID, vpn.RoleOwner, by("user.role_owner")))
	return u
}

func roles(w *world) {
	u := w.user()
	for _, role := range []vpn.Role{vpn.RoleViewer, vpn.RoleSupport, vpn.RoleAdmin, ""} {
		w.ok(w.store.SetRole(w.ctx, u.ID, role, by("user.role")))
		got, err := w.store.User(w.ctx, u.ID)
		w.ok(err)
		is(w, "role", got.Role, role)
	}
	w.is(w.store.SetRole(w.ctx, u.ID+1000, vpn.RoleAdmin, by("user.role")), vpn.ErrNotFound)

	// The last owner stays one, active and there.
	last := w.owner()
	w.is(w.store.SetRole(w.ctx, last.ID, vpn.RoleAdmin, by("user.role")), vpn.ErrLastOwner)
	w.is(w.store.SetUserStatus(w.ctx, last.ID, vpn.UserBlocked, by("user.blocked")), vpn.ErrLastOwner)
	_, err := w.store.RemoveUser(w.ctx, last.ID, by("user.remove"))
	w.is(err, vpn.ErrLastOwner)
	w.ok(w.store.SetRole(w.ctx, last.ID, vpn.RoleOwner, by("user.role")))
	w.ok(w.store.SetUserStatus(w.ctx, last.ID, vpn.UserActive, by("user.active")))

	// One who is blocked does not count; others may go once there are two.
	second := w.owner()
	w.ok(w.store.SetUserStatus(w.ctx, second.ID, vpn.UserBlocked, by("user.blocked")))
	w.is(w.store.SetRole(w.ctx, last.ID, "", by("user.role")), vpn.ErrLastOwner)
	w.ok(w.store.SetUserStatus(w.ctx, second.ID, vpn.UserActive, by("user.active")))
	_, err = w.store.RemoveUser(w.ctx, last.ID, by("user.remove"))
	w.ok(err)
	w.is(w.store.SetRole(w.ctx, second.ID, "", by("user.role")), vpn.ErrLastOwner)
}

// lastOwnerUnderLoad lets every owner go at once: one of them stays.
func lastOwnerUnderLoad(w *world) {
	owners := make([]vpn.User, 16)
	for i := range owners {
		owners[i] = w.owner()
	}
	stayed := 0
	for _, err := range together(len(owners), func(i int) (err error) {
		switch i % 3 {
		case 0:
			err = w.any().SetRole(w.ctx, owners[i].ID, vpn.RoleViewer, by("user.role"))
		case 1:
			err = w.any().SetUserStatus(w.ctx, owners[i].ID, vpn.UserBlocked, by("user.blocked"))
		default:
			_, err = w.any().RemoveUser(w.ctx, owners[i].ID, by("user.remove"))
		}
		return err
	}) {
		if errors.Is(err, vpn.ErrLastOwner) {
			stayed++
		} else {
			w.ok(err)
		}
	}
	is(w, "stayed", stayed, 1)
}

func tokenScopes(w *world) {
	u := w.user()
	for i, scopes := range []vpn.Scopes{0, vpn.ScopeAccount, vpn.ScopeAdminRead, vpn.ScopeAccount | vpn.ScopeAdminRead | vpn.ScopeAdminWrite} {
		_, err := w.store.AddToken(w.ctx, vpn.Token{UserID: u.ID, Name: "t", Scopes: scopes}, hash(i), 100, by("token.add"))
		w.ok(err)
		s, err := w.store.Session(w.ctx, 0, hash(i))
		w.ok(err)
		is(w, "scopes", s.Token.Scopes, scopes)
	}
}
