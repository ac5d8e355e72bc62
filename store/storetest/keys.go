package storetest

import (
	"errors"
	"slices"
	"time"

	"stile/vpn"
)

func keys(w *world) {
	u, server, other := w.user(), w.server(), w.server()
	in, _ := w.signIn(u.ID)
	_, err := w.store.DeviceKey(w.ctx, in.DeviceID, server.ID)
	w.is(err, vpn.ErrNotFound)
	asked := w.newKey(u.ID, in.DeviceID, server.ID)
	limits := vpn.KeyLimits{UpBytesPerSecond: 1, DownBytesPerSecond: 2, MaxSessions: 3}
	asked.Terms = terms(today.Add(1500*time.Microsecond), limits) // kept in milliseconds
	key := w.issue(asked)
	is(w, "key", key, vpn.Key{
		ID: key.ID, UserID: u.ID, DeviceID: in.DeviceID, ServerID: server.ID, Seed: asked.Seed, Limits: limits,
		NotAfter: today.Add(time.Millisecond), Rev: 1, CreatedAt: key.CreatedAt,
	})
	if key.ID <= 0 || key.CreatedAt.IsZero() {
		w.Fatalf("incomplete: %+v", key)
	}
	w.keyIs(key)

	// Asking again returns the same key, whatever the seed; other limits or another deadline are noted.
	again := asked
	again.Seed[0]++
	is(w, "again", w.issue(again), key)
	again.Terms = terms(time.Time{}, limits)
	key.NotAfter, key.Rev = time.Time{}, 2
	is(w, "with another deadline", w.issue(again), key)
	limits.MaxSessions = 0
	again.Terms = terms(time.Time{}, limits)
	key.Limits.MaxSessions, key.Rev = 0, 3
	is(w, "with other limits", w.issue(again), key)
	w.keyIs(key)
	w.digestHolds(server.ID)

	w.issue(w.newKey(u.ID, in.DeviceID, other.ID))
	ids, err := w.store.DeviceServers(w.ctx, in.DeviceID)
	w.ok(err)
	if !slices.Equal(ids, []int64{server.ID, other.ID}) {
		w.Fatalf("servers: %v", ids)
	}
}

// terms is the rule of a key that has these, whoever asks.
func terms(notAfter time.Time, l vpn.KeyLimits) func(*vpn.User, *vpn.Entitlement, int) (time.Time, vpn.KeyLimits, error) {
	return func(*vpn.User, *vpn.Entitlement, int) (time.Time, vpn.KeyLimits, error) { return notAfter, l, nil }
}

// judged: the rule of a key sees what the user, the subscription, the plan and the server are, and its refusal is the answer.
func judged(w *world) {
	u, server, other := w.user(), w.server(), w.server()
	in, _ := w.signIn(u.ID)
	refusal := &vpn.Error{Code: vpn.CodePlanUpgradeRequired}
	var user vpn.User
	var e vpn.Entitlement
	var tier int
	asked := w.newKey(u.ID, in.DeviceID, server.ID)
	asked.Terms = func(u *vpn.User, seen *vpn.Entitlement, t int) (time.Time, vpn.KeyLimits, error) {
		user, e, tier = *u, *seen, t
		return time.Time{}, vpn.KeyLimits{}, refusal
	}
	ask := func() {
		w.Helper()
		if _, err := w.store.IssueKey(w.ctx, asked, by("key.issue")); !errors.Is(err, refusal) {
			w.Fatalf("refused by %v", err)
		}
	}
	ask()
	is(w, "user", user, vpn.User{ID: u.ID, Status: vpn.UserActive})
	is(w, "entitlement", e, vpn.Entitlement{})
	plan, err := w.store.AddPlan(w.ctx, vpn.Plan{Code: "judged", Name: vpn.Text{EN: "Judged"}, Tier: 2, DeviceLimit: 3}, by("x"))
	w.ok(err)
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID, StartsAt: today}, by("x")))
	w.ok(w.store.SetUserStatus(w.ctx, u.ID, vpn.UserBlocked, by("x")))
	server.Tier = 7
	w.ok(w.store.UpdateServer(w.ctx, server, by("x")))
	ask()
	stored, err := w.store.Entitlement(w.ctx, u.ID)
	w.ok(err)
	is(w, "user", user, vpn.User{ID: u.ID, Status: vpn.UserBlocked})
	is(w, "entitlement", e, stored)
	is(w, "tier", tier, 7)
	is(w, "audit entries", w.audited("key.issue"), 0)

	// Beside others in one transaction it is refused alone.
	for i, err := range together(parallel, func(i int) error {
		k := w.newKey(u.ID, in.DeviceID, other.ID)
		if i%2 == 0 {
			k = asked
		}
		_, err := w.any().IssueKey(w.ctx, k, by("key.issue"))
		return err
	}) {
		if i%2 == 0 {
			w.is(err, refusal)
		} else {
			w.ok(err)
		}
	}
}

