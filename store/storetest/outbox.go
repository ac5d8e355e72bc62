package storetest

import (
	"slices"
	"strings"
	"time"

	"stile/vpn"
)

// minute is a lease that no test outlasts.
const minute = time.Minute

func (w *world) webhook(events ...string) vpn.Webhook {
	w.Helper()
	hook, err := w.store.AddWebhook(w.ctx, vpn.Webhook{URL: "https://example.com/hook", Events: events, IsActive: true}, "whsec_1", 1000, by("webhook.add"))
	w.ok(err)
	return hook
}

// told lists the events in a webhook's line, the oldest first.
func (w *world) told(webhookID int64) (events []string) {
	w.Helper()
	all, err := w.store.Deliveries(w.ctx, webhookID, 0, 1000)
	w.ok(err)
	for _, d := range slices.Backward(all) {
		events = append(events, d.Event)
	}
	return events
}

func (w *world) tells(webhookID int64, want ...string) {
	w.Helper()
	is(w, "told", strings.Join(w.told(webhookID), " "), strings.Join(want, " "))
}

func (w *world) claim(webhookID int64, lease time.Duration, limit int) []vpn.Delivery {
	w.Helper()
	claimed, err := w.store.ClaimDeliveries(w.ctx, webhookID, lease, limit)
	w.ok(err)
	return claimed
}

func webhooks(w *world) {
	made := w.webhook("device.*", "user.add")
	found, secret, err := w.store.Webhook(w.ctx, made.ID)
	w.ok(err)
	is(w, "secret", secret, "whsec_1")
	same := func(what string, got, want vpn.Webhook) {
		w.Helper()
		if !slices.Equal(got.Events, want.Events) {
			w.Fatalf("%s: events %v, want %v", what, got.Events, want.Events)
		}
		if got.ID != want.ID || got.URL != want.URL || got.IsActive != want.IsActive || got.CreatedAt != want.CreatedAt {
			w.Fatalf("%s: %+v, want %+v", what, got, want)
		}
	}
	same("found", found, made)
	made.URL, made.Events, made.IsActive = "https://example.com/other", []string{"*"}, false
	w.ok(w.store.SetWebhook(w.ctx, made, by("webhook.set")))
	other := w.webhook("user.*")
	all, err := w.store.Webhooks(w.ctx)
	w.ok(err)
	is(w, "webhooks", len(all), 2)
	same("first", all[0], made)
	same("second", all[1], other)

	_, err = w.store.AddWebhook(w.ctx, made, "whsec_2", 2, by("webhook.add"))
	w.is(err, vpn.ErrTaken)
	for _, id := range []int64{vpn.MailWebhook, other.ID + 1000} {
		_, _, err = w.store.Webhook(w.ctx, id)
		w.is(err, vpn.ErrNotFound)
		w.is(w.store.SetWebhook(w.ctx, vpn.Webhook{ID: id}, by("x")), vpn.ErrNotFound)
		w.is(w.store.RemoveWebhook(w.ctx, id, by("x")), vpn.ErrNotFound)
		_, err = w.store.TestWebhook(w.ctx, id, by("x"))
		w.is(err, vpn.ErrNotFound)
	}
	w.user()
	w.tells(other.ID, "user.add")
	w.tells(made.ID)
	w.ok(w.store.RemoveWebhook(w.ctx, other.ID, by("webhook.remove")))
	w.tells(other.ID)
}

// What is audited is told to whom asks for it, in the same transaction.
func events(w *world) {
	all, users, signIns := w.webhook("*"), w.webhook("user.*"), w.webhook("device.sign_in", "device.*")
	u := w.user()
	in, _ := w.signIn(u.ID)
	plan := w.plan(vpn.Plan{PeriodDays: 30})
	server := w.server()
	w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID}, by("subscription.set")))
	w.ok(w.store.RenameDevice(w.ctx, u.ID, in.DeviceID, "Phone", by("device.rename")))
	_, err := w.store.RemoveDevice(w.ctx, u.ID, in.DeviceID, by("device.remove"))
	w.ok(err)
	w.is(w.store.SetUserStatus(w.ctx, u.ID+1000, vpn.UserBlocked, by("user.blocked")), vpn.ErrNotFound)
	w.tells(all.ID, "user.add", "device.sign_in", "plan.add", "server.add", "subscription.set", "device.rename", "device.remove")
	w.tells(users.ID, "user.add")
	w.tells(signIns.ID, "device.sign_in", "device.rename", "device.remove")
	w.tells(vpn.MailWebhook)
	list, err := w.store.Deliveries(w.ctx, signIns.ID, 0, 1)
	w.ok(err)
	is(w, "newest", list[0].Event, "device.remove")
	is(w, "user", list[0].UserID, u.ID)
	is(w, "subject", list[0].SubjectID, in.DeviceID)
	older, err := w.store.Deliveries(w.ctx, signIns.ID, list[0].ID, 1)
	w.ok(err)
	is(w, "before it", older[0].Event, "device.rename")
	list, err = w.store.Deliveries(w.ctx, all.ID, 0, 3)
	w.ok(err)
	is(w, "event", list[2].Event, "subscription.set")
	is(w, "user of a subscription", list[2].UserID, u.ID)
}

