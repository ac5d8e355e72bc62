package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"stile/dataplane"
	"stile/wire"
)

func isCut(cut <-chan struct{}) bool {
	select {
	case <-cut:
		return true
	default:
		return false
	}
}

func TestAKeyWorksBeforeItIsSaidToBeApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		defer p.stop()
		s.online()
		for id := int64(1); id <= 200; id++ {
			s.apply(s.store.put(id, time.Time{}))
			session, _, err := p.connect(id)
			if err != nil {
				t.Fatalf("key %d: %v", id, err)
			}
			session.Done()
		}
	})
}

func TestRemovingAKeyEndsItsSessionsAndNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		defer p.stop()
		s.online()
		s.apply(s.store.put(1, time.Time{}))
		s.apply(s.store.put(2, time.Time{}))
		_, first, _ := p.connect(1)
		_, other, _ := p.connect(2)
		s.apply(s.store.revoke(1))
		if !isCut(first) || isCut(other) {
			t.Errorf("the revoked key's session is cut: %v; another's: %v", isCut(first), isCut(other))
		}
		if _, _, err := p.connect(1); !errors.Is(err, dataplane.ErrUnknownKey) {
			t.Errorf("a revoked key connects: %v", err)
		}
		s.apply(s.store.put(2, time.Now().Add(-time.Hour)))
		if _, _, err := p.connect(2); !isCut(other) || !errors.Is(err, dataplane.ErrExpired) {
			t.Errorf("a suspended key: %v", err)
		}
		s.apply(s.store.put(2, time.Now().Add(time.Hour)))
		if _, _, err := p.connect(2); err != nil {
			t.Errorf("a key that came back: %v", err)
		}
	})
}

func TestANodeLivesWithoutTheControlPlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		s.online()
		s.apply(s.store.put(1, time.Time{}))
		s.apply(s.store.put(2, time.Now().Add(time.Hour)))
		s.apply(s.store.put(3, time.Time{}))
		s.apply(s.store.revoke(3))
		s.isCut.Store(true)
		p.kill()

		p = s.start()
		if _, _, err := p.connect(1); err != nil {
			t.Errorf("after a restart without control plane: %v", err)
		}
		_, cut, err := p.connect(2)
		if err != nil {
			t.Errorf("a key with a deadline: %v", err)
		}
		if _, _, err := p.connect(3); err == nil {
			t.Error("a revoked key is back")
		}
		time.Sleep(time.Hour - time.Second)
		if isCut(cut) {
			t.Error("cut before the deadline")
		}
		time.Sleep(2 * time.Second)
		if !isCut(cut) {
			t.Error("goes on after the deadline")
		}
		s.isCut.Store(false)
		s.apply2(s.store.put(4, time.Time{}).Rev)
		p.stop()
	})
}

// apply2 waits as long as a node may take to come back.
func (s *setup) apply2(rev int64) {
	s.t.Helper()
	s.online()
	ctx, cancel := context.WithTimeout(s.ctx, 3*time.Minute)
	defer cancel()
	if !s.hub.WaitApplied(ctx, nodeID, rev) {
		s.t.Fatalf("revision %d was not applied", rev)
	}
}

func TestALostWakeIsCaughtWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		defer p.stop()
		s.online()
		synctest.Wait()
		r := s.store.put(1, time.Time{})
		began := time.Now()
		if !s.hub.WaitApplied(s.ctx, nodeID, r.Rev) || time.Since(began) > time.Second {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}

func TestNothingIsSentAgainAfterTheControlPlaneRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		s.online()
		for id := int64(1); id <= 2500; id++ { // more than one page
			s.store.put(id, time.Time{})
		}
		s.apply2(2500)
		p.stop()
		before := s.store.snapshots
		s.startHub()
		p = s.start()
		s.online()
		synctest.Wait()
		if !s.hub.WaitApplied(s.ctx, nodeID, 2500) || s.store.snapshots != before {
			t.Errorf("%d snapshots were sent", s.store.snapshots-before)
		}
		if _, _, err := p.connect(2500); err != nil {
			t.Error(err)
		}
		p.stop()
	})
}

func TestAWholeSetTravelsInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		for id := int64(1); id <= 2500; id++ {
			s.store.put(id, time.Time{})
		}
		s.store.revoke(7)
		p := s.start()
		defer p.stop()
		s.apply2(2501)
		if n := len(p.agent.machine.State().Keys); n != 2499 {
			t.Errorf("%d keys arrived", n)
		}
	})
}

