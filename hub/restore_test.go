package hub

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stile/vpn"
	"stile/wire"
)

func TestAHigherEpochRaisesTheDatabases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		h, ctx, log := start(t, s)
		other := join(ctx, t, h, 2)
		other.sync()
		p := join(ctx, t, h, 1)
		p.link.Close()
		<-p.ended
		p = joinAs(ctx, t, h, &wire.Hello{NodeID: 1, Epoch: 7, Rev: 1, Count: 1})
		if w := take[*wire.Welcome](p); w.Epoch != 8 || w.Mode != wire.ModeVerify {
			t.Errorf("welcomed with %+v", w)
		}
		ask := take[*wire.RevokedAsk](p)
		p.send(&wire.Revoked{Session: p.session, After: ask.After, KeyIDs: []int64{3, 4}, IsLast: true})
		take[*wire.Verify](p)
		k := wireKey(&s.key)
		var mine wire.BucketDigests
		mine.Add(k)
		p.send(&wire.BucketPrints{Session: p.session, Prints: *mine.Prints()})
		if patch := take[*wire.PatchBegin](p); patch.Parts != (wire.Parts{}) || patch.Count != 1 {
			t.Errorf("patched with %+v", patch)
		}
		end := take[*wire.SnapshotEnd](p)
		p.send(&wire.Ack{Session: p.session, Epoch: 8, Rev: end.Rev, Refused: []int64{5}})
		if !h.WaitApplied(ctx, 1, 1) || !h.Refuses(1, 5) || h.Refuses(1, 6) || h.Refuses(2, 5) {
			t.Error("not applied, or the refused key is not told")
		}
		if !reflect.DeepEqual(s.entombed, []int64{3, 4}) {
			t.Errorf("entombed %v", s.entombed)
		}
		if err := <-other.ended; err == nil || !strings.Contains(err.Error(), "epoch") {
			t.Errorf("the other node's stream ended with %v", err)
		}
		if !strings.Contains(log.String(), "older than what the node has seen") || !strings.Contains(log.String(), "revoked again") {
			t.Errorf("the log says %s", log)
		}
	})
}

// A node in foreign hands that says again and again that the database was put back begins few epochs, and operators hear of it once.
func TestANodeDrivesTheEpochSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		h, ctx, log := start(t, s)
		epochs := func(claims int) int64 {
			for range claims {
				p := joinAs(ctx, t, h, &wire.Hello{NodeID: 1, Epoch: 2 + s.epoch.Load(), Rev: 1, Count: 1})
				synctest.Wait()
				_ = p.link.Close()
				<-p.ended
			}
			return s.epoch.Swap(0)
		}
		if first := epochs(20); first == 0 || first > 40 {
			t.Errorf("the epoch is %d", first)
		}
		if more := epochs(20); more != 0 {
			t.Errorf("20 more claims raise the epoch by %d", more)
		}
		if n := strings.Count(log.String(), "may be in foreign hands"); n != 1 {
			t.Errorf("the log tells of it %d times: %s", n, log)
		}
		time.Sleep(24 * time.Hour)
		if later := epochs(1); later == 0 {
			t.Error("a day later, a database that was put back is not noticed")
		}
	})
}

func TestBesideReplicasAHigherEpochIsTurnedAway(t *testing.T) {
	r := newReplicas(t)
	turned := r.follow(r.a, wire.Hello{Epoch: 7, Rev: 1, Count: 1})
	if err := <-turned.ended; err == nil || !strings.Contains(err.Error(), "follows epoch 7") {
		t.Errorf("ended with %v", err)
	}
	p, err := r.a.store.NodePosition(t.Context(), r.server.ID)
	r.ok(err)
	if p.Epoch != 1 || r.a.Live(r.server.ID).IsOnline {
		t.Errorf("epoch %d, live: %+v", p.Epoch, r.a.Live(r.server.ID))
	}
	_, err = r.b.store.RaiseEpoch(t.Context(), 7, vpn.Audit{Action: "database.restored"}) // the operator
	r.ok(err)
	follower := r.follow(r.a, wire.Hello{Epoch: 7, Rev: 1})
	r.until("the node gives back what it knows", func() bool { return follower.session.Load() != 0 })
	r.ok(follower.link.Send(t.Context(), &wire.Revoked{Session: follower.session.Load(), IsLast: true}))
	r.applied(r.b, r.change(r.b))
	_, err = r.b.store.RaiseEpoch(t.Context(), 0, vpn.Audit{Action: "database.restored"}) // noticed without a wake
	r.ok(err)
	if err := <-follower.ended; err == nil || !strings.Contains(err.Error(), "epoch 8 to 9") {
		t.Errorf("ended with %v", err)
	}
}

func TestTombstonesAreCompactedUpToWhatTheNodeConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		h, ctx, _ := start(t, s)
		h.cfg.Log = slog.New(slog.DiscardHandler)
		p := joinAs(ctx, t, h, &wire.Hello{NodeID: 1, Streams: []wire.StreamSeq{{Stream: 70, Seq: 3}}})
		p.sync()
		p.send(&wire.Usage{Stream: 71, Seq: 1})
		take[*wire.UsageAck](p)
		waiting := join(ctx, t, h, 2) // has confirmed nothing
		take[*wire.SnapshotEnd](waiting)
		h.compact(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Equal(s.held, []uint64{70, 71}) {
			t.Errorf("the cursors of the streams %v stay", s.held)
		}
		if !reflect.DeepEqual(s.compacted, map[int64]int64{1: 1}) || time.Since(s.before) != 30*24*time.Hour {
			t.Errorf("compacted %v before %v", s.compacted, s.before)
		}
	})
}
