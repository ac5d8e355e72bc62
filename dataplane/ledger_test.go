package dataplane

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func ids(usage []KeyUsage) []int64 {
	var list []int64
	for _, u := range usage {
		list = append(list, u.KeyID)
	}
	return list
}

func TestAdmitRefuses(t *testing.T) {
	now := time.Unix(1000, 0)
	l := NewLedger(func() time.Time { return now })
	l.Apply([]Key{{ID: 1, Limits: Limits{MaxSessions: 1}}, {ID: 2, NotAfter: now}, {ID: 3, NotAfter: now.Add(time.Millisecond)}}, nil, false)
	defer l.Close()
	cut := func() {}
	first, err := l.Admit(1, cut)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Admit(1, cut); !errors.Is(err, ErrTooManySessions) {
		t.Errorf("one session past the limit: %v", err)
	}
	first.Done()
	first.Done()
	if _, err := l.Admit(1, cut); err != nil {
		t.Errorf("after Done: %v", err)
	}
	if _, err := l.Admit(2, cut); !errors.Is(err, ErrExpired) {
		t.Errorf("at the deadline: %v", err)
	}
	if _, err := l.Admit(3, cut); err != nil {
		t.Errorf("a millisecond before the deadline: %v", err)
	}
	if _, err := l.Admit(4, cut); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("unknown: %v", err)
	}
	l.Apply(nil, []int64{1}, false)
	if _, err := l.Admit(1, cut); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("removed: %v", err)
	}
}

