package storetest

import (
	"maps"
	"math"
	"slices"
	"time"

	"stile/vpn"
)

// report books a report that must be the next one.
func (w *world) report(nodeID int64, stream, seq uint64, entries ...vpn.UsageEntry) (exceeded []int64) {
	w.Helper()
	cursor, applied, exceeded, err := w.store.ApplyUsage(w.ctx, vpn.UsageReport{NodeID: nodeID, Stream: stream, Seq: seq, Entries: entries}, today)
	w.ok(err)
	is(w, "applied", applied, true)
	is(w, "cursor", cursor, seq)
	return exceeded
}

// used is all the traffic of a user.
func (w *world) used(userID int64) (up, down int64) {
	w.Helper()
	days, err := w.store.UserUsage(w.ctx, userID, 1000)
	w.ok(err)
	for _, d := range days {
		up += d.Up
		down += d.Down
	}
	return up, down
}

func usage(w *world) {
	u, server := w.user(), w.server()
	plan := w.plan(vpn.Plan{})
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID}, by("x")))
	in, token := w.signIn(u.ID)
	second, _ := w.signIn(u.ID)
	a := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	b := w.issue(w.newKey(u.ID, second.DeviceID, server.ID))
	w.report(server.ID, 1, 1, vpn.UsageEntry{KeyID: a.ID, Up: 1, Down: 10}, vpn.UsageEntry{KeyID: b.ID, Up: 2, Down: 20}, vpn.UsageEntry{KeyID: a.ID, Up: 4})
	tomorrow := today.Add(24 * time.Hour)
	later := vpn.UsageReport{NodeID: server.ID, Stream: 1, Seq: 2, Entries: []vpn.UsageEntry{{KeyID: a.ID, Up: 100, Down: 1000}}}
	_, applied, _, err := w.store.ApplyUsage(w.ctx, later, tomorrow.Add(13*time.Hour))
	w.ok(err)
	is(w, "applied", applied, true)

	days, err := w.store.UserUsage(w.ctx, u.ID, 10)
	w.ok(err)
	if !slices.Equal(days, []vpn.DayUsage{{Day: tomorrow, Up: 100, Down: 1000}, {Day: today, Up: 7, Down: 30}}) {
		w.Fatalf("days: %+v", days)
	}
	days, err = w.store.UserUsage(w.ctx, u.ID, 1)
	w.ok(err)
	if len(days) != 1 || days[0].Day != tomorrow {
		w.Fatalf("latest day: %+v", days)
	}
	e, err := w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "used bytes", e.Subscription.UsedBytes, 1137)

	// Traffic of a key that was removed meanwhile still counts.
	_, err = w.store.SignOut(w.ctx, in.TokenID, by("x"))
	w.ok(err)
	w.report(server.ID, 1, 3, vpn.UsageEntry{KeyID: a.ID, Up: 1})
	up, _ := w.used(u.ID)
	is(w, "up", up, 108)
	_, err = w.store.Session(w.ctx, 0, token)
	w.is(err, vpn.ErrNotFound)
}