// keyIs fails unless the store holds this key.
func (w *world) keyIs(key vpn.Key) {
	w.Helper()
	byID, err := w.store.Key(w.ctx, key.ID)
	w.ok(err)
	is(w, "key by id", byID, key)
	byDevice, err := w.store.DeviceKey(w.ctx, key.DeviceID, key.ServerID)
	w.ok(err)
	is(w, "key by device", byDevice, key)
}

func keysOfNobody(w *world) {
	u, stranger, server := w.user(), w.user(), w.server()
	in, _ := w.signIn(u.ID)
	for what, k := range map[string]vpn.NewKey{
		"no such device":   w.newKey(u.ID, in.DeviceID+1000, server.ID),
		"another's device": w.newKey(stranger.ID, in.DeviceID, server.ID),
		"no such server":   w.newKey(u.ID, in.DeviceID, server.ID+1000),
		"nobody at all":    w.newKey(0, 0, server.ID),
	} {
		if _, err := w.store.IssueKey(w.ctx, k, by("key.issue")); !errors.Is(err, vpn.ErrNotFound) {
			w.Fatalf("%s: %v", what, err)
		}
	}
	p, err := w.store.NodePosition(w.ctx, server.ID)
	w.ok(err)
	is(w, "position", p, vpn.NodePosition{Epoch: 1})
	_, err = w.store.Key(w.ctx, 1)
	w.is(err, vpn.ErrNotFound)
}

func rotation(w *world) {
	u, server := w.user(), w.server()
	in, _ := w.signIn(u.ID)
	asked := w.newKey(u.ID, in.DeviceID, server.ID)
	asked.Rotate = true
	first := w.issue(asked) // nothing to replace
	asked.Seed[0]++
	second := w.issue(asked)
	if second.ID == first.ID || second.Seed != asked.Seed || second.Rev != 2 {
		w.Fatalf("second key: %+v", second)
	}
	w.keyIs(second)
	_, err := w.store.Key(w.ctx, first.ID)
	w.is(err, vpn.ErrNotFound)
	changes, p, err := w.store.NodeChanges(w.ctx, server.ID, 1, 10)
	w.ok(err)
	if len(changes) != 2 || !changes[0].IsRemoved || changes[0].ID != first.ID || changes[1].ID != second.ID {
		w.Fatalf("changes: %+v", changes)
	}
	is(w, "live keys", p.Count, 1)
	w.digestHolds(server.ID)
}

func oneKeyUnderLoad(w *world) {
	u, server := w.user(), w.server()
	in, _ := w.signIn(u.ID)
	got := make([]vpn.Key, parallel)
	asked := w.newKey(u.ID, in.DeviceID, server.ID)
	for _, err := range together(parallel, func(i int) error {
		k := asked
		k.Seed[0] = byte(i)
		var err error
		got[i], err = w.any().IssueKey(w.ctx, k, by("key.issue"))
		return err
	}) {
		w.ok(err)
	}
	for _, k := range got {
		is(w, "key", k, got[0])
	}
	is(w, "audit entries", w.audited("key.issue"), 1)

	// Rotated by everyone at once: each gets a key of its own, one is left, none is lost.
	asked.Rotate = true
	ids := make([]int64, parallel)
	for _, err := range together(parallel, func(i int) error {
		k, err := w.any().IssueKey(w.ctx, asked, by("key.rotate"))
		ids[i] = k.ID
		return err
	}) {
		w.ok(err)
	}
	slices.Sort(ids)
	is(w, "different keys", len(slices.Compact(ids)), parallel)
	p := w.digestHolds(server.ID)
	is(w, "live keys", p.Count, 1)
	is(w, "revision", p.Rev, 1+parallel)
	is(w, "audit entries", w.audited("key.rotate"), parallel)
}

