package node

import (
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// Killing the node at any moment, losing links and answers: what the reports on disk say is what is booked, once.
func TestUsageIsCountedOnceThroughKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		rng := rand.New(rand.NewPCG(3, 4))
		s.store.loseEach = 4
		for id := int64(1); id <= 5; id++ {
			s.store.put(id, time.Time{})
		}
		want := map[int64]int64{}
		for round := range 60 {
			s.isCut.Store(rng.IntN(3) == 0)
			p := s.start()
			if round == 0 {
				s.isCut.Store(false)
				s.apply2(5)
			}
			for range rng.IntN(20) {
				id := 1 + rng.Int64N(5)
				if session, _, err := p.connect(id); err == nil {
					if session.Up(1+rng.IntN(1000)) != nil || session.Down(1+rng.IntN(100_000)) != nil {
						t.Fatal("a session was cut")
					}
					session.Done()
				}
				time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
			}
			counted := map[int64]int64{}
			for _, u := range p.ledger.Usage(nil) {
				counted[u.KeyID] = u.Up + u.Down
			}
			graceful := rng.IntN(2) == 0
			if graceful {
				p.stop()
			} else {
				p.kill()
			}
			saved := savedUsage(t, s.dir, p.agent.stream)
			for id, bytes := range saved {
				if want[id] += bytes; bytes > counted[id] {
					t.Fatalf("key %d: %d bytes counted, %d written down", id, counted[id], bytes)
				}
			}
			if graceful && !maps.Equal(saved, counted) {
				t.Fatalf("counted %v, written down %v", counted, saved)
			}
		}
		s.isCut.Store(false)
		s.store.mu.Lock()
		s.store.loseEach = 0
		s.store.mu.Unlock()
		p := s.start()
		s.online()
		time.Sleep(time.Minute)
		p.stop()
		if got := s.store.usage(); !maps.Equal(got, want) {
			t.Errorf("booked %v, want %v", got, want)
		}
	})
}

// savedUsage sums the reports of a stream on disk.
func savedUsage(t *testing.T, dir string, stream uint64) map[int64]int64 {
	t.Helper()
	j, err := openJournal(filepath.Join(dir, "usage"))
	if err != nil {
		t.Fatal(err)
	}
	total := map[int64]int64{}
	for seq := uint64(1); ; seq++ {
		u, err := j.read(stream, seq)
		if errors.Is(err, errNoReport) {
			return total
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range u.Entries {
			total[e.KeyID] += e.Up + e.Down
		}
	}
}

func TestCountersOfRemovedKeysAreForgottenOnceReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(t)
		p := s.start()
		defer p.stop()
		s.online()
		s.apply(s.store.put(1, time.Time{}))
		session, _, _ := p.connect(1)
		_ = session.Down(500)
		s.apply(s.store.revoke(1))
		time.Sleep(4 * DefaultUsageInterval)
		if got := p.ledger.Usage(nil); len(got) != 0 {
			t.Errorf("the ledger still has %+v", got)
		}
		if got := s.store.usage(); got[1] != 500 {
			t.Errorf("booked %v", got)
		}
	})
}
