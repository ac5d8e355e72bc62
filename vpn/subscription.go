package vpn

import "time"

// SubscriptionStatus is where a subscription stands now.
type SubscriptionStatus string

// The states of a subscription.
const (
	SubscriptionNone    SubscriptionStatus = "none"
	SubscriptionTrial   SubscriptionStatus = "trial"
	SubscriptionActive  SubscriptionStatus = "active"
	SubscriptionGrace   SubscriptionStatus = "grace"
	SubscriptionExpired SubscriptionStatus = "expired"
)

// Subscription is a user's right to use the service: one per user, extended or replaced.
type Subscription struct {
	UserID    int64
	PlanID    int64
	StartsAt  time.Time
	ExpiresAt time.Time // zero = for life
	// UsedBytes counts both directions since the traffic period began.
	UsedBytes int64
	// TrafficResetsAt ends the traffic period; zero when the plan counts none.
	TrafficResetsAt time.Time
	// PendingDays is how long a subscription will last that begins with its first key; 0 = it has begun.
	PendingDays int
	UpdatedAt   time.Time
}

// Entitlement is a subscription with its plan; the zero Entitlement is a user without one.
type Entitlement struct {
	Subscription Subscription
	Plan         Plan
}

// defaultDeviceLimit holds for users without a subscription: they may sign in, to be able to buy one.
const defaultDeviceLimit = 5

const day = 24 * time.Hour

// exists reports whether there is a subscription at all.
func (e *Entitlement) exists() bool { return e.Plan.ID != 0 }

// Status is the state of the subscription at an instant.
func (e *Entitlement) Status(now time.Time) SubscriptionStatus {
	switch s := e.Subscription; {
	case !e.exists():
		return SubscriptionNone
	case s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt):
		if e.Plan.IsTrial {
			return SubscriptionTrial
		}
		return SubscriptionActive
	case now.Before(e.endsAt()):
		return SubscriptionGrace
	default:
		return SubscriptionExpired
	}
}

// endsAt is the end of the grace period: from then on keys are dead. Zero = never.
func (e *Entitlement) endsAt() time.Time {
	if e.Subscription.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return earlier(e.Subscription.ExpiresAt.Add(time.Duration(e.Plan.GraceDays)*day), lastInstant)
}

// lastInstant is the last second that RFC 3339 can write.
var lastInstant = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) //nolint:gochecknoglobals // a constant that Go cannot declare as one

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// DeviceLimit is how many devices may be signed in at once.
func (e *Entitlement) DeviceLimit() int {
	if !e.exists() {
		return defaultDeviceLimit
	}
	return e.Plan.DeviceLimit
}

// UsedBytes is the traffic of the running period at an instant: nothing once the period is over, whether or not the
// stored counter was reset yet.
func (e *Entitlement) UsedBytes(now time.Time) int64 {
	if at := e.Subscription.TrafficResetsAt; !at.IsZero() && !now.Before(at) {
		return 0
	}
	return e.Subscription.UsedBytes
}

// quotaExceeded reports whether the plan's traffic is used up.
func (e *Entitlement) quotaExceeded(now time.Time) bool {
	return e.Plan.TrafficLimit > 0 && e.UsedBytes(now) >= e.Plan.TrafficLimit
}

// DaysLeft is the number of days until the expiry, rounded up and never negative; ok is false when nothing expires.
func (e *Entitlement) DaysLeft(now time.Time) (days int, ok bool) {
	if e.Subscription.PendingDays > 0 {
		return e.Subscription.PendingDays, true
	}
	if !e.exists() || e.Subscription.ExpiresAt.IsZero() {
		return 0, false
	}
	left := e.Subscription.ExpiresAt.UnixMilli() - now.UnixMilli() // a time.Duration ends after 292 years
	if left <= 0 {
		return 0, true
	}
	return int((left-1)/day.Milliseconds()) + 1, true
}

// Access says whether a user may have keys now, and if not, why.
type Access struct {
	Allowed bool
	Reason  Code // "" when allowed
}

// access is the rule behind every key: blocked, then subscription, then quota.
func access(u *User, e *Entitlement, now time.Time) Access {
	switch {
	case u.Status == UserBlocked:
		return Access{Reason: CodeAccountBlocked}
	case !e.exists():
		return Access{Reason: CodeSubscriptionRequired}
	case e.Status(now) == SubscriptionExpired:
		return Access{Reason: CodeSubscriptionExpired}
	case e.quotaExceeded(now):
		return Access{Reason: CodeTrafficQuotaExceeded}
	default:
		return Access{Allowed: true}
	}
}

// notAfter is the deadline that a user's keys carry: the end of the grace period, or the past when the user may have
// none now. Zero = none.
func notAfter(u *User, e *Entitlement, now time.Time) time.Time {
	if a := access(u, e, now); !a.Allowed && a.Reason != CodeSubscriptionExpired {
		return suspendedAt
	}
	return e.endsAt()
}

// suspendedAt is the deadline of a suspended key: one millisecond into 1970, since zero means none. It is the same at
// every call, so that suspending twice changes nothing.
var suspendedAt = time.UnixMilli(1).UTC() //nolint:gochecknoglobals // a constant that Go cannot declare as one

// nextReset is the first end of a traffic month, or period, after now, counted from the start; a month that lacks the day
// ends on its last one. Zero when the plan counts no traffic.
func nextReset(p *Plan, startsAt, now time.Time) time.Time {
	switch period := time.Duration(p.PeriodDays) * day; {
	case p.TrafficLimit == 0:
		return time.Time{}
	case p.TrafficByPeriod && period > 0:
		over := int(max(now.Sub(startsAt), 0) / period)
		return startsAt.AddDate(0, 0, (over+1)*p.PeriodDays)
	}
	months := (now.Year()-startsAt.Year())*12 + int(now.Month()) - int(startsAt.Month())
	for n := max(months, 1); ; n++ {
		if at := addMonths(startsAt, n); at.After(now) {
			return at
		}
	}
}

// addMonths adds months and stays within the month it lands in.
func addMonths(t time.Time, n int) time.Time {
	at := t.AddDate(0, n, 0)
	if at.Day() != t.Day() {
		at = at.AddDate(0, 0, -at.Day())
	}
	return at
}