// keySaidToBeNew issues keys of which it is said that there is none: by many at once, and where there is one.
func keySaidToBeNew(w *world) {
	u, server := w.user(), w.server()
	in, _ := w.signIn(u.ID)
	asked := w.newKey(u.ID, in.DeviceID, server.ID)
	asked.IsNew = true
	others := make([]vpn.NewKey, parallel)
	for i := range others {
		v := w.user()
		device, _ := w.signIn(v.ID)
		others[i] = w.newKey(v.ID, device.DeviceID, server.ID)
		others[i].IsNew = true
	}
	got := make([]vpn.Key, parallel)
	for _, err := range together(2*parallel, func(i int) error {
		if i < parallel {
			k := asked
			k.Seed[0] = byte(i)
			var err error
			got[i], err = w.any().IssueKey(w.ctx, k, by("key.issue"))
			return err
		}
		_, err := w.any().IssueKey(w.ctx, others[i-parallel], by("key.issue"))
		return err
	}) {
		w.ok(err)
	}
	for _, k := range got {
		is(w, "key", k, got[0])
	}
	again := w.issue(asked)
	is(w, "key that was there", again, got[0])
	w.keyIs(again)
	is(w, "audit entries", w.audited("key.issue"), 1+parallel)
	is(w, "live keys", w.digestHolds(server.ID).Count, 1+parallel)

	asked.Rotate = true
	asked.Seed[0] = parallel
	rotated := w.issue(asked)
	if rotated.ID == again.ID || rotated.Seed != asked.Seed {
		w.Fatalf("rotated: %+v", rotated)
	}
	w.keyIs(rotated)
	is(w, "live keys", w.digestHolds(server.ID).Count, 1+parallel)
}

func manyKeysUnderLoad(w *world) {
	const rounds = 5
	u := w.user()
	var nodes []int64
	for range 3 {
		nodes = append(nodes, w.server().ID)
	}
	devices := make([]int64, parallel)
	for i := range devices {
		in, _ := w.signIn(u.ID)
		devices[i] = in.DeviceID
	}
	keys := make([][]vpn.Key, parallel)
	for _, err := range together(parallel, func(i int) error {
		for r := range rounds {
			k := w.newKey(u.ID, devices[i], nodes[(i+r)%len(nodes)])
			k.Rotate = r >= len(nodes)
			key, err := w.any().IssueKey(w.ctx, k, by("key.issue"))
			if err != nil {
				return err
			}
			keys[i] = append(keys[i], key)
		}
		return nil
	}) {
		w.ok(err)
	}
	revs := map[int64][]int64{}
	ids := map[int64]bool{}
	for _, of := range keys {
		for _, k := range of {
			revs[k.ServerID] = append(revs[k.ServerID], k.Rev)
			is(w, "id seen before", ids[k.ID], false)
			ids[k.ID] = true
		}
	}
	for _, node := range nodes {
		p := w.digestHolds(node)
		is(w, "live keys", p.Count, parallel)
		slices.Sort(revs[node])
		for i, rev := range revs[node] { // no gap, none twice
			is(w, "revision", rev, int64(i)+1)
		}
		is(w, "last revision", p.Rev, int64(len(revs[node])))
	}
	is(w, "audit entries", w.audited("key.issue"), parallel*rounds)
}

// mixedWritesUnderLoad puts refusals beside successes in shared transactions: neither touches the other.
func mixedWritesUnderLoad(w *world) {
	u, server := w.user(), w.server()
	in, _ := w.signIn(u.ID)
	for i, err := range together(parallel, func(i int) error {
		switch i % 4 {
		case 0:
			_, err := w.any().AddUser(w.ctx, vpn.NewUser{Email: "same@example.com"}, by("user.same"))
			return err
		case 1:
			_, err := w.any().IssueKey(w.ctx, w.newKey(u.ID, in.DeviceID, server.ID), by("key.issue"))
			return err
		case 2:
			_, err := w.any().IssueKey(w.ctx, w.newKey(u.ID, in.DeviceID, server.ID+1000), by("key.issue"))
			return err
		default:
			return w.any().RenameDevice(w.ctx, u.ID, in.DeviceID, "name", by("device.rename"))
		}
	}) {
		switch {
		case i%4 == 0 && errors.Is(err, vpn.ErrTaken):
		case i%4 == 2:
			w.is(err, vpn.ErrNotFound)
		default:
			w.ok(err)
		}
	}
	is(w, "users made", w.audited("user.same"), 1)
	is(w, "keys made", w.audited("key.issue"), 1)
	is(w, "renamed", w.audited("device.rename"), parallel/4)
}

func revokeAgainstIssue(w *world) {
	u, server := w.user(), w.server()
	const removers = 8
	for range 10 {
		in, _ := w.signIn(u.ID)
		for i, err := range together(parallel, func(i int) error {
			if i%removers == 0 {
				_, err := w.any().RemoveDevice(w.ctx, u.ID, in.DeviceID, by("device.remove"))
				return err
			}
			k := w.newKey(u.ID, in.DeviceID, server.ID)
			k.Rotate = i%2 == 0
			_, err := w.any().IssueKey(w.ctx, k, by("key.issue"))
			return err
		}) {
			if err != nil && !errors.Is(err, vpn.ErrNotFound) {
				w.Fatalf("caller %d: %v", i, err)
			}
		}
		_, err := w.store.DeviceKey(w.ctx, in.DeviceID, server.ID)
		w.is(err, vpn.ErrNotFound)
	}
	is(w, "live keys", w.digestHolds(server.ID).Count, 0)
	is(w, "removals", w.audited("device.remove"), 10)
}

