package vpn

import (
	"context"
	"errors"
	"sync"
	"time"
)

// RecordUsage books a node's report, once, and suspends the keys of users whose quota it used up. It returns the
// stream's cursor: the number of the last report booked.
func (s *Service) RecordUsage(ctx context.Context, r UsageReport) (uint64, error) {
	cursor, _, exceeded, err := s.store.ApplyUsage(ctx, r, s.now().Truncate(day))
	if err != nil {
		return 0, err
	}
	for _, id := range exceeded {
		if _, err := s.refresh(ctx, id); err != nil {
			// The report is booked; Sweep finds the user again.
			s.log.ErrorContext(ctx, "keys not suspended at quota", "user", id, "err", err)
		}
	}
	return cursor, nil
}

// userLocks orders the refreshes of one user: the last one to read is the last one to write.
type userLocks [64]sync.Mutex

// refresh brings the deadline and limits of a user's keys in line with the user's state. It is called after every
// committed change of that state, wakes the nodes it concerns, and does not wait for them: nodes' own reports call it.
func (s *Service) refresh(ctx context.Context, userID int64) ([]NodeRev, error) {
	s.actors.epochs.bump(userID)
	mu := &s.refreshes[uint64(userID)%uint64(len(s.refreshes))]
	mu.Lock()
	defer mu.Unlock()
	user, err := s.store.User(ctx, userID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := s.store.Entitlement(ctx, userID)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if at := e.Subscription.TrafficResetsAt; !at.IsZero() && !now.Before(at) {
		if err := s.store.ResetTraffic(ctx, userID, now, nextReset(&e.Plan, e.Subscription.StartsAt, now)); err != nil {
			return nil, err
		}
	}
	nodes, err := s.store.RefreshKeys(ctx, userID, notAfter(&user, &e, now), e.Plan.limits())
	if err != nil {
		return nil, err
	}
	s.changed(userID, nodes)
	return nodes, nil
}

// sweepPage is how many users one round of a sweep takes.
const sweepPage = 500

// Sweep refreshes every user whose keys carry a wrong deadline because time passed (a traffic period is over) or a
// process died between a change and its refresh. It is called every few seconds.
func (s *Service) Sweep(ctx context.Context) error {
	for {
		users, err := s.store.UsersDue(ctx, s.now(), sweepPage)
		if err != nil {
			return err
		}
		for _, id := range users {
			if _, err := s.refresh(ctx, id); err != nil {
				return err
			}
		}
		if len(users) < sweepPage {
			return nil
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
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
