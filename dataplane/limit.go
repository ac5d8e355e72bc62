package dataplane

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxNap bounds one sleep of a limited session, so that a limit that was raised or lifted is felt soon.
const maxNap = 100 * time.Millisecond

// minBurst is the least a bucket holds, in bytes: a buffer of the relay.
const minBurst = BufferSize

// limit is a rate in bytes per second that many sessions share and that may change at any moment; none by default.
type limit struct{ bucket atomic.Pointer[bucket] }

// bucket is a token bucket that may fall into debt: a session takes what it has already read and then waits until the
// debt is paid, so the mean rate is exact whatever the size of one read.
type bucket struct {
	mu     sync.Mutex
	rate   float64 // bytes per second
	tokens float64
	at     time.Time // when tokens was right
}

// set changes the rate; 0 lifts the limit and frees everybody who waits.
func (l *limit) set(rate int64, now time.Time) {
	if rate <= 0 {
		l.bucket.Store(nil)
		return
	}
	b := l.bucket.Load()
	if b == nil {
		l.bucket.Store(&bucket{rate: float64(rate), tokens: burst(float64(rate)), at: now})
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	b.rate = float64(rate)
}

// wait takes n bytes and returns when the bucket is out of debt, or with ErrEnded when ended closes first.
func (l *limit) wait(n int, now func() time.Time, ended <-chan struct{}) error {
	b := l.bucket.Load()
	if b == nil {
		return nil
	}
	nap := b.take(n, now())
	for nap > 0 {
		timer := time.NewTimer(min(nap, maxNap))
		select {
		case <-ended:
			timer.Stop()
			return ErrEnded
		case <-timer.C:
		}
		if l.bucket.Load() != b {
			return nil
		}
		nap = b.take(0, now())
	}
	return nil
}

// try takes n bytes if the bucket is not in debt.
func (l *limit) try(n int, now time.Time) bool {
	b := l.bucket.Load()
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	if b.tokens < 0 {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// take spends n bytes and returns how long it takes to pay the debt.
func (b *bucket) take(n int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	b.tokens -= float64(n)
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens/b.rate*float64(time.Second)) + time.Nanosecond
}

func (b *bucket) refill(now time.Time) {
	if elapsed := now.Sub(b.at); elapsed > 0 {
		b.tokens = min(b.tokens+b.rate*elapsed.Seconds(), burst(b.rate))
		b.at = now
	}
}

// burst is a quarter of a second, but never less than one buffer.
func burst(rate float64) float64 { return max(rate/4, minBurst) }