func usageOnce(w *world) {
	u, server, other := w.user(), w.server(), w.server()
	in, token := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	apply := func(node int64, stream, seq uint64, wantCursor uint64, wantApplied bool) {
		w.Helper()
		r := vpn.UsageReport{NodeID: node, Stream: stream, Seq: seq, Entries: []vpn.UsageEntry{{KeyID: key.ID, Up: 1}}}
		cursor, applied, _, err := w.store.ApplyUsage(w.ctx, r, today.Add(10*365*24*time.Hour))
		w.ok(err)
		is(w, "cursor", cursor, wantCursor)
		is(w, "applied", applied, wantApplied)
	}
	const stream = math.MaxUint64 - 7 // 64 bits are 64 bits
	apply(server.ID, stream, 0, 0, false)
	apply(server.ID, stream, 2, 0, false) // a gap before the first
	apply(server.ID, stream, 1, 1, true)
	apply(server.ID, stream, 1, 1, false) // a duplicate
	apply(server.ID, stream, 3, 1, false) // a gap
	apply(server.ID, stream, 2, 2, true)
	apply(server.ID, stream, 1, 2, false)
	apply(server.ID, stream, math.MaxUint64, 2, false)
	apply(server.ID, 5, 1, 1, true) // another start of the node
	apply(other.ID, stream, 1, 1, true)
	up, _ := w.used(u.ID)
	is(w, "up", up, 3) // the other node's does not count: it is not its key
	cursors, err := w.store.UsageCursor(w.ctx, server.ID)
	w.ok(err)
	if len(cursors) != 2 || cursors[stream] != 2 || cursors[5] != 1 {
		w.Fatalf("cursors: %v", cursors)
	}
	s, err := w.store.Session(w.ctx, 0, token)
	w.ok(err)
	is(w, "device seen", s.Device.LastSeenDay, today.Add(10*365*24*time.Hour))
	is(w, "token used", s.Token.LastUsedDay, today.Add(10*365*24*time.Hour))

	// Sixty-four senders of the same reports count them once.
	for _, err := range together(parallel, func(int) error {
		for seq := range uint64(10) {
			r := vpn.UsageReport{NodeID: server.ID, Stream: 6, Seq: seq + 1, Entries: []vpn.UsageEntry{{KeyID: key.ID, Down: 1}}}
			if _, _, _, err := w.any().ApplyUsage(w.ctx, r, today); err != nil {
				return err
			}
		}
		return nil
	}) {
		w.ok(err)
	}
	_, down := w.used(u.ID)
	is(w, "down", down, 10)
}

func usageOfManyKeys(w *world) {
	const deviceCount = 300 // more than one statement's worth
	u, server := w.user(), w.server()
	plan := w.plan(vpn.Plan{})
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID}, by("x")))
	entries := make([]vpn.UsageEntry, deviceCount)
	for _, err := range together(deviceCount, func(i int) error {
		in, _ := w.signIn(u.ID)
		k, err := w.any().IssueKey(w.ctx, w.newKey(u.ID, in.DeviceID, server.ID), by("key.issue"))
		entries[i] = vpn.UsageEntry{KeyID: k.ID, Up: 1, Down: int64(i)}
		return err
	}) {
		w.ok(err)
	}
	w.report(server.ID, 1, 1, entries...)
	w.report(server.ID, 1, 2, entries...)
	up, down := w.used(u.ID)
	is(w, "up", up, 2*deviceCount)
	is(w, "down", down, deviceCount*(deviceCount-1))
	e, err := w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "used bytes", e.Subscription.UsedBytes, up+down)
}

func usageOfStrangers(w *world) {
	u, server := w.user(), w.server()
	in, _ := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	w.report(server.ID, 1, 1)
	w.report(server.ID, 1, 2, vpn.UsageEntry{KeyID: key.ID + 1000, Up: 1}, vpn.UsageEntry{KeyID: -1, Up: 1})
	w.report(server.ID, 1, 3, vpn.UsageEntry{KeyID: key.ID, Up: -1, Down: 5}, vpn.UsageEntry{KeyID: key.ID, Up: 1, Down: math.MinInt64},
		vpn.UsageEntry{KeyID: key.ID, Up: math.MaxInt64, Down: math.MaxInt64}, vpn.UsageEntry{KeyID: key.ID})
	up, down := w.used(u.ID)
	is(w, "traffic", up+down, 0)
	w.report(server.ID, 1, 4, vpn.UsageEntry{KeyID: key.ID, Up: 1 << 50, Down: 1 << 50})
	up, down = w.used(u.ID)
	is(w, "traffic", up+down, 1<<51)
}

