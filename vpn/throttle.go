package vpn

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"net/netip"
	"sync"
	"time"
)

const (
	// throttleWindow is the minute that failures are counted in.
	throttleWindow = time.Minute
	// addressFactor is how many times the limit of one account an address may fail over all accounts.
	addressFactor = 6
	// softFactor is how many times the limit of one account and address an account may fail before its sign-ins slow down.
	softFactor = 10
	// softDelay is the slowing down; it locks nobody out.
	softDelay = time.Second
	// softWaiters bounds how many sign-ins wait at once; beyond it they go on, and the bounded queue of the hasher decides.
	softWaiters = 256
	// throttleEntries bounds the memory of one window. Beyond it new addresses are not counted.
	throttleEntries = 1 << 17
)

// throttleKey is an HMAC of an account, an address, or both.
type throttleKey [16]byte

// signInThrottle counts failed sign-ins. Addresses live here alone: in memory, for a minute, as an HMAC whose key is
// made anew each day.
type signInThrottle struct {
	limit int
	now   func() time.Time
	slow  chan struct{}

	mu       sync.Mutex
	key      []byte
	keyDay   time.Time
	window   time.Time
	failures map[throttleKey]int
}

func newSignInThrottle(limit int, now func() time.Time) *signInThrottle {
	return &signInThrottle{limit: limit, now: now, slow: make(chan struct{}, softWaiters)}
}

// signInTry is one counted try, to be ended by one of its methods.
type signInTry struct {
	throttle *signInThrottle
	window   time.Time
	keys     [3]throttleKey // account and address, address, account
	isSlow   bool
}

// roll begins a new window, and a new HMAC key on a new day. The lock is held.
func (t *signInThrottle) roll(now time.Time) {
	if today := now.Truncate(day); t.key == nil || !today.Equal(t.keyDay) {
		t.key, t.keyDay, t.window = make([]byte, 32), today, time.Time{}
		_, _ = rand.Read(t.key) // crypto/rand never fails
	}
	if w := now.Truncate(throttleWindow); !w.Equal(t.window) {
		t.window, t.failures = w, make(map[throttleKey]int)
	}
}

// hash names an account, an address or both in the map. An IPv6 address counts as its /64, which one customer has.
func (t *signInThrottle) hash(account string, address netip.Addr) throttleKey {
	mac := hmac.New(sha256.New, t.key)
	address = address.Unmap()
	if address.Is6() {
		if p, err := address.Prefix(64); err == nil {
			address = p.Addr()
		}
	}
	raw, _ := address.MarshalBinary() // an Addr always has a binary form
	mac.Write([]byte{byte(len(raw))})
	mac.Write(raw)
	mac.Write([]byte(account))
	return throttleKey(mac.Sum(nil))
}

// begin counts a try as failed until it is known to have succeeded: so parallel tries cannot pass the limit together.
// It refuses with CodeTooManyAttempts before anything is hashed.
func (t *signInThrottle) begin(account string, address netip.Addr) (*signInTry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.roll(now)
	try := &signInTry{throttle: t, window: t.window}
	try.keys = [3]throttleKey{t.hash(account, address), t.hash("", address), t.hash(account, netip.Addr{})}
	if err := t.refuse(try.keys[0], t.limit, now); err != nil {
		return nil, err
	}
	if err := t.refuse(try.keys[1], t.limit*addressFactor, now); err != nil {
		return nil, err
	}
	try.isSlow = t.failures[try.keys[2]] >= t.limit*softFactor
	for _, k := range try.keys {
		if _, known := t.failures[k]; known || len(t.failures) < throttleEntries {
			t.failures[k]++
		}
	}
	return try, nil
}

// refuse refuses what has failed so often already. The lock is held.
func (t *signInThrottle) refuse(k throttleKey, limit int, now time.Time) error {
	if t.failures[k] < limit {
		return nil
	}
	return &Error{Code: CodeTooManyAttempts, Attempts: limit, RetryAfter: t.window.Add(throttleWindow).Sub(now)}
}

// admits refuses an address that has used up its failures over all accounts.
func (t *signInThrottle) admits(address netip.Addr) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.roll(now)
	return t.refuse(t.hash("", address), t.limit*addressFactor, now)
}

// wait slows a try down when its account sees many failures from many addresses.
func (s *signInTry) wait(ctx context.Context) error {
	if !s.isSlow {
		return nil
	}
	select {
	case s.throttle.slow <- struct{}{}:
		defer func() { <-s.throttle.slow }()
	default:
		return nil
	}
	timer := time.NewTimer(softDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forgive takes the try back: it succeeded, or was never decided.
func (s *signInTry) forgive() {
	t := s.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.window.Equal(s.window) {
		return
	}
	for _, k := range s.keys {
		if t.failures[k] > 0 {
			t.failures[k]--
		}
	}
}

const (
	// keyBurst calls of /api/key may come at once, then one per keyInterval, per user.
	keyBurst    = 300
	keyInterval = 100 * time.Millisecond
	// voucherBurst codes may be tried at once, then one per voucherInterval, per user.
	voucherBurst    = 10
	voucherInterval = time.Minute
	// codeBurst codes of a second factor may be tried at once, then one per codeInterval, per user, on all replicas
	// together. Three codes hold at a
	// time: whoever knows the password finds one by trying for a day with a chance of 0.4 %.
	codeBurst    = 5
	codeInterval = time.Minute
)

// callThrottle spaces the calls of each user (a generic cell rate algorithm: one instant per user): burst at once, then one
// per interval.
type callThrottle struct {
	now      func() time.Time
	burst    int
	interval time.Duration

	mu sync.Mutex
	// busyUntil is when the user's calls so far would be done at the allowed rate.
	busyUntil map[int64]time.Time
	// sweepAt is the number of entries at which those that are over go: twice as many as were left the last time.
	sweepAt int
}

// leastSweep is the number of entries that are not worth a sweep.
const leastSweep = 1024

func newCallThrottle(burst int, interval time.Duration, now func() time.Time) *callThrottle {
	return &callThrottle{now: now, burst: burst, interval: interval, busyUntil: make(map[int64]time.Time), sweepAt: leastSweep}
}

// admit counts a call, or refuses it with CodeTooManyAttempts.
func (t *callThrottle) admit(userID int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	until := t.busyUntil[userID]
	if until.Before(now) {
		until = now
	}
	if most := now.Add(time.Duration(t.burst) * t.interval); until.After(most) { // the clock was put back
		until = most
		t.busyUntil[userID] = until
	}
	if wait := until.Sub(now) - time.Duration(t.burst-1)*t.interval; wait > 0 {
		return &Error{Code: CodeTooManyAttempts, Attempts: t.burst, RetryAfter: wait}
	}
	if len(t.busyUntil) >= t.sweepAt {
		maps.DeleteFunc(t.busyUntil, func(_ int64, at time.Time) bool { return !at.After(now) })
		t.sweepAt = max(leastSweep, 2*len(t.busyUntil))
	}
	t.busyUntil[userID] = until.Add(t.interval)
	return nil
}
