package storetest

import (
	"reflect"
	"slices"
	"time"

	"stile/accesskey"
	"stile/vpn"
)

func plans(w *world) {
	p := vpn.Plan{
		Code: "pro", Name: vpn.Text{RU: "Про", EN: "Pro"}, Tier: 2, PeriodDays: 30, GraceDays: 3, IsTrial: true, DeviceLimit: 5,
		TrafficLimit: 1 << 40, SpeedLimitMbps: 100,
	}
	made, err := w.store.AddPlan(w.ctx, p, by("plan.add"))
	w.ok(err)
	p.ID, p.CreatedAt = made.ID, made.CreatedAt
	is(w, "made", made, p)
	found, err := w.store.PlanByCode(w.ctx, "pro")
	w.ok(err)
	is(w, "found", found, p)
	_, err = w.store.PlanByCode(w.ctx, "none")
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.AddPlan(w.ctx, p, by("plan.add"))
	w.is(err, vpn.ErrTaken)

	other := w.plan(vpn.Plan{})
	u := w.user()
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: p.ID}, by("subscription.set")))
	p.Name.EN, p.IsTrial, p.TrafficLimit = "Professional", false, 0
	w.ok(w.store.UpdatePlan(w.ctx, p, by("plan.update")))
	all, err := w.store.Plans(w.ctx)
	w.ok(err)
	if !slices.Equal(all, []vpn.Plan{p, other}) {
		w.Fatalf("plans: %+v", all)
	}
	p.Code = other.Code
	w.is(w.store.UpdatePlan(w.ctx, p, by("plan.update")), vpn.ErrTaken)
	p.ID += 1000
	w.is(w.store.UpdatePlan(w.ctx, p, by("plan.update")), vpn.ErrNotFound)
}

func subscriptions(w *world) {
	u := w.user()
	none, err := w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "without a subscription", none, vpn.Entitlement{})
	plan := w.plan(vpn.Plan{PeriodDays: 30, TrafficLimit: 1000})
	s := vpn.Subscription{
		UserID: u.ID, PlanID: plan.ID, StartsAt: today, ExpiresAt: today.Add(time.Hour), UsedBytes: 7, TrafficResetsAt: today.Add(2 * time.Hour),
	}
	w.ok(w.setSubscription(s, by("subscription.set")))
	e, err := w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	s.UpdatedAt = e.Subscription.UpdatedAt
	is(w, "entitlement", e, vpn.Entitlement{Subscription: s, Plan: plan})
	standing(w, u, e)
	standing(w, w.user(), vpn.Entitlement{})
	_, _, err = w.store.Standing(w.ctx, u.ID+1000)
	w.is(err, vpn.ErrNotFound)

	// A period is reset once, and not before its end.
	next := today.Add(30 * 24 * time.Hour)
	w.ok(w.store.ResetTraffic(w.ctx, u.ID, today.Add(2*time.Hour-time.Millisecond), next))
	e, err = w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "before the end", e.Subscription.UsedBytes, 7)
	w.ok(w.store.ResetTraffic(w.ctx, u.ID, today.Add(2*time.Hour), next))
	w.ok(w.store.ResetTraffic(w.ctx, u.ID, today.Add(2*time.Hour), next.Add(time.Hour)))
	e, err = w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "used after the reset", e.Subscription.UsedBytes, 0)
	is(w, "next reset", e.Subscription.TrafficResetsAt, next)

	// A rule sees what there is, and what it says is what is written; its refusal changes nothing.
	before := e
	refusal := &vpn.Error{Code: vpn.CodeConflict}
	_, err = w.store.ChangeSubscription(w.ctx, u.ID, func(old *vpn.Entitlement) (vpn.Subscription, error) {
		is(w, "seen by the rule", *old, before)
		return vpn.Subscription{}, refusal
	}, by("subscription.set"))
	w.is(err, refusal)
	changed, err := w.store.ChangeSubscription(w.ctx, u.ID, func(old *vpn.Entitlement) (vpn.Subscription, error) {
		sub := old.Subscription
		sub.ExpiresAt, sub.PendingDays = today.Add(time.Minute), 3
		return sub, nil
	}, by("subscription.set"))
	w.ok(err)
	e, err = w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "changed", e.Subscription, changed)
	is(w, "next reset", e.Subscription.TrafficResetsAt, next)
	s.PendingDays = 0
	renewals(w, plan)

	// A period that never had an end gets one.
	s.StartsAt, s.TrafficResetsAt = today, time.Time{}
	w.ok(w.setSubscription(s, by("subscription.set")))
	w.ok(w.store.ResetTraffic(w.ctx, u.ID, today, next))
	e, err = w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "used", e.Subscription.UsedBytes, 0)
	is(w, "next reset", e.Subscription.TrafficResetsAt, next)

	forLife := w.plan(vpn.Plan{})
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: forLife.ID, StartsAt: today}, by("subscription.set")))
	e, err = w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "plan", e.Plan, forLife)
	is(w, "expires", e.Subscription.ExpiresAt, time.Time{})

	w.is(w.setSubscription(vpn.Subscription{UserID: u.ID + 1000, PlanID: plan.ID}, by("x")), vpn.ErrNotFound)
	w.is(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID + 1000}, by("x")), vpn.ErrNotFound)
}

