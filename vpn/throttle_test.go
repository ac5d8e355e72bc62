package vpn

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var home = netip.MustParseAddr("203.0.113.7")

func TestSignInThrottleCountsFailuresPerAccountAndAddress(t *testing.T) {
	now := time.Unix(6000, 0).UTC()
	th := newSignInThrottle(5, func() time.Time { return now })
	for i := range 5 {
		if _, err := th.begin("a@example.com", home); err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	_, err := th.begin("a@example.com", home)
	if CodeOf(err) != CodeTooManyAttempts {
		t.Fatalf("one past the limit: %v", err)
	}
	if refusal := err.(*Error); refusal.RetryAfter <= 0 || refusal.RetryAfter > time.Minute || refusal.Attempts != 5 {
		t.Errorf("refusal says %+v", refusal)
	}
	if _, err := th.begin("a@example.com", netip.MustParseAddr("198.51.100.1")); err != nil {
		t.Errorf("the account is locked for other addresses: %v", err)
	}
	if _, err := th.begin("b@example.com", home); err != nil {
		t.Errorf("the address is locked for other accounts too early: %v", err)
	}
	now = now.Add(time.Minute)
	if _, err := th.begin("a@example.com", home); err != nil {
		t.Errorf("still refused a minute later: %v", err)
	}
}

func TestSignInThrottlePerAddress(t *testing.T) {
	th := newSignInThrottle(5, func() time.Time { return time.Unix(6000, 0) })
	refused := 0
	for i := range 31 {
		// The /64 of an IPv6 address is one customer.
		address := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)})
		if _, err := th.begin(string(rune('a'+i))+"@example.com", address); err != nil {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of 31 refused, want the last one", refused)
	}
}

func TestSignInThrottleForgivesSuccess(t *testing.T) {
	th := newSignInThrottle(2, func() time.Time { return time.Unix(6000, 0) })
	for range 50 {
		try, err := th.begin("a@example.com", home)
		if err != nil {
			t.Fatal(err)
		}
		try.forgive()
	}
}

func TestSignInThrottleSlowsAnAccountUnderAttackButNeverLocksIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newSignInThrottle(1, time.Now)
		for i := range 10 {
			if _, err := th.begin("a@example.com", netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})); err != nil {
				t.Fatal(err)
			}
		}
		try, err := th.begin("a@example.com", home.Next().Next().Next().Next().Next())
		if err != nil {
			t.Fatalf("the owner is locked out: %v", err)
		}
		start := time.Now()
		if err := try.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != softDelay {
			t.Errorf("waited %v, want %v", waited, softDelay)
		}
	})
}

func TestSignInThrottleChangesItsKeyDaily(t *testing.T) {
	now := time.Unix(0, 0).UTC()
	th := newSignInThrottle(5, func() time.Time { return now })
	_, _ = th.begin("a@example.com", home)
	first := th.hash("a@example.com", home)
	now = now.Add(24 * time.Hour)
	_, _ = th.begin("a@example.com", home)
	if th.hash("a@example.com", home) == first {
		t.Error("the same address hashes the same on the next day")
	}
}

func TestCallThrottle(t *testing.T) {
	now := time.Unix(6000, 0)
	th := newCallThrottle(keyBurst, keyInterval, func() time.Time { return now })
	for i := range keyBurst {
		if err := th.admit(1); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if err := th.admit(1); CodeOf(err) != CodeTooManyAttempts {
		t.Fatalf("one past the burst: %v", err)
	}
	if err := th.admit(2); err != nil {
		t.Errorf("another user pays: %v", err)
	}
	now = now.Add(keyInterval)
	if err := th.admit(1); err != nil {
		t.Errorf("refused after the interval: %v", err)
	}
}

// What is over does not stay, and what is not does.
func TestCallThrottleForgets(t *testing.T) {
	now := time.Unix(6000, 0)
	th := newCallThrottle(1, time.Second, func() time.Time { return now })
	for id := range int64(20 * leastSweep) {
		if err := th.admit(id); err != nil {
			t.Fatal(err)
		}
		if id%leastSweep == leastSweep-1 {
			now = now.Add(time.Second)
		}
	}
	if n := len(th.busyUntil); n > 3*leastSweep {
		t.Errorf("%d entries, of which %d can be busy", n, leastSweep)
	}
	if err := th.admit(20*leastSweep + 1); err != nil {
		t.Fatal(err)
	}
	if err := th.admit(20*leastSweep + 1); CodeOf(err) != CodeTooManyAttempts {
		t.Errorf("one past the burst: %v", err)
	}
}

// A clock that is put back does not lock out those who called before.
func TestCallThrottleAndAClockThatIsPutBack(t *testing.T) {
	now := time.Unix(10_000, 0)
	th := newCallThrottle(2, time.Second, func() time.Time { return now })
	for range 2 {
		if err := th.admit(7); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(-time.Hour)
	if refusal, ok := th.admit(7).(*Error); !ok || refusal.RetryAfter > 2*time.Second {
		t.Errorf("refused with %+v", refusal)
	}
	now = now.Add(2 * time.Second)
	if err := th.admit(7); err != nil {
		t.Errorf("still refused: %+v", err)
	}
}
