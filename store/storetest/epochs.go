package storetest

import (
	"math"
	"time"

	"stile/vpn"
)

// removed returns the ids of a node's tombstones.
func (w *world) removed(nodeID int64) []int64 {
	w.Helper()
	var ids []int64
	_, err := w.store.NodeSnapshot(w.ctx, nodeID, func(k vpn.NodeKey) error {
		if k.IsRemoved {
			is(w, "tombstone", k, vpn.NodeKey{ID: k.ID, Rev: k.Rev, IsRemoved: true})
			ids = append(ids, k.ID)
		}
		return nil
	})
	w.ok(err)
	return ids
}

func tombstones(w *world) {
	u, server, other := w.user(), w.server(), w.server()
	in, _ := w.signIn(u.ID)
	w.issue(w.newKey(u.ID, in.DeviceID, other.ID))
	asked := w.newKey(u.ID, in.DeviceID, server.ID)
	asked.Rotate = true
	for range 4 { // revisions 1 to 4, three tombstones from 2 on
		w.issue(asked)
	}
	compact := func(acked int64, before time.Time, want int, floor int64) {
		w.Helper()
		n, err := w.store.CompactTombstones(w.ctx, server.ID, acked, before)
		w.ok(err)
		is(w, "compacted", n, want)
		is(w, "floor", w.digestHolds(server.ID).Floor, floor)
	}
	later := time.Now().Add(time.Minute)
	is(w, "tombstones", len(w.removed(server.ID)), 3)
	compact(4, time.Now().Add(-time.Minute), 0, 0) // too young
	compact(1, later, 0, 0)                        // not confirmed
	compact(2, later, 1, 2)
	is(w, "tombstones", len(w.removed(server.ID)), 2)
	compact(2, later, 0, 2)
	compact(math.MaxInt32, later, 2, 4)
	compact(math.MaxInt32, later, 0, 4)
	p := w.digestHolds(server.ID)
	is(w, "live keys", p.Count, 1)
	is(w, "revision", p.Rev, 4)
	changes, _, err := w.store.NodeChanges(w.ctx, server.ID, 4, 10)
	w.ok(err)
	is(w, "changes", len(changes), 0)
	is(w, "another node's floor", w.digestHolds(other.ID).Floor, 0)
}

func entombedKeys(w *world) {
	u, server, other := w.user(), w.server(), w.server()
	in, _ := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	elsewhere := w.issue(w.newKey(u.ID, in.DeviceID, other.ID))
	second, _ := w.signIn(u.ID)
	stays := w.issue(w.newKey(u.ID, second.DeviceID, server.ID))
	entomb := func(want int, ids ...int64) {
		w.Helper()
		n, err := w.store.EntombKeys(w.ctx, server.ID, ids, by("node.revoke"))
		w.ok(err)
		is(w, "entombed", n, want)
	}
	entomb(1, key.ID, elsewhere.ID, 999_999, -1)
	entomb(0, key.ID, elsewhere.ID)
	entomb(0)
	is(w, "audit entries", w.audited("node.revoke"), 1)
	p := w.digestHolds(server.ID)
	is(w, "live keys", p.Count, 1)
	is(w, "revision", p.Rev, 3)
	is(w, "other revision", w.digestHolds(other.ID).Rev, 1)
	w.keyIs(stays)
	w.keyIs(elsewhere)
	_, err := w.store.Key(w.ctx, key.ID)
	w.is(err, vpn.ErrNotFound)
	if again := w.issue(w.newKey(u.ID, in.DeviceID, server.ID)); again.ID == key.ID {
		w.Fatal("the id is back")
	}
	_, err = w.store.EntombKeys(w.ctx, server.ID+1000, []int64{1}, by("node.revoke"))
	w.is(err, vpn.ErrNotFound)
}

func epochs(w *world) {
	u, server := w.user(), w.server()
	in, _ := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	raise := func(above, want int64) {
		w.Helper()
		epoch, err := w.store.RaiseEpoch(w.ctx, above, by("database.restored"))
		w.ok(err)
		is(w, "epoch", epoch, want)
	}
	raise(0, 2)
	p := w.digestHolds(server.ID)
	is(w, "epoch", p.Epoch, 2)
	is(w, "revision", p.Rev, key.Rev+1)
	raise(2, 3)
	raise(7, 8)
	raise(3, 9)
	first, second := w.server(), w.server()
	is(w, "a new node's epoch", w.digestHolds(first.ID).Epoch, 9)
	is(w, "the id of the epoch's first server", first.ID, 9_000_001)
	is(w, "the id of the next", second.ID > first.ID, true)
	w.keyIs(key)
	asked := w.newKey(u.ID, in.DeviceID, server.ID)
	asked.Rotate = true
	next := w.issue(asked)
	is(w, "the ids of the epoch", next.ID>>32, 9)
	asked.Seed[0]++
	is(w, "the next id", w.issue(asked).ID, next.ID+1)
	w.digestHolds(server.ID)
	for _, above := range []int64{1<<20 + 1, math.MaxInt64} {
		if _, err := w.store.RaiseEpoch(w.ctx, above, by("database.restored")); err == nil {
			w.Fatalf("an epoch above %d", above)
		}
	}
	raise(1<<20, 1<<20+1)
}

func epochsUnderLoad(w *world) {
	u, server := w.user(), w.server()
	for _, err := range together(parallel, func(i int) error {
		if i%8 == 0 {
			_, err := w.any().RaiseEpoch(w.ctx, 0, by("database.restored"))
			return err
		}
		in, _ := w.signIn(u.ID)
		before := w.digestHolds(server.ID).Epoch
		key, err := w.any().IssueKey(w.ctx, w.newKey(u.ID, in.DeviceID, server.ID), by("key.issue"))
		if err == nil && before > 1 && key.ID>>32 < before {
			w.Errorf("key %d, issued in epoch %d", key.ID, before)
		}
		return err
	}) {
		w.ok(err)
	}
	is(w, "epoch", w.digestHolds(server.ID).Epoch, 1+parallel/8)
}
