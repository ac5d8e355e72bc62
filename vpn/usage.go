package vpn

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RecordUsage books a node's report, once, and suspends the keys of users whose quota it used up. It returns the
// stream's cursor: the number of the last report booked.
func (s *Service) RecordUsage(ctx context.Context, r UsageReport) (uint64, error) {
	cursor, isBooked, exceeded, err := s.store.ApplyUsage(ctx, r, usageDay(r.To, s.now()))
	if err != nil {
		return 0, err
	}
	s.observer.UsageReported(isBooked)
	for _, id := range exceeded {
		if _, err := s.refresh(ctx, id); err != nil {
			// The report is booked; Sweep finds the user again.
			s.log.ErrorContext(ctx, "keys not suspended at quota", "user", id, "err", err)
		}
	}
	return cursor, nil
}

// oldestUsage is how long after its end a report still counts for the day it was made.
const oldestUsage = 31 * day

// usageDay is the day that a report counts for: that of its end, unless the node's clock must be wrong.
func usageDay(end, now time.Time) time.Time {
	if end.After(now) || now.Sub(end) > oldestUsage {
		end = now
	}
	return end.UTC().Truncate(day)
}

// terms reads a user's state and says what it comes to: what the user's keys carry now.
func (s *Service) terms(ctx context.Context, userID int64) (KeyTerms, error) {
	user, e, err := s.store.Standing(ctx, userID)
	if err != nil {
		return KeyTerms{}, err
	}
	return KeyTerms{
		NotAfter: notAfter(&user, &e, s.now()), Limits: e.Plan.limits(), Tier: e.Plan.Tier, NotAfterAbove: suspendedAt,
	}, nil
}

// refresh brings the deadline and limits of a user's keys in line with the user's state. It is called after every
// committed change of that state, wakes the nodes it concerns, and does not wait for them: nodes' own reports call it.
// Somebody, perhaps of another process, may change the state between its look and its write, so it looks again after
// each write: whoever writes last has seen the last state. A caller who hangs up does not keep it from that.
func (s *Service) refresh(ctx context.Context, userID int64) ([]NodeRev, error) {
	ctx = context.WithoutCancel(ctx)
	s.actors.epochs.bump(userID)
	if err := s.resetTraffic(ctx, userID); err != nil {
		return nil, err
	}
	var changed []NodeRev
	wanted, err := s.terms(ctx, userID)
	for err == nil {
		var nodes []NodeRev
		if nodes, err = s.store.RefreshKeys(ctx, userID, wanted); err != nil {
			break
		}
		s.changed(userID, nodes)
		changed = append(changed, nodes...)
		written := wanted
		if wanted, err = s.terms(ctx, userID); err == nil && wanted.equal(&written) {
			return changed, nil
		}
	}
	if errors.Is(err, ErrNotFound) { // removed, and the keys with the user
		err = nil
	}
	return changed, err
}

// resetTraffic begins a user's next traffic period if one is over, or the first if the plan began to count.
func (s *Service) resetTraffic(ctx context.Context, userID int64) error {
	e, err := s.store.Entitlement(ctx, userID)
	if err != nil || !e.exists() {
		return err
	}
	now := s.now()
	at := e.Subscription.TrafficResetsAt
	if isOver := !at.IsZero() && !now.Before(at); !isOver && !(at.IsZero() && e.Plan.TrafficLimit > 0) {
		return nil
	}
	return s.store.ResetTraffic(ctx, userID, now, nextReset(&e.Plan, e.Subscription.StartsAt, now))
}

// sweepPage is how many users one round of a sweep takes.
const sweepPage = 500

// Sweep refreshes every user whose keys carry a wrong deadline because time passed (a traffic period is over), a plan or a
// server's tier changed, or a process died between a change and its refresh. It is called every few seconds. A user whose refresh
// fails keeps no other from theirs, and is found again by the next sweep.
func (s *Service) Sweep(ctx context.Context) error {
	if err := s.advancePlans(ctx); err != nil {
		return err
	}
	for {
		removed, err := s.store.EntombRemoved(ctx)
		if err != nil {
			return err
		}
		s.nodes.Wake(removed...)
		isSpreading, err := s.store.SpreadDue(ctx, sweepPage)
		if err != nil {
			return err
		}
		users, err := s.store.UsersDue(ctx, s.now(), sweepPage)
		if err != nil {
			return err
		}
		var failed error
		for _, id := range users {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := s.refresh(ctx, id); err != nil {
				failed = errors.Join(failed, fmt.Errorf("user %d: %w", id, err))
			}
		}
		if failed != nil || !isSpreading && len(removed) == 0 && len(users) < sweepPage {
			return failed
		}
	}
}

// sweepWait is how long whoever changed what many keys follow from waits for them.
const sweepWait = 5 * time.Second

// sweepSoon sweeps after a change that concerns many. Those who are not done by then, SweepEvery goes on with.
func (s *Service) sweepSoon(ctx context.Context) error {
	s.actors.epochs.bumpAll()
	bounded, cancel := context.WithTimeout(ctx, sweepWait)
	defer cancel()
	if err := s.Sweep(bounded); err != nil && (ctx.Err() != nil || bounded.Err() == nil) {
		return err
	}
	return nil
}

// advancePlans gives those whose subscription ended the plan that follows theirs.
func (s *Service) advancePlans(ctx context.Context) error {
	for {
		now := s.now()
		users, err := s.store.AdvancePlans(ctx, now, func(next *Plan) Subscription { return begun(next, next.PeriodDays, now) }, sweepPage,
			Audit{Action: "subscription.next"})
		if err != nil || len(users) == 0 {
			return err
		}
		for _, id := range users {
			s.actors.epochs.bump(id)
		}
	}
}

// Usage returns the actor's traffic by day, the latest first.
func (s *Service) Usage(ctx context.Context, a *Actor, days int) ([]DayUsage, error) {
	return s.store.UserUsage(ctx, a.User.ID, days)
}

// SweepEvery runs Sweep until ctx ends.
func (s *Service) SweepEvery(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "sweep failed", "err", err)
		}
		if err := errors.Join(s.ChainAudit(ctx), s.ForgetAnswers(ctx)); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "audit log not chained or old answers not forgotten", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