func quota(w *world) {
	u, server := w.user(), w.server()
	plan := w.plan(vpn.Plan{TrafficLimit: 100})
	s := vpn.Subscription{UserID: u.ID, PlanID: plan.ID, TrafficResetsAt: time.Now().Add(time.Hour)}
	w.ok(w.setSubscription(s, by("x")))
	in, _ := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	settle := func(notAfter time.Time) {
		w.Helper()
		_, err := w.store.RefreshKeys(w.ctx, u.ID, vpn.KeyTerms{NotAfter: notAfter})
		w.ok(err)
	}
	isDue := func(want bool) {
		w.Helper()
		due, err := w.store.UsersDue(w.ctx, time.Now(), 10)
		w.ok(err)
		is(w, "due", slices.Contains(due, u.ID), want)
	}
	settle(time.Time{})
	is(w, "exceeded below the limit", len(w.report(server.ID, 1, 1, vpn.UsageEntry{KeyID: key.ID, Up: 99})), 0)
	isDue(false)
	if got := w.report(server.ID, 1, 2, vpn.UsageEntry{KeyID: key.ID, Down: 1}); !slices.Equal(got, []int64{u.ID}) {
		w.Fatalf("exceeded at the limit: %v", got)
	}
	isDue(true)
	settle(time.UnixMilli(1))
	isDue(false)
	is(w, "exceeded above the limit", len(w.report(server.ID, 1, 3, vpn.UsageEntry{KeyID: key.ID, Down: 1})), 0)
	isDue(false)
	settle(time.Now().Add(time.Hour)) // somebody's mistake
	is(w, "exceeded long ago", len(w.report(server.ID, 1, 4, vpn.UsageEntry{KeyID: key.ID, Down: 1})), 0)
	isDue(true)

	// What comes after the end of the period takes nobody over the quota of the next.
	s.TrafficResetsAt = time.Now().Add(-time.Hour)
	w.ok(w.setSubscription(s, by("x")))
	is(w, "exceeded after the period", len(w.report(server.ID, 1, 5, vpn.UsageEntry{KeyID: key.ID, Down: 1000})), 0)
}

// A cursor goes when its stream is old and the node has nothing of it, or when the server has been gone for long.
func oldCursors(w *world) {
	server, other := w.server(), w.server()
	day := func(days int) time.Time { return today.Add(time.Duration(days) * 24 * time.Hour) }
	report := func(nodeID int64, stream, seq uint64, on time.Time) {
		w.Helper()
		_, applied, _, err := w.store.ApplyUsage(w.ctx, vpn.UsageReport{NodeID: nodeID, Stream: stream, Seq: seq}, on)
		w.ok(err)
		is(w, "applied", applied, true)
	}
	const large = 1<<63 + 7 // kept as a signed number
	for stream, on := range map[uint64]time.Time{1: day(0), 2: day(0), 3: day(2), large: day(0)} {
		report(server.ID, stream, 1, on)
		report(other.ID, stream, 1, on)
	}
	report(server.ID, 1, 2, day(1))
	are := func(nodeID int64, want map[uint64]uint64) {
		w.Helper()
		cursors, err := w.store.UsageCursor(w.ctx, nodeID)
		w.ok(err)
		if !maps.Equal(cursors, want) {
			w.Errorf("cursors %v, want %v", cursors, want)
		}
	}
	compact := func(before time.Time, want int, held ...uint64) {
		w.Helper()
		n, err := w.store.CompactCursors(w.ctx, server.ID, held, before)
		w.ok(err)
		is(w, "removed", n, want)
	}
	compact(day(0), 0)
	compact(day(1), 1, large)
	are(server.ID, map[uint64]uint64{1: 2, 3: 1, large: 1})
	compact(day(3), 2, 1)
	are(server.ID, map[uint64]uint64{1: 2})
	all := map[uint64]uint64{1: 1, 2: 1, 3: 1, large: 1}
	are(other.ID, all)

	_, err := w.store.RemoveServer(w.ctx, other.ID, by("server.remove"))
	w.ok(err)
	w.ok(w.store.ForgetCursors(w.ctx, day(-40_000)))
	are(other.ID, all)
	w.ok(w.store.ForgetCursors(w.ctx, day(40_000)))
	are(other.ID, map[uint64]uint64{})
	are(server.ID, map[uint64]uint64{1: 2})
}