func deliveries(w *world) {
	hook := w.webhook("user.*")
	due, err := w.store.DueWebhooks(w.ctx)
	w.ok(err)
	is(w, "due of nothing", len(due), 0)
	w.user()
	w.user()
	test, err := w.store.TestWebhook(w.ctx, hook.ID, by("webhook.test"))
	w.ok(err)
	is(w, "test", test.Event, vpn.EventTest)
	due, err = w.store.DueWebhooks(w.ctx)
	w.ok(err)
	is(w, "due", len(due) == 1 && due[0] == hook.ID, true)

	first := w.claim(hook.ID, minute, 2)
	is(w, "claimed", len(first), 2)
	is(w, "attempts", first[0].Attempts, 1)
	rest := w.claim(hook.ID, -minute, 2) // a lease that is over at once
	is(w, "claimed then", len(rest), 1)
	again := w.claim(hook.ID, minute, 2)
	is(w, "claimed by another", len(again), 1)
	is(w, "its attempts", again[0].Attempts, 2)

	// Who was given up for dead changes nothing any more.
	end := func(attempts ...vpn.Attempt) { w.Helper(); w.ok(w.store.EndAttempts(w.ctx, attempts)) }
	end(vpn.Attempt{DeliveryID: rest[0].ID, Number: 1, IsDelivered: true, Status: 200})
	end(
		vpn.Attempt{DeliveryID: first[0].ID, Number: 1, IsDelivered: true, Status: 204},
		vpn.Attempt{DeliveryID: first[1].ID, Number: 1, Status: 500, Error: "500", RetryAt: today},
		vpn.Attempt{DeliveryID: again[0].ID, Number: 2, Error: "no route"},
	)
	log := map[int64]vpn.Delivery{}
	list, err := w.store.Deliveries(w.ctx, hook.ID, 0, 10)
	w.ok(err)
	for _, d := range list {
		log[d.ID] = d
	}
	done, failed, lost := log[first[0].ID], log[first[1].ID], log[again[0].ID]
	is(w, "delivered", done.IsDelivered && done.Status == 204 && done.DueAt.IsZero() && !done.EndedAt.IsZero(), true)
	is(w, "failed", !failed.IsDelivered && failed.Error == "500" && failed.DueAt.Equal(today) && failed.EndedAt.IsZero(), true)
	is(w, "given up", !lost.IsDelivered && lost.Error == "no route" && lost.DueAt.IsZero() && !lost.EndedAt.IsZero(), true)

	w.is(w.store.Redeliver(w.ctx, failed.ID, by("webhook.redeliver")), vpn.ErrNotFound) // it is under way
	w.ok(w.store.Redeliver(w.ctx, lost.ID, by("webhook.redeliver")))
	is(w, "due again", len(w.claim(hook.ID, minute, 10)), 2)

	// An inactive webhook gets nothing, and what was in line waits.
	w.user()
	hook.IsActive = false
	w.ok(w.store.SetWebhook(w.ctx, hook, by("webhook.set")))
	is(w, "claimed of an inactive one", len(w.claim(hook.ID, minute, 10)), 0)
	due, err = w.store.DueWebhooks(w.ctx)
	w.ok(err)
	is(w, "due of an inactive one", len(due), 0)

	n, err := w.store.PruneDeliveries(w.ctx, today, today)
	w.ok(err)
	is(w, "pruned too early", n, 0)
	future := time.Now().Add(time.Hour)
	n, err = w.store.PruneDeliveries(w.ctx, future, today)
	w.ok(err)
	is(w, "given up", n, 3)
	n, err = w.store.PruneDeliveries(w.ctx, future, future)
	w.ok(err)
	is(w, "deleted", n, 4)
	w.tells(hook.ID)
}