func TestANodeThatCannotWriteStillRevokes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		defer p.stop()
		s.online()
		s.apply(s.store.put(1, time.Time{}))
		_, cut, _ := p.connect(1)
		s.isFull.Store(true)
		r := s.store.revoke(1)
		s.hub.Wake(r)
		ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
		defer cancel()
		if s.hub.WaitApplied(ctx, nodeID, r.Rev) {
			t.Error("a change that is not on disk counts as applied")
		}
		if !isCut(cut) {
			t.Error("the session goes on")
		}
		s.isFull.Store(false)
		s.apply2(r.Rev)
		if _, state, _, err := openDisk(s.dir); err != nil || state.Rev != r.Rev || len(state.Keys) != 0 {
			t.Errorf("on disk: revision %d, %d keys, %v", state.Rev, len(state.Keys), err)
		}
	})
}

func TestAPlaneThatRefusesAKeyKeepsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		defer p.stop()
		s.online()
		synctest.Wait()
		p.bad = 2
		for id := int64(1); id <= 3; id++ {
			s.store.put(id, time.Time{})
		}
		s.apply2(3)
		for id := int64(1); id <= 3; id++ {
			if _, _, err := p.connect(id); (err == nil) == (id == 2) {
				t.Errorf("key %d: %v", id, err)
			}
		}
	})
}

func TestLiveCountsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		if s.hub.WaitApplied(s.ctx, nodeID, 0) || s.hub.Live(nodeID).IsOnline {
			t.Error("a node that never came is online")
		}
		p := s.start()
		s.online()
		s.apply(s.store.put(1, time.Time{}))
		session, _, _ := p.connect(1)
		if err := session.Up(10); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DefaultUsageInterval + time.Second)
		if live := s.hub.Live(nodeID); live.ActiveDevices != 1 || time.Since(live.At) > 2*time.Second {
			t.Errorf("after traffic: %+v", live)
		}
		time.Sleep(activeWithin + 2*DefaultUsageInterval)
		if live := s.hub.Live(nodeID); live.ActiveDevices != 0 || time.Since(live.At) > 30*time.Second {
			t.Errorf("long after traffic: %+v", live)
		}
		p.stop()
		synctest.Wait()
		if s.hub.Live(nodeID).IsOnline || s.hub.WaitApplied(s.ctx, nodeID, 1) {
			t.Error("a node that went is online")
		}
	})
}

func TestRunServesAndWritesTheLastUsageDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		ledger := dataplane.NewLedger(time.Now)
		defer ledger.Close()
		p := newPlane(ledger)
		a, err := Open(Config{Dir: s.dir, ID: nodeID, Ledger: ledger, Planes: []dataplane.Plane{p}, Dial: s.dial, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(s.ctx)
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		s.online()
		s.apply(s.store.put(1, time.Time{}))
		session, _, _ := p.connect(1)
		_ = session.Up(42)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if got := savedUsage(t, s.dir, a.stream); got[1] != 42 {
			t.Errorf("written down: %v", got)
		}
	})
}

type failingPlane struct{ *plane }

func (failingPlane) Run(context.Context) error { return errors.New("the socket broke") }

func TestRunEndsWhenAPlaneFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		ledger := dataplane.NewLedger(time.Now)
		defer ledger.Close()
		a, err := Open(Config{Dir: s.dir, ID: nodeID, Ledger: ledger, Planes: []dataplane.Plane{failingPlane{newPlane(ledger)}},
			Dial: s.dial, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Run(s.ctx); err == nil || err.Error() != "node: fake: the socket broke" {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	dial := func(context.Context) (wire.Link, error) { return nil, errors.New("no") }
	ledger := dataplane.NewLedger(time.Now)
	for name, c := range map[string]Config{
		"Dir": {ID: 1, Ledger: ledger, Dial: dial}, "ID": {Dir: "x", Ledger: ledger, Dial: dial},
		"Ledger": {Dir: "x", ID: 1, Dial: dial}, "Dial": {Dir: "x", ID: 1, Ledger: ledger},
		"UsageInterval": {Dir: "x", ID: 1, Ledger: ledger, Dial: dial, UsageInterval: -1},
	} {
		if _, err := Open(c); err == nil {
			t.Errorf("a configuration without a good %s is taken", name)
		}
	}
}
