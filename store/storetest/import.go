package storetest

import (
	"slices"
	"time"

	"stile/vpn"
)

// imports: accounts and tokens keep their ids or get others, whatever is there stays, and another run changes nothing.
func imports(w *world) {
	u := w.user() // in the way of an imported id
	in, taken := w.signIn(u.ID)
	created := today.Add(-48 * time.Hour)
	users := []vpn.ImportedUser{
		{ID: 4_000_001, Name: "Ann", Email: "ann@example.com", PasswordHash: "$2y$10$x", VerifiedAt: created, CreatedAt: created, UpdatedAt: today},
		{ID: u.ID, Email: "moved@example.com", CreatedAt: created},
		{ID: 4_000_002, Email: u.Email},
		{ID: 4_000_003, Email: "ann@example.com"}, // twice in the application
	}
	want := []vpn.ImportOutcome{vpn.ImportNew, vpn.ImportRenumbered, vpn.ImportEmailTaken, vpn.ImportEmailTaken}
	importUsers := func(dry bool, want ...vpn.ImportOutcome) {
		w.Helper()
		outcomes, err := w.store.ImportUsers(w.ctx, users, dry, by("user.import"))
		w.ok(err)
		if !slices.Equal(outcomes, want) {
			w.Fatalf("outcomes: %q, want %q", outcomes, want)
		}
	}
	importUsers(true, want...)
	_, err := w.store.UserByEmail(w.ctx, "ann@example.com")
	w.is(err, vpn.ErrNotFound)
	importUsers(false, want...)
	want[0], want[1] = vpn.ImportThere, vpn.ImportThere
	importUsers(false, want...)
	ann, err := w.store.User(w.ctx, 4_000_001)
	w.ok(err)
	is(w, "imported", ann, vpn.User{
		ID: 4_000_001, Name: "Ann", Email: "ann@example.com", EmailVerifiedAt: created, Status: vpn.UserActive, Locale: "ru", CreatedAt: created, UpdatedAt: today,
	})
	c, err := w.store.Credentials(w.ctx, "ann@example.com")
	w.ok(err)
	is(w, "hash", c.PasswordHash, "$2y$10$x")
	moved, err := w.store.UserByEmail(w.ctx, "moved@example.com")
	w.ok(err)
	if moved.ID == u.ID || moved.Name != "moved" {
		w.Fatalf("moved: %+v", moved)
	}
	if next := w.user(); next.ID <= 4_000_001 {
		w.Fatalf("the next account has id %d", next.ID)
	}

	tokens := []vpn.ImportedToken{
		{ID: 5_000_001, UserID: 4_000_001, Hash: hash(w.unique()), Name: "iPhone 12", LastUsedAt: today.Add(time.Hour), CreatedAt: created},
		{ID: in.TokenID, UserID: u.ID, Hash: hash(w.unique()), Name: "Pixel", CreatedAt: created, ExpiresAt: today.Add(time.Hour)},
		{ID: 5_000_002, UserID: 4_000_002, Hash: hash(w.unique())},
		{ID: 5_000_003, UserID: 4_000_001, Hash: taken},
	}
	importTokens := func(dry bool, want ...vpn.ImportOutcome) {
		w.Helper()
		before := slices.Clone(tokens)
		outcomes, err := w.store.ImportTokens(w.ctx, tokens, dry, by("token.import"))
		w.ok(err)
		if !slices.Equal(outcomes, want) || !slices.Equal(before, tokens) {
			w.Fatalf("outcomes: %q, want %q", outcomes, want)
		}
	}
	importTokens(true, vpn.ImportNew, vpn.ImportRenumbered, vpn.ImportNew, vpn.ImportThere)
	importTokens(false, vpn.ImportNew, vpn.ImportRenumbered, vpn.ImportNoUser, vpn.ImportThere)
	importTokens(false, vpn.ImportThere, vpn.ImportThere, vpn.ImportNoUser, vpn.ImportThere)
	s, err := w.store.Session(w.ctx, 0, tokens[0].Hash)
	w.ok(err)
	is(w, "token", s.Token, vpn.Token{ID: 5_000_001, UserID: ann.ID, Name: "iPhone 12", LastUsedDay: today, CreatedAt: created, IsImported: true})
	if s, err = w.store.Session(w.ctx, 0, tokens[1].Hash); err != nil || s.User.ID != moved.ID || s.Token.ID == in.TokenID || s.Token.ExpiresAt != today.Add(time.Hour) {
		w.Fatalf("moved token: %+v, %v", s, err)
	}
	adoption(w, tokens[0].Hash, tokens[1].Hash)
	importedPlan(w, ann.ID, moved.ID)
}

// adoption: an imported token takes one slot, however often it is asked, and none where there is none.
func adoption(w *world, of, other vpn.TokenHash) {
	s, err := w.store.Session(w.ctx, 0, of)
	w.ok(err)
	_, err = w.store.AdoptToken(w.ctx, s.Token.ID, vpn.PlatformIOS, 0, by("device.adopt"))
	w.is(err, vpn.ErrDeviceLimit)
	ids := make([]int64, parallel)
	for _, err := range together(parallel, func(i int) error {
		d, err := w.any().AdoptToken(w.ctx, s.Token.ID, vpn.PlatformIOS, 1, by("device.adopt"))
		ids[i] = d.ID
		return err
	}) {
		w.ok(err)
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 1 {
		w.Fatalf("devices: %v", ids)
	}
	again, err := w.store.Session(w.ctx, 0, of)
	w.ok(err)
	is(w, "device", again.Device.ID, ids[0])
	is(w, "name", again.Device.Name, "iPhone 12")
	changed, err := w.store.SignOut(w.ctx, s.Token.ID, by("device.sign_out"))
	w.ok(err)
	is(w, "changed nodes", len(changed), 0)
	devices, err := w.store.Devices(w.ctx, s.User.ID)
	w.ok(err)
	is(w, "devices left", len(devices), 0)
	_, err = w.store.AdoptToken(w.ctx, s.Token.ID, vpn.PlatformIOS, 1, by("device.adopt"))
	w.is(err, vpn.ErrNotFound)
	if _, err := w.store.Session(w.ctx, 0, other); err != nil {
		w.Fatalf("the other token: %v", err)
	}
}

// importedPlan: only imported accounts without a subscription get the plan, once.
func importedPlan(w *world, withOne, without int64) {
	plan, err := w.store.AddPlan(w.ctx, vpn.Plan{Code: "imported", Name: vpn.Text{EN: "Imported"}, DeviceLimit: 1}, by("x"))
	w.ok(err)
	own := vpn.Subscription{UserID: withOne, PlanID: plan.ID, StartsAt: today, ExpiresAt: today.Add(time.Hour)}
	w.ok(w.setSubscription(own, by("x")))
	for _, want := range []int64{1, 0} {
		n, last, err := w.store.SubscribeImported(w.ctx, vpn.Subscription{PlanID: plan.ID, StartsAt: today}, 0, by("x"))
		w.ok(err)
		is(w, "subscribed", n, want)
		is(w, "last", last, 0)
	}
	e, err := w.store.Entitlement(w.ctx, without)
	w.ok(err)
	is(w, "plan", e.Plan.ID, plan.ID)
	e, err = w.store.Entitlement(w.ctx, withOne)
	w.ok(err)
	is(w, "expiry", e.Subscription.ExpiresAt, own.ExpiresAt)
}