// setSubscription replaces whatever subscription there is.
func (w *world) setSubscription(s vpn.Subscription, a vpn.Audit) error {
	_, err := w.store.ChangeSubscription(w.ctx, s.UserID, func(*vpn.Entitlement) (vpn.Subscription, error) { return s, nil }, a)
	return err
}

func standing(w *world, wantUser vpn.User, want vpn.Entitlement) {
	w.Helper()
	user, e, err := w.store.Standing(w.ctx, wantUser.ID)
	w.ok(err)
	is(w, "user", user, wantUser)
	is(w, "entitlement", e, want)
}

// due fails unless exactly these users are due.
func (w *world) due(want ...int64) {
	w.Helper()
	got, err := w.store.UsersDue(w.ctx, today, 100)
	w.ok(err)
	if !slices.Equal(got, want) {
		w.Fatalf("due: %v, want %v", got, want)
	}
}

func usersDue(w *world) {
	refreshed := func(id int64) {
		w.Helper()
		_, err := w.store.RefreshKeys(w.ctx, id, vpn.KeyTerms{})
		w.ok(err)
	}
	quiet, reset := w.user(), w.user()
	w.due()
	plan := w.plan(vpn.Plan{TrafficLimit: 10})
	w.ok(w.setSubscription(vpn.Subscription{UserID: quiet.ID, PlanID: plan.ID, TrafficResetsAt: today.Add(time.Millisecond)}, by("x")))
	w.ok(w.setSubscription(vpn.Subscription{UserID: reset.ID, PlanID: plan.ID, TrafficResetsAt: today}, by("x")))
	refreshed(quiet.ID)
	refreshed(reset.ID)
	w.due(reset.ID)
	w.ok(w.store.ResetTraffic(w.ctx, reset.ID, today, today.Add(time.Hour)))
	w.due(reset.ID) // its keys may be suspended still
	refreshed(reset.ID)
	w.due()

	// Whoever changes what deadlines follow from and does not come to refresh the keys leaves a note.
	w.ok(w.store.SetUserStatus(w.ctx, quiet.ID, vpn.UserBlocked, by("user.block")))
	w.due(quiet.ID)
	refreshed(quiet.ID)
	w.ok(w.store.UpdatePlan(w.ctx, plan, by("plan.update")))
	w.spread(10)
	w.due(quiet.ID, reset.ID)
	some, err := w.store.UsersDue(w.ctx, today, 1)
	w.ok(err)
	is(w, "at most", len(some), 1)
}

// spread notes all who are due as due, so many at a time.
func (w *world) spread(atOnce int) {
	w.Helper()
	for more := true; more; {
		var err error
		more, err = w.store.SpreadDue(w.ctx, atOnce)
		w.ok(err)
	}
}

// spreadDue changes a plan and a server's tier that concern many: so many are due after each call, and nobody else ever.
func spreadDue(w *world) {
	plan, other := w.plan(vpn.Plan{}), w.plan(vpn.Plan{})
	server, another := w.server(), w.server()
	var subscribed, connected []int64
	for i := range 10 {
		u := w.user()
		in, _ := w.signIn(u.ID)
		p, s := plan, server
		if i%2 == 0 {
			p = other
		}
		if i%3 == 0 {
			s = another
		}
		w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: p.ID, StartsAt: today}, by("x")))
		w.issue(w.newKey(u.ID, in.DeviceID, s.ID))
		if p == plan {
			subscribed = append(subscribed, u.ID)
		}
		if s.ID == server.ID {
			connected = append(connected, u.ID)
		}
		_, err := w.store.RefreshKeys(w.ctx, u.ID, vpn.KeyTerms{})
		w.ok(err)
	}
	step := func(wantMore bool) {
		w.Helper()
		more, err := w.store.SpreadDue(w.ctx, 2)
		w.ok(err)
		is(w, "more", more, wantMore)
	}
	refreshAll := func(users []int64) {
		for _, id := range users {
			_, err := w.store.RefreshKeys(w.ctx, id, vpn.KeyTerms{})
			w.ok(err)
		}
		w.due()
	}
	step(false)
	w.ok(w.store.UpdatePlan(w.ctx, plan, by("plan.update")))
	w.due()
	step(true)
	w.due(subscribed[:2]...)
	step(true)
	w.due(subscribed[:4]...)
	w.ok(w.store.UpdatePlan(w.ctx, plan, by("plan.update"))) // changed again: from the beginning
	refreshAll(subscribed)
	w.spread(2)
	w.due(subscribed...)
	refreshAll(subscribed)
	step(false)

	w.ok(w.store.UpdateServer(w.ctx, server, by("server.update")))
	step(false) // its tier is what it was
	server.Tier++
	w.ok(w.store.UpdateServer(w.ctx, server, by("server.update")))
	step(true)
	w.due(connected[:2]...)
	w.spread(2)
	w.due(connected...)
	refreshAll(connected)
}