// A key without a limit, or with one that is no use, cannot have all that a node has.
func TestOnePastMostSessionsIsRefused(t *testing.T) {
	for _, limit := range []int{0, -1, mostSessions, mostSessions + 1} {
		l := NewLedger(time.Now)
		l.Apply([]Key{{ID: 1, Limits: Limits{MaxSessions: limit}}}, nil, false)
		for range mostSessions {
			if _, err := l.Admit(1, func() {}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Admit(1, func() {}); !errors.Is(err, ErrTooManySessions) {
			t.Errorf("with a limit of %d, one past the most: %v", limit, err)
		}
		l.Close()
	}
}

func TestApplyCutsWhatItRemoves(t *testing.T) {
	l := NewLedger(time.Now)
	defer l.Close()
	l.Apply([]Key{{ID: 1}, {ID: 2}, {ID: 3}}, nil, false)
	var cuts [4]atomic.Int32
	var sessions []*Session
	for _, id := range []int64{1, 1, 2, 3} {
		s, err := l.Admit(id, func() { cuts[id].Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	if ended := l.Apply([]Key{{ID: 2}, {ID: 3}}, []int64{3}, true); ended != 3 {
		t.Errorf("ended %d, want the two of key 1, which a full set leaves out, and the one of key 3, removed", ended)
	}
	if got := []int32{cuts[1].Load(), cuts[2].Load(), cuts[3].Load()}; !slices.Equal(got, []int32{2, 0, 1}) {
		t.Errorf("cuts by key: %v", got)
	}
	select {
	case <-sessions[0].ended:
	default:
		t.Error("a cut session does not say that it ended")
	}
	if sessions[0].TryUp(1) {
		t.Error("a cut session counts datagrams")
	}
	sessions[0].Done()
	if ended := l.Apply(nil, []int64{1, 1, 3, 9}, false); ended != 0 {
		t.Errorf("removing again ended %d", ended)
	}
}

func TestUsageOutlivesRemovalUntilForgotten(t *testing.T) {
	now := time.UnixMilli(5000)
	l := NewLedger(func() time.Time { return now })
	l.Apply([]Key{{ID: 1}, {ID: 2}, {ID: 3}}, nil, false)
	for _, id := range []int64{2, 1} {
		s, _ := l.Admit(id, func() {})
		_ = s.Up(int(id * 10))
		_ = s.Down(int(id * 100))
	}
	want := []KeyUsage{{2, 20, 200, 1, now}, {1, 10, 100, 1, now}}
	if got := l.Usage(nil); !slices.Equal(got, want) {
		t.Errorf("usage %v, want %v", got, want)
	}
	l.Apply(nil, []int64{1, 3}, false)
	want[1].Sessions = 0
	if got := l.Usage(nil); !slices.Equal(got, want) {
		t.Errorf("usage after removal %v, want %v", got, want)
	}
	l.Forget([]int64{1, 2, 3})
	if got := ids(l.Usage(nil)); !slices.Equal(got, []int64{2}) {
		t.Errorf("after Forget the ledger reports %v, want the key that is still valid", got)
	}
	l.Apply([]Key{{ID: 1}}, nil, false)
	s, err := l.Admit(1, func() {})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Up(1)
	if got := l.Usage(nil); len(got) != 2 || got[1].Up != 1 {
		t.Errorf("a key that was forgotten starts from zero, got %v", got)
	}
}

func TestDeadlinesPassByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger(time.Now)
		defer l.Close()
		start := time.Now()
		l.Apply([]Key{{ID: 1, NotAfter: start.Add(time.Hour)}, {ID: 2, NotAfter: start.Add(3 * time.Hour)}, {ID: 3}}, nil, false)
		endedAt := map[int64]time.Duration{}
		var mu sync.Mutex
		for _, id := range []int64{1, 2, 3} {
			if _, err := l.Admit(id, func() { mu.Lock(); endedAt[id] = time.Since(start); mu.Unlock() }); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		l.Apply([]Key{{ID: 2, NotAfter: start.Add(4 * time.Hour)}, {ID: 3, NotAfter: start.Add(150 * time.Minute)}}, nil, false)
		time.Sleep(10 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		want := map[int64]time.Duration{1: time.Hour, 2: 4 * time.Hour, 3: 150 * time.Minute}
		if fmt.Sprint(endedAt) != fmt.Sprint(want) {
			t.Errorf("sessions ended at %v, want %v", endedAt, want)
		}
	})
}

// A wall clock that jumps must not keep a session alive longer than the timer's longest sleep.
func TestDeadlinesFollowTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jump atomic.Int64
		l := NewLedger(func() time.Time { return time.Now().Add(time.Duration(jump.Load())) })
		defer l.Close()
		l.Apply([]Key{{ID: 1, NotAfter: time.Now().Add(24 * time.Hour)}}, nil, false)
		var ended atomic.Bool
		if _, err := l.Admit(1, func() { ended.Store(true) }); err != nil {
			t.Fatal(err)
		}
		jump.Store(int64(25 * time.Hour))
		time.Sleep(maxTimer + time.Second)
		if !ended.Load() {
			t.Error("the session outlived its deadline on a clock that was set forward")
		}
	})
}

// Admit and Apply race: whatever is admitted when a key is gone must have been cut.
func TestNoSessionSurvivesARacingRemoval(t *testing.T) {
	l := NewLedger(time.Now)
	defer l.Close()
	for range 300 {
		l.Apply([]Key{{ID: 1}}, nil, false)
		var open atomic.Int32
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				open.Add(1)
				if _, err := l.Admit(1, func() { open.Add(-1) }); err != nil {
					open.Add(-1)
				}
			})
		}
		group.Go(func() { l.Apply(nil, []int64{1}, false) })
		group.Wait()
		if n := open.Load(); n != 0 {
			t.Fatalf("%d sessions are open on a removed key", n)
		}
	}
}

func TestKeyNeverPrintsItsSeed(t *testing.T) {
	k := Key{ID: 42}
	for i := range k.Seed {
		k.Seed[i] = 0xab
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{k, &k, []Key{k}} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, "171") || strings.Contains(strings.ToLower(out), "ab") || !strings.Contains(out, "42") {
				t.Errorf("%s of %T prints %s", verb, v, out)
			}
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	l := NewLedger(time.Now)
	keys := make([]Key, 100_000)
	for i := range keys {
		keys[i].ID = int64(i)
	}
	l.Apply(keys, nil, true)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s, _ := l.Admit(int64(i%len(keys)), func() {})
		s.Done()
	}
}

func BenchmarkUsageOf100kUsedKeys(b *testing.B) {
	l := NewLedger(time.Now)
	keys := make([]Key, 100_000)
	for i := range keys {
		keys[i].ID = int64(i)
	}
	l.Apply(keys, nil, true)
	for i := range keys {
		s, _ := l.Admit(int64(i), func() {})
		_ = s.Up(1)
		s.Done()
	}
	var usage []KeyUsage
	for b.Loop() {
		usage = l.Usage(usage[:0])
	}
}

func BenchmarkCount(b *testing.B) {
	l := NewLedger(time.Now)
	l.Apply([]Key{{ID: 1}}, nil, true)
	s, _ := l.Admit(1, func() {})
	for b.Loop() {
		_ = s.Down(1)
	}
}
