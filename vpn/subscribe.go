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
	if err := a.may(NounSubscriptions, Write); err != nil {
		return Subscription{}, err
	}
	plan, err := s.planFor(ctx, planCode, periods)
	if err != nil {
		return Subscription{}, err
	}
	sub, err := s.store.ChangeSubscription(ctx, userID, s.extension(&plan, periods), a.audit("subscription.set", userID))
	if err != nil {
		return Subscription{}, notFound(err)
	}
	return sub, s.refreshAndWait(ctx, a, userID)
}

// planFor returns the plan that so many periods are asked of.
func (s *Service) planFor(ctx context.Context, code string, periods int) (Plan, error) {
	if periods < 1 || periods > maxPeriods {
		return Plan{}, invalid("periods", "in")
	}
	plan, err := s.store.PlanByCode(ctx, code)
	if errors.Is(err, ErrNotFound) {
		return Plan{}, invalid("plan", "exists")
	}
	if err == nil && periods*plan.PeriodDays > maxDays {
		return Plan{}, invalid("periods", "in")
	}
	return plan, err
}

// SubscriptionRule makes a subscription of the one there is, which is the zero Entitlement where there is none.
type SubscriptionRule func(old *Entitlement) (Subscription, error)

// GiftRule makes a subscription of the one there is and of what a code is for.
type GiftRule func(plan *Plan, periods int, old *Entitlement) (Subscription, error)

// gift is the rule of vouchers and invitations.
func (s *Service) gift(plan *Plan, periods int, old *Entitlement) (Subscription, error) {
	return s.extension(plan, periods)(old)
}

// extension is the rule that adds periods of a plan.
func (s *Service) extension(plan *Plan, periods int) SubscriptionRule {
	return func(old *Entitlement) (Subscription, error) { return subscribe(plan, old, periods, s.now()), nil }
}

// subscribe is the rule of Subscribe. What is given again and again ends maxDays from now, and so does what was made for a plan that
// has become longer since.
func subscribe(plan *Plan, old *Entitlement, periods int, now time.Time) Subscription {
	days := min(plan.PeriodDays*periods, maxDays)
	if old.Plan.ID == plan.ID && days > 0 {
		switch sub := old.Subscription; {
		case sub.PendingDays > 0:
			sub.PendingDays = min(sub.PendingDays+days, maxDays)
			return sub
		case old.Status(now) != SubscriptionExpired && !sub.ExpiresAt.IsZero():
			extended := earlier(sub.ExpiresAt.Add(time.Duration(days)*day), now.Add(maxDays*day))
			if extended.After(sub.ExpiresAt) { // an operator may have set one that is further away
				sub.ExpiresAt = extended
			}
			return sub
		}
	}
	if plan.StartsAtFirstUse && days > 0 {
		return Subscription{PlanID: plan.ID, StartsAt: now, PendingDays: days}
	}
	return begun(plan, days, now)
}

// begun is a subscription that begins now, for so many days; 0 = for life.
func begun(plan *Plan, days int, now time.Time) Subscription {
	sub := Subscription{PlanID: plan.ID, StartsAt: now, TrafficResetsAt: nextReset(plan, now, now)}
	if days > 0 {
		sub.ExpiresAt = now.Add(time.Duration(days) * day)
	}
	return sub
}

// begin starts a subscription that waits for its first use.
func (s *Service) begin(ctx context.Context, a *Actor) error {
	_, err := s.store.ChangeSubscription(ctx, a.User.ID, func(old *Entitlement) (Subscription, error) {
		if old.Subscription.PendingDays == 0 { // another call was first
			return old.Subscription, nil
		}
		return begun(&old.Plan, old.Subscription.PendingDays, s.now()), nil
	}, a.audit("subscription.begin", a.User.ID))
	if errors.Is(err, ErrNotFound) {
		return Refusal(CodeUnauthenticated)
	}
	if err == nil {
		_, err = s.refresh(ctx, a.User.ID)
	}
	return err
}

// SetExpiry moves the end of a user's subscription; one that waits for its first use begins. CodeSubscriptionRequired
// when there is none; CodeValidationFailed, field "expires_at", for one that cannot be written.
func (s *Service) SetExpiry(ctx context.Context, a *Actor, userID int64, expiresAt time.Time) error {
	if err := a.may(NounSubscriptions, Write); err != nil {
		return err
	}
	expiresAt = expiresAt.UTC().Truncate(time.Millisecond)
	if expiresAt.After(lastInstant) {
		return invalid("expires_at", "in")
	}
	if expiresAt.Before(suspendedAt) { // 1970 and before are no instants here: 0 means that nothing expires
		expiresAt = suspendedAt
	}
	_, err := s.store.ChangeSubscription(ctx, userID, func(old *Entitlement) (Subscription, error) {
		if !old.exists() {
			return Subscription{}, Refusal(CodeSubscriptionRequired)
		}
		sub := old.Subscription
		if sub.PendingDays > 0 {
			sub = begun(&old.Plan, sub.PendingDays, s.now())
		}
		sub.ExpiresAt = expiresAt
		return sub, nil
	}, a.audit("subscription.expiry", userID))
	if err != nil {
		return notFound(err)
	}
	return s.refreshAndWait(ctx, a, userID)
}

// HelpDays is how far support may move the end of a subscription: to so many days from now, however often it tries.
const HelpDays = 14

// Extend adds days to a user's subscription: to its end, or to now if that is over. Support may extend up to HelpDays from
// now. CodeSubscriptionRequired when there is none; CodeValidationFailed, field "days", for what goes too far or when nothing
// expires.
func (s *Service) Extend(ctx context.Context, a *Actor, userID int64, days int) (Subscription, error) {
	if err := a.may(NounSubscriptions, Help); err != nil {
		return Subscription{}, err
	}
	if days < 1 || days > maxDays {
		return Subscription{}, invalid("days", "in")
	}
	isHelp := a.may(NounSubscriptions, Write) != nil
	sub, err := s.store.ChangeSubscription(ctx, userID, func(old *Entitlement) (Subscription, error) {
		now := s.now()
		sub := old.Subscription
		switch {
		case !old.exists():
			return sub, Refusal(CodeSubscriptionRequired)
		case sub.PendingDays > 0:
			sub.PendingDays += days
			if sub.PendingDays > maxDays || isHelp { // it has not begun, so nobody waits for help
				return sub, invalid("days", "in")
			}
			return sub, nil
		case sub.ExpiresAt.IsZero():
			return sub, invalid("days", "in")
		}
		from := sub.ExpiresAt
		if from.Before(now) {
			from = now
		}
		sub.ExpiresAt = from.Add(time.Duration(days) * day)
		if limit := now.Add(maxDays * day); sub.ExpiresAt.After(limit) || (isHelp && sub.ExpiresAt.After(now.Add(HelpDays*day))) {
			return sub, invalid("days", "in")
		}
		return sub, nil
	}, a.audit("subscription.extend", userID))
	if err != nil {
		return Subscription{}, notFound(err)
	}
	return sub, s.refreshAndWait(ctx, a, userID)
}
