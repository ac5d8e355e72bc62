package node

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A node is ready when its planes have keys and its disk takes more; a link it does not need. What it says of itself is
// what happened.
func TestReadyMeansThatItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		s.isCut.Store(true)
		p := s.start()
		time.Sleep(5 * time.Second)
		if err := p.agent.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "never in step") {
			t.Errorf("without a set: %v", err)
		}
		s.isCut.Store(false)
		s.apply2(s.store.put(1, time.Time{}).Rev)
		session, _, err := p.connect(1)
		if err != nil {
			t.Fatal(err)
		}
		if session.Down(1000) != nil {
			t.Fatal("a session was cut")
		}
		time.Sleep(4 * DefaultUsageInterval)
		got := p.agent.Stats()
		if !got.IsLinked || got.Keys != 1 || got.Rev != 1 || got.Epoch != 1 || got.UsageBytes == 0 || !got.UnbookedSince.IsZero() || got.DiskFailures != 0 {
			t.Errorf("%+v", got)
		}
		if err := p.agent.Ready(t.Context()); err != nil {
			t.Errorf("with a set: %v", err)
		}
		s.isCut.Store(true)
		p.kill()

		p = s.start()
		time.Sleep(10 * time.Minute)
		if err := p.agent.Ready(t.Context()); err != nil {
			t.Errorf("after a restart without a control plane: %v", err)
		}
		if session, _, err = p.connect(1); err != nil || session.Up(1) != nil {
			t.Fatalf("the key: %v", err)
		}
		time.Sleep(10 * time.Minute)
		got = p.agent.Stats()
		if got.IsLinked || !got.LinkedAt.IsZero() || got.UnbookedSince.IsZero() || time.Since(got.UnbookedSince) < 9*time.Minute {
			t.Errorf("%+v", got)
		}
		p.stop()
	})
}

func TestFullDiskIsCountedAndNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		defer p.stop()
		s.online()
		s.apply(s.store.put(1, time.Time{}))
		s.isFull.Store(true)
		s.store.put(2, time.Time{})
		time.Sleep(5 * time.Second)
		if got := p.agent.Stats(); got.DiskFailures == 0 {
			t.Errorf("%+v", got)
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Fatal(err)
		}
		if err := p.agent.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be written") {
			t.Errorf("without a disk: %v", err)
		}
	})
}

// A loop that hangs is not alive, and is again once it goes on.
func TestStuckLoopIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		defer p.stop()
		s.online()
		s.apply(s.store.put(1, time.Time{}))
		hang := make(chan struct{})
		old := p.agent.disk.sync
		p.agent.disk.sync = func(f *os.File) error { <-hang; return old(f) }
		s.store.put(2, time.Time{})
		time.Sleep(stuckAfter)
		if err := p.agent.Alive(t.Context()); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(5 * time.Second)
		if err := p.agent.Alive(t.Context()); err == nil || !strings.Contains(err.Error(), "stuck") {
			t.Errorf("a loop that hangs: %v", err)
		}
		if p.agent.Ready(t.Context()) == nil {
			t.Error("ready without a loop")
		}
		close(hang)
		time.Sleep(5 * time.Second)
		if err := p.agent.Alive(t.Context()); err != nil {
			t.Errorf("a loop that goes on: %v", err)
		}
	})
}
