package vpn

import (
	"testing"
	"time"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestSubscriptionStatus(t *testing.T) {
	e := Entitlement{
		Plan:         Plan{ID: 1, GraceDays: 3},
		Subscription: Subscription{StartsAt: at("2026-09-01T00:00:00Z"), ExpiresAt: at("2026-10-01T00:00:00Z")},
	}
	for _, c := range []struct {
		now    string
		status SubscriptionStatus
		days   int
	}{
		{"2026-09-01T00:00:00Z", SubscriptionActive, 30},
		{"2026-09-23T00:00:00Z", SubscriptionActive, 8},
		{"2026-09-23T00:00:01Z", SubscriptionActive, 8},
		{"2026-09-30T23:59:59Z", SubscriptionActive, 1},
		{"2026-10-01T00:00:00Z", SubscriptionGrace, 0},
		{"2026-10-03T23:59:59Z", SubscriptionGrace, 0},
		{"2026-10-04T00:00:00Z", SubscriptionExpired, 0},
	} {
		if got := e.Status(at(c.now)); got != c.status {
			t.Errorf("%s: status %s, want %s", c.now, got, c.status)
		}
		if days, ok := e.DaysLeft(at(c.now)); days != c.days || !ok {
			t.Errorf("%s: %d days left, want %d", c.now, days, c.days)
		}
	}
	e.Plan.IsTrial = true
	if got := e.Status(e.Subscription.StartsAt); got != SubscriptionTrial {
		t.Errorf("trial plan: %s", got)
	}
	if got := (&Entitlement{}).Status(time.Now()); got != SubscriptionNone {
		t.Errorf("no plan: %s", got)
	}
	life := Entitlement{Plan: Plan{ID: 1}, Subscription: Subscription{StartsAt: at("2026-09-01T00:00:00Z")}}
	if got := life.Status(at("2096-09-01T00:00:00Z")); got != SubscriptionActive {
		t.Errorf("for life: %s", got)
	}
	if _, ok := life.DaysLeft(time.Now()); ok {
		t.Error("a plan for life has days left")
	}
}

func TestAccessNamesTheFirstReason(t *testing.T) {
	now := at("2026-09-10T00:00:00Z")
	active := &User{Status: UserActive}
	full := Entitlement{
		Plan:         Plan{ID: 1, TrafficLimit: 100},
		Subscription: Subscription{UsedBytes: 100, ExpiresAt: at("2026-10-01T00:00:00Z"), TrafficResetsAt: at("2026-10-01T00:00:00Z")},
	}
	expired := full
	expired.Subscription.ExpiresAt = at("2026-09-01T00:00:00Z")
	under := full
	under.Subscription.UsedBytes = 99
	for _, c := range []struct {
		name     string
		user     *User
		e        Entitlement
		reason   Code
		notAfter time.Time
	}{
		{"fine", active, under, "", under.Subscription.ExpiresAt},
		{"quota", active, full, CodeTrafficQuotaExceeded, suspendedAt},
		{"expired before quota", active, expired, CodeSubscriptionExpired, expired.Subscription.ExpiresAt},
		{"none", active, Entitlement{}, CodeSubscriptionRequired, suspendedAt},
		{"blocked before all", &User{Status: UserBlocked}, expired, CodeAccountBlocked, suspendedAt},
	} {
		a := access(c.user, &c.e, now)
		if a.Reason != c.reason || a.Allowed != (c.reason == "") {
			t.Errorf("%s: %+v", c.name, a)
		}
		if got := notAfter(c.user, &c.e, now); !got.Equal(c.notAfter) {
			t.Errorf("%s: keys end %v, want %v", c.name, got, c.notAfter)
		}
	}
	if used := full.UsedBytes(at("2026-10-01T00:00:00Z")); used != 0 {
		t.Errorf("%d bytes used in a new period", used)
	}
}

func TestNextReset(t *testing.T) {
	p := &Plan{TrafficLimit: 1}
	for _, c := range [][3]string{
		{"2026-09-01T00:00:00Z", "2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"},
		{"2026-01-31T10:00:00Z", "2026-02-01T00:00:00Z", "2026-02-28T10:00:00Z"},
		{"2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"},
		{"2024-01-31T10:00:00Z", "2024-02-01T00:00:00Z", "2024-02-29T10:00:00Z"},
		{"2026-11-15T00:00:00Z", "2027-01-20T00:00:00Z", "2027-02-15T00:00:00Z"},
	} {
		if got := nextReset(p, at(c[0]), at(c[1])); !got.Equal(at(c[2])) {
			t.Errorf("from %s at %s: %s, want %s", c[0], c[1], got.Format(time.RFC3339), c[2])
		}
	}
	p = &Plan{TrafficLimit: 1, TrafficByPeriod: true, PeriodDays: 7}
	for _, c := range [][3]string{
		{"2026-09-01T10:00:00Z", "2026-09-01T10:00:00Z", "2026-09-08T10:00:00Z"},
		{"2026-09-01T10:00:00Z", "2026-09-08T09:59:59Z", "2026-09-08T10:00:00Z"},
		{"2026-09-01T10:00:00Z", "2026-09-08T10:00:00Z", "2026-09-15T10:00:00Z"},
		{"2026-09-01T10:00:00Z", "2026-08-31T00:00:00Z", "2026-09-08T10:00:00Z"},
	} {
		if got := nextReset(p, at(c[0]), at(c[1])); !got.Equal(at(c[2])) {
			t.Errorf("by period, from %s at %s: %s, want %s", c[0], c[1], got.Format(time.RFC3339), c[2])
		}
	}
	if p.PeriodDays = 0; !nextReset(p, at("2026-09-01T00:00:00Z"), at("2026-09-01T00:00:00Z")).Equal(at("2026-10-01T00:00:00Z")) {
		t.Error("a plan for life has no months")
	}
	if got := nextReset(&Plan{}, time.Now(), time.Now()); !got.IsZero() {
		t.Errorf("a plan without quota resets at %v", got)
	}
}

func TestSubscribeExtendsTheSamePlan(t *testing.T) {
	now := at("2026-09-10T00:00:00Z")
	plan := &Plan{ID: 1, PeriodDays: 30, TrafficLimit: 10}
	first := subscribe(plan, &Entitlement{}, 1, now)
	if !first.ExpiresAt.Equal(at("2026-10-10T00:00:00Z")) || !first.TrafficResetsAt.Equal(at("2026-10-10T00:00:00Z")) {
		t.Errorf("first period: %+v", first)
	}
	first.UsedBytes = 5
	second := subscribe(plan, &Entitlement{Plan: *plan, Subscription: first}, 2, now.AddDate(0, 0, 10))
	if !second.ExpiresAt.Equal(first.ExpiresAt.AddDate(0, 0, 60)) || second.UsedBytes != 5 || !second.StartsAt.Equal(first.StartsAt) {
		t.Errorf("extended: %+v", second)
	}
	other := subscribe(&Plan{ID: 2, PeriodDays: 7}, &Entitlement{Plan: *plan, Subscription: first}, 1, now)
	if !other.ExpiresAt.Equal(now.AddDate(0, 0, 7)) || other.UsedBytes != 0 {
		t.Errorf("another plan: %+v", other)
	}
}

// What a code is for was checked when it was made; its plan may have become longer since.
func TestGiftsOfALongerPlanEndInTime(t *testing.T) {
	now := at("2026-09-10T00:00:00Z")
	plan := &Plan{ID: 1, PeriodDays: maxDays}
	want := now.AddDate(0, 0, maxDays)
	first := subscribe(plan, &Entitlement{}, maxPeriods, now)
	if !first.ExpiresAt.Equal(want) {
		t.Errorf("first: %v", first.ExpiresAt)
	}
	short := Subscription{PlanID: 1, StartsAt: now, ExpiresAt: now.AddDate(0, 0, 1)}
	if more := subscribe(plan, &Entitlement{Plan: *plan, Subscription: short}, maxPeriods, now); !more.ExpiresAt.Equal(want) {
		t.Errorf("extended: %v", more.ExpiresAt)
	}
	plan.StartsAtFirstUse = true
	if later := subscribe(plan, &Entitlement{}, maxPeriods, now); later.PendingDays != maxDays {
		t.Errorf("pending: %d days", later.PendingDays)
	}
}