// Each delivery is claimed by one of many.
func deliveriesUnderLoad(w *world) {
	const each = 4
	hook := w.webhook("user.add")
	for _, err := range together(parallel, func(int) error {
		for range each {
			w.user()
		}
		return nil
	}) {
		w.ok(err)
	}
	claimed := make(chan int64, parallel*each)
	for _, err := range together(parallel, func(int) error {
		for {
			got, err := w.any().ClaimDeliveries(w.ctx, hook.ID, minute, 3)
			if err != nil || len(got) == 0 {
				return err
			}
			for _, d := range got {
				claimed <- d.ID
			}
		}
	}) {
		w.ok(err)
	}
	close(claimed)
	seen := map[int64]bool{}
	for id := range claimed {
		is(w, "claimed twice", seen[id], false)
		seen[id] = true
	}
	is(w, "claimed", len(seen), parallel*each)
}

func nodeEvents(w *world) {
	hook := w.webhook("node.*")
	for _, isOnline := range []bool{false, true, true, false, false, true} {
		w.ok(w.store.TellNode(w.ctx, 7, isOnline))
	}
	w.ok(w.store.TellNode(w.ctx, 8, false)) // one that never came
	w.tells(hook.ID, vpn.EventOnline, vpn.EventOffline, vpn.EventOnline)
	for _, err := range together(parallel, func(int) error { return w.any().TellNode(w.ctx, 9, true) }) {
		w.ok(err)
	}
	is(w, "told", len(w.told(hook.ID)), 4)
	told, err := w.store.NodesTold(w.ctx)
	w.ok(err)
	is(w, "online", len(told) == 2 && told[7] && told[9], true)
}

func expiryEvents(w *world) {
	hook := w.webhook("subscription.day_left")
	plan := w.plan(vpn.Plan{PeriodDays: 30})
	const day = 24 * time.Hour
	tell := func(until time.Time) {
		w.Helper()
		for more := true; more; {
			var err error
			more, err = w.store.TellExpiries(w.ctx, vpn.EventDayLeft, until, 2*day)
			w.ok(err)
		}
	}
	subscribe := func(userID int64, length, expiresIn time.Duration) {
		w.Helper()
		at := today.Add(expiresIn)
		w.ok(w.setSubscription(vpn.Subscription{UserID: userID, PlanID: plan.ID, StartsAt: at.Add(-length), ExpiresAt: at}, by("subscription.set")))
	}
	before, soon, short, later := w.user(), w.user(), w.user(), w.user()
	subscribe(before.ID, 30*day, -time.Second)
	tell(today)
	w.tells(hook.ID) // what was over before the first look is not told
	subscribe(soon.ID, 30*day, time.Minute)
	subscribe(short.ID, day, time.Minute)
	subscribe(later.ID, 30*day, time.Hour)
	forLife := w.user()
	w.ok(w.setSubscription(vpn.Subscription{UserID: forLife.ID, PlanID: plan.ID}, by("subscription.set")))
	tell(today.Add(time.Minute))
	for _, err := range together(8, func(int) error {
		_, err := w.any().TellExpiries(w.ctx, vpn.EventDayLeft, today.Add(2*time.Minute), 2*day)
		return err
	}) {
		w.ok(err)
	}
	w.tells(hook.ID, vpn.EventDayLeft)
	list, err := w.store.Deliveries(w.ctx, hook.ID, 0, 1)
	w.ok(err)
	is(w, "told of", list[0].UserID, soon.ID)
	subscribe(soon.ID, 30*day, 3*time.Hour) // extended: another period
	tell(today.Add(4 * time.Hour))
	tell(today)
	is(w, "told", len(w.told(hook.ID)), 3)
}

