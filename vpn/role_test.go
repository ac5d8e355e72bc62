package vpn_test

import (
	"testing"
	"time"

	"stile/vpn"
)

// The table by role and noun: a viewer writes nothing, support little, only owners give roles.
func TestRoles(t *testing.T) {
	nouns := []vpn.Noun{
		vpn.NounUsers, vpn.NounSubscriptions, vpn.NounDevices, vpn.NounPlans, vpn.NounServers, vpn.NounNodes, vpn.NounVouchers,
		vpn.NounPayments, vpn.NounAudit, vpn.NounSettings, vpn.NounRoles, vpn.NounWebhooks,
	}
	for _, n := range nouns {
		if got := vpn.Role("").Level(n); got != vpn.NoAccess {
			t.Errorf("a user has level %d on %s", got, n)
		}
		if got := vpn.RoleViewer.Level(n); got != vpn.Read {
			t.Errorf("a viewer has level %d on %s", got, n)
		}
		if got := vpn.RoleOwner.Level(n); got != vpn.Write {
			t.Errorf("an owner has level %d on %s", got, n)
		}
		if s := vpn.RoleSupport.Level(n); s > vpn.RoleAdmin.Level(n) || (s == vpn.Write && n != vpn.NounDevices) {
			t.Errorf("support has level %d on %s", s, n)
		}
		if got := vpn.RoleOwner.Level(n + "x"); got != vpn.NoAccess {
			t.Errorf("level %d on what is not in the table", got)
		}
	}
	if vpn.RoleAdmin.Level(vpn.NounRoles) >= vpn.Write {
		t.Error("an admin gives roles")
	}
	for _, r := range []vpn.Role{vpn.RoleOwner, vpn.RoleAdmin, vpn.RoleSupport, vpn.RoleViewer, ""} {
		if got, ok := vpn.ParseRole(r.String()); !ok || got != r {
			t.Errorf("%s is read as %q", r, got)
		}
	}
	if _, ok := vpn.ParseRole("operator"); ok {
		t.Error("the kept word is no name")
	}
}

// Nobody gets at an account of the same or a higher rank, so that a password reset is no way up.
func TestRanks(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	staff := map[vpn.Role]*vpn.Actor{}
	for _, r := range []vpn.Role{vpn.RoleOwner, vpn.RoleAdmin, vpn.RoleSupport, vpn.RoleViewer} {
		u := b.addUser(r.String() + "@example.com")
		if err := b.SetRole(ctx, shell, u.ID, r); err != nil {
			t.Fatal(err)
		}
		u.Role = r
		staff[r] = &vpn.Actor{User: u}
	}
	admin, owner := staff[vpn.RoleAdmin], staff[vpn.RoleOwner]
	b.refused(b.SetPassword(ctx, admin, owner.User.ID, "password456"), vpn.CodeForbidden)
	b.refused(b.SetPassword(ctx, admin, admin.User.ID, "password456"), vpn.CodeForbidden)
	b.refused(b.RemoveUser(ctx, admin, owner.User.ID), vpn.CodeForbidden)
	b.refused(b.SetUserStatus(ctx, admin, owner.User.ID, vpn.UserBlocked), vpn.CodeForbidden)
	b.refused(b.SetRole(ctx, admin, admin.User.ID, vpn.RoleOwner), vpn.CodeForbidden)
	_, err := b.AddToken(ctx, admin, owner.User.ID, "x", time.Time{}, vpn.ScopeAdminWrite)
	b.refused(err, vpn.CodeForbidden)
	_, err = b.AddUser(ctx, admin, vpn.NewAccount{Email: "x@example.com", Password: "password123", IsOperator: true})
	b.refused(err, vpn.CodeForbidden)
	if err := b.SetPassword(ctx, admin, b.user.ID, "password456"); err != nil {
		t.Error(err)
	}
	if err := b.SetPassword(ctx, owner, admin.User.ID, "password456"); err != nil {
		t.Error(err)
	}
	b.refused(b.RemoveUser(ctx, owner, owner.User.ID), vpn.CodeLastOwner)
	b.refused(b.SetRole(ctx, owner, owner.User.ID, vpn.RoleAdmin), vpn.CodeLastOwner)
	b.refused(b.SetUserStatus(ctx, shell, owner.User.ID, vpn.UserBlocked), vpn.CodeLastOwner)
	for _, r := range []vpn.Role{vpn.RoleSupport, vpn.RoleViewer} {
		b.refused(b.SetUserStatus(ctx, staff[r], b.user.ID, vpn.UserBlocked), vpn.CodeForbidden)
	}
}

// A token is good for its scopes only, whoever its user is, and makes none that is good for more.
func TestScopes(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	u := b.addUser("owner@example.com")
	if err := b.SetRole(ctx, shell, u.ID, vpn.RoleOwner); err != nil {
		t.Fatal(err)
	}
	token := func(scopes ...vpn.Scopes) *vpn.Actor {
		t.Helper()
		bearer, err := b.AddToken(ctx, shell, u.ID, "script", time.Time{}, scopes...)
		if err != nil {
			t.Fatal(err)
		}
		a, err := b.Authenticate(ctx, bearer)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	look := func(a *vpn.Actor) error { _, err := b.Users(ctx, a, vpn.UserFilter{Limit: 1}); return err }
	change := func(a *vpn.Actor) error { return b.SetUserStatus(ctx, a, b.user.ID, vpn.UserActive) }
	for _, a := range []*vpn.Actor{token(), token(vpn.ScopeAccount)} {
		b.refused(look(a), vpn.CodeForbidden)
		_, err := b.AddToken(ctx, a, u.ID, "x", time.Time{}, vpn.ScopeAdminRead)
		b.refused(err, vpn.CodeForbidden)
		if _, err := b.AddToken(ctx, a, u.ID, "x", time.Time{}); err != nil {
			t.Error(err)
		}
	}
	reader, writer := token(vpn.ScopeAdminRead), token(vpn.ScopeAdminWrite)
	if err := look(reader); err != nil {
		t.Error(err)
	}
	b.refused(change(reader), vpn.CodeForbidden)
	if err := look(writer); err != nil {
		t.Error(err)
	}
	if err := change(writer); err != nil {
		t.Error(err)
	}
	// A token goes no further than its user.
	if err := b.SetRole(ctx, shell, b.addUser("second@example.com").ID, vpn.RoleOwner); err != nil {
		t.Fatal(err)
	}
	if err := b.SetRole(ctx, shell, u.ID, vpn.RoleViewer); err != nil {
		t.Fatal(err)
	}
	viewer := *writer
	viewer.User.Role = vpn.RoleViewer
	b.refused(change(&viewer), vpn.CodeForbidden)
}

func FuzzParseScopes(f *testing.F) {
	for _, seed := range []string{"", "account", "admin:read admin:write", " account  account", "root", "account\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := vpn.ParseScopes(text)
		if again, okAgain := vpn.ParseScopes(s.String()); ok && (again != s || !okAgain) {
			t.Errorf("%q: %q is read as %q", text, s, again)
		}
	})
}
