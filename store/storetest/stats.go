package storetest

import (
	"strconv"
	"time"

	"stile/vpn"
)

func counts(w *world) {
	now := time.UnixMilli(1_900_000_000_000).UTC()
	u, blocked, expired := w.user(), w.user(), w.user()
	w.ok(w.store.SetUserStatus(w.ctx, blocked.ID, vpn.UserBlocked, by("user.blocked")))
	p := w.plan(vpn.Plan{})
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: p.ID}, by("x")))
	w.ok(w.setSubscription(vpn.Subscription{UserID: expired.ID, PlanID: p.ID, ExpiresAt: now}, by("x")))
	w.signIn(u.ID)
	c, err := w.store.Counts(w.ctx, now)
	w.ok(err)
	is(w, "counts", c, vpn.Counts{Users: 3, Blocked: 1, Subscribed: 2, Expired: 1, Devices: 1})
	c, err = w.store.Counts(w.ctx, now.Add(-time.Millisecond))
	w.ok(err)
	is(w, "expired a moment before", c.Expired, 0)
}

// nodeTraffic books reports of two nodes: each counts once, under its node and day, and only what counts for a user.
func nodeTraffic(w *world) {
	u, one, two := w.user(), w.server(), w.server()
	in, _ := w.signIn(u.ID)
	a, b := w.issue(w.newKey(u.ID, in.DeviceID, one.ID)), w.issue(w.newKey(u.ID, in.DeviceID, two.ID))
	w.report(one.ID, 1, 1, vpn.UsageEntry{KeyID: a.ID, Up: 1, Down: 10}, vpn.UsageEntry{KeyID: 1 << 40, Up: 5})
	w.report(one.ID, 1, 2, vpn.UsageEntry{KeyID: a.ID, Up: 2, Down: 20})
	w.report(two.ID, 7, 1, vpn.UsageEntry{KeyID: b.ID, Down: 5})
	_, applied, _, err := w.store.ApplyUsage(w.ctx, vpn.UsageReport{NodeID: two.ID, Stream: 7, Seq: 1, Entries: []vpn.UsageEntry{{KeyID: b.ID, Down: 5}}}, today)
	w.ok(err)
	is(w, "booked again", applied, false)
	_, _, _, err = w.store.ApplyUsage(w.ctx, vpn.UsageReport{NodeID: two.ID, Stream: 7, Seq: 2, Entries: []vpn.UsageEntry{{KeyID: b.ID, Up: 3}}}, today.Add(24*time.Hour))
	w.ok(err)
	days, err := w.store.Traffic(w.ctx, today)
	w.ok(err)
	want := []vpn.NodeDay{
		{Day: today, NodeID: one.ID, Up: 3, Down: 30}, {Day: today, NodeID: two.ID, Down: 5},
		{Day: today.Add(24 * time.Hour), NodeID: two.ID, Up: 3},
	}
	is(w, "rows", len(days), len(want))
	for i := range want {
		is(w, "traffic", days[i], want[i])
	}
	days, err = w.store.Traffic(w.ctx, today.Add(30*time.Hour))
	w.ok(err)
	is(w, "rows of the last day", len(days), 1)
}

func userKeys(w *world) {
	u, other, server := w.user(), w.user(), w.server()
	in, _ := w.signIn(u.ID)
	theirs, _ := w.signIn(other.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	w.issue(w.newKey(other.ID, theirs.DeviceID, server.ID))
	keys, err := w.store.UserKeys(w.ctx, u.ID)
	w.ok(err)
	is(w, "keys", len(keys), 1)
	key.Seed = keys[0].Seed // not read
	is(w, "key", keys[0], key)
	var empty vpn.Key
	is(w, "seed", keys[0].Seed, empty.Seed)
	_, err = w.store.RemoveDevice(w.ctx, u.ID, in.DeviceID, by("device.remove"))
	w.ok(err)
	keys, err = w.store.UserKeys(w.ctx, u.ID)
	w.ok(err)
	is(w, "keys of a device that is gone", len(keys), 0)
}

func paymentPages(w *world) {
	u, other, p := w.user(), w.user(), w.plan(vpn.Plan{PeriodDays: 30})
	for i := range 5 {
		who := u.ID
		if i == 2 {
			who = other.ID
		}
		_, _, _, err := w.store.TakePayment(w.ctx, vpn.Payment{ID: "pay" + strconv.Itoa(i), UserID: who, PlanID: p.ID, Periods: 1},
			func(*vpn.Entitlement) (vpn.Subscription, error) { return vpn.Subscription{PlanID: p.ID}, nil }, by("payment.take"))
		w.ok(err)
	}
	pages := func(userID int64) (ids string) {
		for f := (vpn.PaymentFilter{UserID: userID, Limit: 2}); ; {
			page, err := w.store.Payments(w.ctx, f)
			w.ok(err)
			for i := range page {
				ids += page[i].ID[3:]
			}
			if len(page) < f.Limit {
				return ids
			}
			f.Before = page[len(page)-1].ID
		}
	}
	is(w, "all", pages(0), "43210")
	is(w, "one user's", pages(u.ID), "4310")
}

func serverStates(w *world) {
	s := w.server()
	w.ok(w.store.SetServerState(w.ctx, s.ID, vpn.ServerDrained, by("server.drained")))
	all, err := w.store.Servers(w.ctx)
	w.ok(err)
	is(w, "state", all[0].State, vpn.ServerDrained)
	is(w, "name", all[0].Name, s.Name)
	w.is(w.store.SetServerState(w.ctx, s.ID+1000, vpn.ServerActive, by("server.active")), vpn.ErrNotFound)
}

// signedOutUser loses devices, tokens and reset links, and nothing else.
func signedOutUser(w *world) {
	u, server := w.user(), w.server()
	in, token := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	w.ok(w.store.SetPasswordReset(w.ctx, u.ID, hash(7777), time.Now().Add(time.Hour), by("user.reset")))
	changed, err := w.store.SignOutUser(w.ctx, u.ID, by("user.sign_out"))
	w.ok(err)
	is(w, "changed nodes", len(changed), 1)
	_, err = w.store.Session(w.ctx, 0, token)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.Key(w.ctx, key.ID)
	w.is(err, vpn.ErrNotFound)
	_, _, err = w.store.PasswordReset(w.ctx, hash(7777))
	w.is(err, vpn.ErrNotFound)
	w.slotsAreFree(u.ID, 3)
	w.digestHolds(server.ID)
	_, err = w.store.SignOutUser(w.ctx, u.ID+1000, by("user.sign_out"))
	w.is(err, vpn.ErrNotFound)
}
