package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"stile/vpn"
	"stile/wire"
)

// sum is what a key adds to the digest of its node.
func sum(k vpn.NodeKey) wire.Sum {
	notAfter := int64(0)
	if !k.NotAfter.IsZero() {
		notAfter = k.NotAfter.UnixMilli()
	}
	return wire.Key{
		ID: k.ID, Seed: wire.Seed(k.Seed), NotAfter: notAfter, UpBytesPerSecond: k.Limits.UpBytesPerSecond,
		DownBytesPerSecond: k.Limits.DownBytesPerSecond, MaxSessions: int64(k.Limits.MaxSessions),
	}.Sum()
}

// snapshot returns a node's live keys, without its tombstones, and the position.
func (w *world) snapshot(nodeID int64) ([]vpn.NodeKey, vpn.NodePosition) {
	w.Helper()
	var keys []vpn.NodeKey
	p, err := w.store.NodeSnapshot(w.ctx, nodeID, func(k vpn.NodeKey) error {
		if !k.IsRemoved {
			keys = append(keys, k)
		}
		return nil
	})
	w.ok(err)
	return keys, p
}

// digestHolds fails unless count and digest of a node's position are those of its live keys.
func (w *world) digestHolds(nodeID int64) vpn.NodePosition {
	w.Helper()
	keys, p := w.snapshot(nodeID)
	var digest wire.Digest
	for _, k := range keys {
		digest.Add(sum(k))
	}
	is(w, "count", p.Count, len(keys))
	is(w, "digest", wire.Digest(p.Digest), digest)
	if !slices.IsSortedFunc(keys, func(a, b vpn.NodeKey) int { return int(a.ID - b.ID) }) {
		w.Fatalf("the snapshot is not in the order of ids")
	}
	return p
}

func nodeChanges(w *world) {
	u, server, other := w.user(), w.server(), w.server()
	_, _, err := w.store.NodeChanges(w.ctx, server.ID+1000, 0, 10)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.NodePosition(w.ctx, server.ID+1000)
	w.is(err, vpn.ErrNotFound)

	var issued []vpn.Key
	for range 5 {
		in, _ := w.signIn(u.ID)
		issued = append(issued, w.issue(w.newKey(u.ID, in.DeviceID, server.ID)))
		w.issue(w.newKey(u.ID, in.DeviceID, other.ID))
	}
	changes, p, err := w.store.NodeChanges(w.ctx, server.ID, 0, 3)
	w.ok(err)
	is(w, "position", p.Rev, 5)
	is(w, "changes", len(changes), 3)
	for i, c := range changes {
		is(w, "change", c, vpn.NodeKey{ID: issued[i].ID, Seed: issued[i].Seed, Rev: int64(i) + 1})
	}
	changes, _, err = w.store.NodeChanges(w.ctx, server.ID, 3, 3)
	w.ok(err)
	is(w, "the rest", len(changes), 2)
	changes, p, err = w.store.NodeChanges(w.ctx, server.ID, 5, 3)
	w.ok(err)
	is(w, "no change", len(changes), 0)
	is(w, "position", p.Rev, 5)

	// One revision comes whole, over the limit if need be.
	_, err = w.store.RefreshKeys(w.ctx, u.ID, vpn.KeyTerms{NotAfter: today})
	w.ok(err)
	in, _ := w.signIn(u.ID)
	w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	changes, p, err = w.store.NodeChanges(w.ctx, server.ID, 5, 2)
	w.ok(err)
	is(w, "position", p.Rev, 7)
	is(w, "changes of one revision", len(changes), 5)
	for _, c := range changes {
		is(w, "revision", c.Rev, 6)
		is(w, "deadline", c.NotAfter, today)
	}

	revs, err := w.store.NodeRevs(w.ctx)
	w.ok(err)
	if !slices.Equal(revs, []vpn.NodeRev{{NodeID: server.ID, Rev: 7}, {NodeID: other.ID, Rev: 6}}) {
		w.Fatalf("revisions: %v", revs)
	}
}