// manyExpiries end at a few instants: nobody is left out where a page ends.
func manyExpiries(w *world) {
	const users = 2500
	hook := w.webhook(vpn.EventExpired)
	plan := w.plan(vpn.Plan{PeriodDays: 30})
	_, err := w.store.TellExpiries(w.ctx, vpn.EventExpired, today, 0)
	w.ok(err)
	for _, err := range together(parallel, func(i int) error {
		for n := i; n < users; n += parallel {
			s := vpn.Subscription{UserID: w.user().ID, PlanID: plan.ID, StartsAt: today, ExpiresAt: today.Add(time.Duration(1+n/100) * time.Second)}
			if err := w.setSubscription(s, by("subscription.set")); err != nil {
				return err
			}
		}
		return nil
	}) {
		w.ok(err)
	}
	for more := true; more; {
		more, err = w.store.TellExpiries(w.ctx, vpn.EventExpired, today.Add(time.Hour), 0)
		w.ok(err)
	}
	seen := map[int64]bool{}
	for {
		claimed := w.claim(hook.ID, minute, 500)
		if len(claimed) == 0 {
			break
		}
		for _, d := range claimed {
			is(w, "told twice", seen[d.UserID], false)
			seen[d.UserID] = true
		}
	}
	is(w, "told", len(seen), users)
}

func quotaEvents(w *world) {
	hook := w.webhook("subscription.traffic_80", "subscription.traffic_100")
	plan := w.plan(vpn.Plan{TrafficLimit: 1000})
	u := w.user()
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID, TrafficResetsAt: end}, by("subscription.set")))
	in, _ := w.signIn(u.ID)
	server := w.server()
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	seq := uint64(0)
	use := func(bytes int64) {
		w.Helper()
		seq++
		_, _, _, err := w.store.ApplyUsage(w.ctx, vpn.UsageReport{NodeID: server.ID, Stream: 1, Seq: seq, Entries: []vpn.UsageEntry{{KeyID: key.ID, Up: bytes}}}, today)
		w.ok(err)
	}
	use(799)
	w.tells(hook.ID)
	use(1)
	use(100)
	w.tells(hook.ID, vpn.EventTraffic80)
	use(100)
	use(1000)
	w.tells(hook.ID, vpn.EventTraffic80, vpn.EventTraffic100)
	// A larger limit in the same period tells nothing twice; the next period does.
	plan.TrafficLimit = 10_000
	w.ok(w.store.UpdatePlan(w.ctx, plan, by("plan.update")))
	use(9000)
	w.tells(hook.ID, vpn.EventTraffic80, vpn.EventTraffic100)
	w.ok(w.store.ResetTraffic(w.ctx, u.ID, end, end.Add(time.Hour)))
	use(20_000) // over both at once: the larger is told
	w.tells(hook.ID, vpn.EventTraffic80, vpn.EventTraffic100, vpn.EventTraffic100)
}

func mailRefusals(w *world) {
	u, other := w.user(), w.user()
	wants := func(id int64, want bool) {
		w.Helper()
		got, err := w.store.WantsMail(w.ctx, id)
		w.ok(err)
		is(w, "wants mail", got, want)
	}
	wants(u.ID, true)
	token := w.store.MailToken(u.ID)
	id, err := w.store.MailTokenUser(token)
	w.ok(err)
	is(w, "user of the token", id, u.ID)
	for _, bad := range []string{"", "x", token[1:], token + "A", strings.Repeat("A", 64), strings.Repeat("A", 1000)} {
		_, err := w.store.MailTokenUser(bad)
		w.is(err, vpn.ErrNotFound)
	}
	for range 2 {
		w.ok(w.store.SetWantsMail(w.ctx, u.ID, false))
	}
	wants(u.ID, false)
	wants(other.ID, true)
	for range 2 {
		w.ok(w.store.SetWantsMail(w.ctx, u.ID, true))
	}
	wants(u.ID, true)
	w.is(w.store.SetWantsMail(w.ctx, u.ID+1000, false), vpn.ErrNotFound)

	// Mail is a webhook that is off until there is a mail server.
	mailed := func() int { w.Helper(); return len(w.told(vpn.MailWebhook)) }
	at := today
	expire := func() {
		w.Helper()
		at = at.Add(time.Hour)
		plan := w.plan(vpn.Plan{})
		_, err := w.store.TellExpiries(w.ctx, vpn.EventExpired, at, 0)
		w.ok(err)
		w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID, StartsAt: today, ExpiresAt: at.Add(time.Minute)}, by("subscription.set")))
		_, err = w.store.TellExpiries(w.ctx, vpn.EventExpired, at.Add(time.Minute), 0)
		w.ok(err)
	}
	expire()
	is(w, "mails while off", mailed(), 0)
	w.ok(w.store.SetMailing(w.ctx, true))
	expire()
	is(w, "mails", mailed(), 1)
}