func servers(w *world) {
	s := vpn.Server{
		Name: "de-1", CountryCode: "DE", City: vpn.Text{RU: "Берлин", EN: "Berlin"}, Latitude: 52.52, Longitude: -13.405, Host: "de.example.com",
		PingURL: "https://de.example.com/ping", Tier: 1, Capacity: 100, State: vpn.ServerActive,
		Protocols: []vpn.Protocol{vpn.Shadowsocks, vpn.HTTPS}, ShadowsocksPort: 8388, ShadowsocksPorts: 10, ShadowsocksMethod: accesskey.Method2022AES128,
		HTTPSPort: 443,
	}
	made, err := w.store.AddServer(w.ctx, s, by("server.add"))
	w.ok(err)
	s.ID, s.Door, s.CreatedAt, s.UpdatedAt = made.ID, made.Door, made.CreatedAt, made.UpdatedAt
	if !reflect.DeepEqual(made, s) {
		w.Fatalf("made: %+v", made)
	}
	_, err = w.store.AddServer(w.ctx, s, by("server.add"))
	w.is(err, vpn.ErrTaken)
	other := w.server()

	s.City.EN, s.State, s.Protocols, s.ShadowsocksMethod = "East Berlin", vpn.ServerDrained, nil, accesskey.MethodChaCha20
	w.ok(w.store.UpdateServer(w.ctx, s, by("server.update")))
	all, err := w.store.Servers(w.ctx)
	w.ok(err)
	is(w, "servers", len(all), 2)
	s.UpdatedAt = all[0].UpdatedAt
	if !reflect.DeepEqual(all, []vpn.Server{s, other}) {
		w.Fatalf("servers: %+v", all)
	}
	s.Name = other.Name
	w.is(w.store.UpdateServer(w.ctx, s, by("server.update")), vpn.ErrTaken)
	s.ID += 1000
	w.is(w.store.UpdateServer(w.ctx, s, by("server.update")), vpn.ErrNotFound)
}

func removedServer(w *world) {
	u, server, other := w.user(), w.server(), w.server()
	in, _ := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	kept := w.issue(w.newKey(u.ID, in.DeviceID, other.ID))
	changed, err := w.store.RemoveServer(w.ctx, server.ID, by("server.remove"))
	w.ok(err)
	if !slices.Equal(changed, []vpn.NodeRev{{NodeID: server.ID, Rev: 2}}) {
		w.Fatalf("changed nodes: %v", changed)
	}
	_, err = w.store.Key(w.ctx, key.ID)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.Key(w.ctx, kept.ID)
	w.ok(err)
	_, err = w.store.IssueKey(w.ctx, w.newKey(u.ID, in.DeviceID, server.ID), by("key.issue"))
	w.is(err, vpn.ErrNotFound)
	changes, p, err := w.store.NodeChanges(w.ctx, server.ID, 1, 10)
	w.ok(err)
	if len(changes) != 1 || changes[0] != (vpn.NodeKey{ID: key.ID, Rev: 2, IsRemoved: true}) {
		w.Fatalf("changes: %+v", changes)
	}
	is(w, "position", p, vpn.NodePosition{Epoch: 1, Rev: 2})
	_, err = w.store.RemoveServer(w.ctx, server.ID, by("server.remove"))
	w.is(err, vpn.ErrNotFound)
	left, err := w.store.EntombRemoved(w.ctx)
	w.ok(err)
	is(w, "nodes with keys left", len(left), 0)
	if later := w.server(); later.ID == server.ID {
		w.Fatalf("id %d came back", server.ID)
	}
}
