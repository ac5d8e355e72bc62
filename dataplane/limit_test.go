package dataplane

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func limited(t *testing.T, limits Limits) (*Ledger, func() *Session) {
	l := NewLedger(time.Now)
	t.Cleanup(l.Close)
	l.Apply([]Key{{ID: 1, Limits: limits}}, nil, false)
	return l, func() *Session {
		s, err := l.Admit(1, func() {})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestRateIsExactAndShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1 << 20
		_, admit := limited(t, Limits{DownBytesPerSecond: rate})
		start := time.Now()
		var moved atomic.Int64
		for range 4 {
			s := admit()
			go func() {
				for moved.Load() < 20*rate {
					if s.Down(50_000) != nil {
						return
					}
					moved.Add(50_000)
				}
			}()
			defer s.Done()
		}
		time.Sleep(10 * time.Second)
		mean := float64(moved.Load()) / time.Since(start).Seconds()
		if mean < 0.97*rate || mean > 1.05*rate {
			t.Errorf("four sessions moved %.0f bytes/s under a limit of %d", mean, rate)
		}
		up := admit()
		defer up.Done()
		before := time.Now()
		if err := up.Up(1 << 30); err != nil || !time.Now().Equal(before) {
			t.Errorf("the other direction is not limited, but Up took %v, %v", time.Since(before), err)
		}
		time.Sleep(20 * time.Second)
	})
}

func TestLimitChangesWhileASessionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, admit := limited(t, Limits{UpBytesPerSecond: 1000})
		s := admit()
		done := make(chan time.Duration, 1)
		start := time.Now()
		wait := func() { _ = s.Up(10_000_000); done <- time.Since(start) }
		go wait()
		time.Sleep(time.Second)
		l.Apply([]Key{{ID: 1}}, nil, false)
		if took := <-done; took > time.Second+maxNap {
			t.Errorf("a lifted limit was felt after %v", took)
		}
		l.Apply([]Key{{ID: 1, Limits: Limits{UpBytesPerSecond: 1000}}}, nil, false)
		start = time.Now()
		go wait()
		time.Sleep(time.Second)
		l.Apply([]Key{{ID: 1, Limits: Limits{UpBytesPerSecond: 10_000_000}}}, nil, false)
		if took := <-done; took > 3*time.Second {
			t.Errorf("a raised limit was felt after %v", took)
		}
	})
}

func TestCutEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, admit := limited(t, Limits{UpBytesPerSecond: 1})
		s := admit()
		done := make(chan error, 1)
		go func() { done <- s.Up(1 << 30) }()
		time.Sleep(time.Second)
		l.Apply(nil, []int64{1}, false)
		if err := <-done; !errors.Is(err, ErrEnded) {
			t.Errorf("a cut session's wait ended with %v", err)
		}
	})
}

func TestDatagramsBeyondTheLimitAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, admit := limited(t, Limits{UpBytesPerSecond: 1000})
		s := admit()
		passed := 0
		for range 200 {
			if s.TryUp(1000) {
				passed++
			}
		}
		if passed != minBurst/1000+1 {
			t.Errorf("%d packets of 1000 bytes passed at once, want the burst of %d bytes and one", passed, minBurst)
		}
		if u := l.Usage(nil)[0]; u.Up != int64(passed)*1000 {
			t.Errorf("%d bytes counted for %d packets", u.Up, passed)
		}
		time.Sleep(2 * time.Second)
		if !s.TryUp(1) {
			t.Error("no packet passes after the debt is paid")
		}
	})
}