func nodeSnapshot(w *world) {
	u, server := w.user(), w.server()
	_, err := w.store.NodeSnapshot(w.ctx, server.ID+1000, func(vpn.NodeKey) error { return nil })
	w.is(err, vpn.ErrNotFound)
	keys, p := w.snapshot(server.ID)
	is(w, "keys of an empty node", len(keys), 0)
	is(w, "position of an empty node", p, vpn.NodePosition{Epoch: 1})
	for range 3 {
		in, _ := w.signIn(u.ID)
		w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	}
	enough := errors.New("enough")
	calls := 0
	_, err = w.store.NodeSnapshot(w.ctx, server.ID, func(vpn.NodeKey) error {
		calls++
		return enough
	})
	w.is(err, enough)
	is(w, "calls", calls, 1)

	// While keys change, every snapshot and every delta agrees with its own position.
	in, _ := w.signIn(u.ID)
	ctx, stop := context.WithCancel(w.ctx)
	changing := make(chan error, 1)
	go func() {
		for {
			k := w.newKey(u.ID, in.DeviceID, server.ID)
			k.Rotate = true
			if _, err := w.store.IssueKey(ctx, k, by("key.rotate")); err != nil {
				changing <- err
				return
			}
		}
	}()
	for range 50 {
		w.digestHolds(server.ID)
		changes, p, err := w.store.NodeChanges(w.ctx, server.ID, 3, 1_000_000)
		w.ok(err)
		if len(changes) > 0 {
			is(w, "last change", changes[len(changes)-1].Rev, p.Rev)
		}
	}
	stop()
	w.is(<-changing, context.Canceled)
}

// replica is a node's set, kept by deltas.
type replica struct {
	rev  int64
	keys map[int64]vpn.NodeKey
	dead map[int64]bool
}

// follow applies what changed and compares with the node's position.
func (r *replica) follow(w *world, nodeID int64) {
	w.Helper()
	changes, p, err := w.store.NodeChanges(w.ctx, nodeID, r.rev, 7)
	w.ok(err)
	for _, c := range changes {
		if c.Rev <= r.rev && c.Rev != changes[0].Rev {
			w.Fatalf("revision %d after %d", c.Rev, r.rev)
		}
		if c.IsRemoved {
			delete(r.keys, c.ID)
			r.dead[c.ID] = true
			continue
		}
		is(w, "a dead key came back", r.dead[c.ID], false)
		r.keys[c.ID] = c
	}
	if len(changes) > 0 {
		r.rev = changes[len(changes)-1].Rev
	}
	if r.rev < p.Rev {
		r.follow(w, nodeID)
		return
	}
	var digest wire.Digest
	for _, k := range r.keys {
		digest.Add(sum(k))
	}
	is(w, "digest kept by deltas", digest, wire.Digest(p.Digest))
	is(w, "count kept by deltas", len(r.keys), p.Count)
}

// randomChanges does anything to keys in any order; digests hold and followers of the deltas agree all the way.
func randomChanges(w *world) {
	seed := uint64(time.Now().UnixNano())
	w.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var nodes []int64
	replicas := map[int64]*replica{}
	for range 3 {
		id := w.server().ID
		nodes = append(nodes, id)
		replicas[id] = &replica{keys: map[int64]vpn.NodeKey{}, dead: map[int64]bool{}}
	}
	owners := map[int64]int64{}
	var userIDs, deviceIDs []int64
	for range 120 {
		switch n := random.IntN(20); {
		case n == 0 || len(userIDs) == 0:
			userIDs = append(userIDs, w.user().ID)
		case n < 4 || len(deviceIDs) == 0:
			userID := userIDs[random.IntN(len(userIDs))]
			in, _ := w.signIn(userID)
			owners[in.DeviceID] = userID
			deviceIDs = append(deviceIDs, in.DeviceID)
		case n < 14:
			device := deviceIDs[random.IntN(len(deviceIDs))]
			k := w.newKey(owners[device], device, nodes[random.IntN(len(nodes))])
			k.Rotate = random.IntN(4) == 0
			k.Terms = terms(time.Time{}, vpn.KeyLimits{MaxSessions: random.IntN(2)})
			w.issue(k)
		case n < 17:
			terms := vpn.KeyTerms{NotAfter: today.Add(time.Duration(random.IntN(3)) * time.Hour)}
			_, err := w.store.RefreshKeys(w.ctx, userIDs[random.IntN(len(userIDs))], terms)
			w.ok(err)
		case n < 19:
			i := random.IntN(len(deviceIDs))
			_, err := w.store.RemoveDevice(w.ctx, owners[deviceIDs[i]], deviceIDs[i], by("device.remove"))
			w.ok(err)
			deviceIDs = slices.Delete(deviceIDs, i, i+1)
		default:
			i := random.IntN(len(userIDs))
			_, err := w.store.RemoveUser(w.ctx, userIDs[i], by("user.remove"))
			w.ok(err)
			deviceIDs = slices.DeleteFunc(deviceIDs, func(d int64) bool { return owners[d] == userIDs[i] })
			userIDs = slices.Delete(userIDs, i, i+1)
		}
		node := nodes[random.IntN(len(nodes))]
		w.digestHolds(node)
		replicas[node].follow(w, node)
	}
}
