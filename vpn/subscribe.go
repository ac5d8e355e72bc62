package vpn

import (
	"context"
	"errors"
	"time"
)

const (
	// maxPeriods is how many periods can be given at once.
	maxPeriods = 1200
	// maxDays is the longest period, and the longest time that can be given at once: beyond 292 years a time.Duration ends.
	maxDays = 36_500
)

// Subscribe gives a user periods of a plan: appended to a running subscription of the same plan, from now otherwise.
// A plan for life ignores periods.
func (s *Service) Subscribe(ctx context.Context, a *Actor, userID int64, planCode string, periods int) (Subscription, error) {
	if err := a.mayManage(); err != nil {
		return Subscription{}, err
	}
	if periods < 1 || periods > maxPeriods {
		return Subscription{}, invalid("periods", "in")
	}
	plan, err := s.store.PlanByCode(ctx, planCode)
	if errors.Is(err, ErrNotFound) {
		return Subscription{}, invalid("plan", "exists")
	}
	if err != nil {
		return Subscription{}, err
	}
	if periods*plan.PeriodDays > maxDays {
		return Subscription{}, invalid("periods", "in")
	}
	old, err := s.store.Entitlement(ctx, userID)
	if err != nil {
		return Subscription{}, notFound(err)
	}
	sub := subscribe(userID, &plan, &old, periods, s.now())
	if err := s.store.SetSubscription(ctx, sub, a.audit("subscription.set", userID)); err != nil {
		return Subscription{}, notFound(err)
	}
	return sub, s.refreshAndWait(ctx, userID)
}

// subscribe is the rule of Subscribe.
func subscribe(userID int64, plan *Plan, old *Entitlement, periods int, now time.Time) Subscription {
	length := time.Duration(plan.PeriodDays) * day * time.Duration(periods)
	status := old.Status(now)
	if old.Plan.ID == plan.ID && status != SubscriptionExpired && !old.Subscription.ExpiresAt.IsZero() && plan.PeriodDays > 0 {
		sub := old.Subscription
		sub.ExpiresAt = sub.ExpiresAt.Add(length)
		return sub
	}
	sub := Subscription{UserID: userID, PlanID: plan.ID, StartsAt: now, TrafficResetsAt: nextReset(plan, now, now)}
	if plan.PeriodDays > 0 {
		sub.ExpiresAt = now.Add(length)
	}
	return sub
}

// SetExpiry moves the end of a user's subscription. CodeSubscriptionRequired when there is none.
func (s *Service) SetExpiry(ctx context.Context, a *Actor, userID int64, expiresAt time.Time) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	e, err := s.store.Entitlement(ctx, userID)
	if err != nil {
		return notFound(err)
	}
	if !e.exists() {
		return Refusal(CodeSubscriptionRequired)
	}
	sub := e.Subscription
	sub.ExpiresAt = expiresAt.UTC().Truncate(time.Millisecond)
	if sub.ExpiresAt.Before(suspendedAt) { // 1970 and before are no instants here: 0 means that nothing expires
		sub.ExpiresAt = suspendedAt
	}
	if err := s.store.SetSubscription(ctx, sub, a.audit("subscription.expiry", userID)); err != nil {
		return notFound(err)
	}
	return s.refreshAndWait(ctx, userID)
}
