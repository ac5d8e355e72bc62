package storetest

import (
	"time"

	"stile/vpn"
)

// glance: each account counts in its state, and those that end soon are named in their order.
func glance(w *world) {
	const day = 24 * time.Hour
	plan := w.plan(vpn.Plan{PeriodDays: 30, GraceDays: 3})
	subscribed := func(expiresAt time.Time) vpn.User {
		u := w.user()
		w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID, StartsAt: today, ExpiresAt: expiresAt}, by("x")))
		return u
	}
	subscribed(time.Time{})
	subscribed(today.Add(8 * day))
	second, first := subscribed(today.Add(7*day)), subscribed(today.Add(time.Millisecond))
	subscribed(today) // over since this moment
	subscribed(today.Add(time.Millisecond - 3*day))
	subscribed(today.Add(-3 * day))
	blocked := w.user()
	w.ok(w.store.SetUserStatus(w.ctx, blocked.ID, vpn.UserBlocked, by("user.blocked")))

	g, err := w.store.Glance(w.ctx, today, today.Add(7*day), 1)
	w.ok(err)
	is(w, "users", g.Users, 8)
	is(w, "blocked", g.Blocked, 1)
	is(w, "active", g.Active, 4)
	is(w, "grace", g.Grace, 2)
	is(w, "expired", g.Expired, 1)
	is(w, "ending", g.Ending, 2)
	is(w, "named", len(g.Next), 1)
	is(w, "first", g.Next[0], vpn.EndingSubscription{UserID: first.ID, Email: first.Email, ExpiresAt: today.Add(time.Millisecond)})
	g, err = w.store.Glance(w.ctx, today, today.Add(7*day), 9)
	w.ok(err)
	is(w, "second", g.Next[1].UserID, second.ID)
}