func refresh(w *world) {
	u, other, first, second := w.user(), w.user(), w.server(), w.server()
	var mine []vpn.Key
	for range 2 {
		in, _ := w.signIn(u.ID)
		for _, server := range []vpn.Server{first, second} {
			mine = append(mine, w.issue(w.newKey(u.ID, in.DeviceID, server.ID)))
		}
	}
	in, _ := w.signIn(other.ID)
	theirs := w.issue(w.newKey(other.ID, in.DeviceID, first.ID))

	limits := vpn.KeyLimits{DownBytesPerSecond: 1000}
	terms := vpn.KeyTerms{NotAfter: today, Limits: limits}
	changed, err := w.store.RefreshKeys(w.ctx, u.ID, terms)
	w.ok(err)
	if !slices.Equal(changed, []vpn.NodeRev{{NodeID: first.ID, Rev: 4}, {NodeID: second.ID, Rev: 3}}) {
		w.Fatalf("changed nodes: %v", changed)
	}
	for _, k := range mine {
		k.NotAfter, k.Limits, k.Rev = today, limits, 4
		if k.ServerID == second.ID {
			k.Rev = 3
		}
		w.keyIs(k)
	}
	w.keyIs(theirs)
	w.digestHolds(first.ID)
	w.digestHolds(second.ID)
	changed, err = w.store.RefreshKeys(w.ctx, u.ID, terms)
	w.ok(err)
	is(w, "changed again", len(changed), 0)
	changed, err = w.store.RefreshKeys(w.ctx, u.ID+1000, terms)
	w.ok(err)
	is(w, "changed for nobody", len(changed), 0)
}

// tiers has a user's keys on servers of two tiers, and moves the user and a server between them.
func tiers(w *world) {
	u, open, locked := w.user(), w.server(), w.server()
	locked.Tier = 2
	w.ok(w.store.UpdateServer(w.ctx, locked, by("x"))) // nobody has a key on it
	in, _ := w.signIn(u.ID)
	low := w.issue(w.newKey(u.ID, in.DeviceID, open.ID))
	high := w.issue(w.newKey(u.ID, in.DeviceID, locked.ID))
	settle := func(terms vpn.KeyTerms, want ...vpn.NodeRev) {
		w.Helper()
		w.spread(10)
		changed, err := w.store.RefreshKeys(w.ctx, u.ID, terms)
		w.ok(err)
		if !slices.Equal(changed, want) {
			w.Fatalf("changed nodes: %v, want %v", changed, want)
		}
		w.keyIs(low)
		w.keyIs(high)
		w.digestHolds(open.ID)
		w.digestHolds(locked.ID)
		w.dueIs()
	}
	past := time.UnixMilli(1).UTC()
	terms := vpn.KeyTerms{Tier: 1, NotAfterAbove: past}
	high.NotAfter, high.Rev = past, 2
	settle(terms, vpn.NodeRev{NodeID: locked.ID, Rev: 2})
	settle(terms)
	terms.Tier = 2
	high.NotAfter, high.Rev = time.Time{}, 3
	settle(terms, vpn.NodeRev{NodeID: locked.ID, Rev: 3})

	// Another tier of a server makes those due who have a live key on it; its other values do not.
	stranger := w.user()
	there, _ := w.signIn(stranger.ID)
	w.issue(w.newKey(stranger.ID, there.DeviceID, open.ID))
	locked.Capacity = 1
	w.ok(w.store.UpdateServer(w.ctx, locked, by("x")))
	w.dueIs()
	locked.Tier = 3
	w.ok(w.store.UpdateServer(w.ctx, locked, by("x")))
	w.dueIs(u.ID)
	high.NotAfter, high.Rev = past, 4
	settle(terms, vpn.NodeRev{NodeID: locked.ID, Rev: 4})
	locked.Tier = 0
	w.ok(w.store.UpdateServer(w.ctx, locked, by("x")))
	w.dueIs(u.ID)
	high.NotAfter, high.Rev = time.Time{}, 5
	settle(terms, vpn.NodeRev{NodeID: locked.ID, Rev: 5})
	_, err := w.store.RemoveDevice(w.ctx, u.ID, in.DeviceID, by("device.remove"))
	w.ok(err)
	locked.Tier = 1
	w.ok(w.store.UpdateServer(w.ctx, locked, by("x")))
	w.dueIs()
}

// dueIs fails unless exactly these users are due, or become so.
func (w *world) dueIs(want ...int64) {
	w.Helper()
	w.spread(10)
	due, err := w.store.UsersDue(w.ctx, today, 10)
	w.ok(err)
	if !slices.Equal(due, want) {
		w.Fatalf("due: %v, want %v", due, want)
	}
}
