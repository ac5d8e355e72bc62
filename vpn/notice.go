package vpn

import (
	"context"
	"errors"
	"time"
)

const (
	// offlineAfter is how long a node must be away before that is told: as long as a dead one stays in lists.
	offlineAfter = 45 * time.Second
	// noticeLag keeps the look at expiries behind the clock, so that a change which is being written is seen.
	noticeLag = 10 * time.Second
)

// expiryNotices are the events before and at the end of a subscription. Nobody is told that a week is left of a week.
var expiryNotices = []struct { //nolint:gochecknoglobals // a table
	event string
	ahead time.Duration
}{
	{EventWeekLeft, week}, {EventDayLeft, day}, {EventExpired, 0},
}

// NoticeNow brings about the events that nobody's change does: nodes that came or went, subscriptions that are about to
// end. It is called every few seconds, by every replica; each event is written once.
func (s *Service) NoticeNow(ctx context.Context) error {
	return errors.Join(s.noticeNodes(ctx), s.noticeExpiries(ctx))
}

// noticeNodes tells which nodes came and which have been away for offlineAfter. A node that comes back before that was
// never away.
func (s *Service) noticeNodes(ctx context.Context) error {
	servers, err := s.store.Servers(ctx)
	if err != nil {
		return err
	}
	told, err := s.store.NodesTold(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	for i := range servers {
		id := servers[i].ID
		isOnline := s.nodes.Live(id).IsOnline
		switch s.awayFor(id, isOnline, now); {
		case isOnline == told[id]:
			continue
		case !isOnline && now.Sub(s.away[id]) < offlineAfter:
			continue
		}
		if err := s.store.TellNode(ctx, id, isOnline); err != nil {
			return err
		}
	}
	return nil
}

// awayFor notes since when a node is away, as this process sees it.
func (s *Service) awayFor(id int64, isOnline bool, now time.Time) {
	if isOnline {
		delete(s.away, id)
	} else if _, isKnown := s.away[id]; !isKnown {
		s.away[id] = now
	}
}

func (s *Service) noticeExpiries(ctx context.Context) error {
	for _, n := range expiryNotices {
		for {
			more, err := s.store.TellExpiries(ctx, n.event, s.now().Add(n.ahead-noticeLag), 2*n.ahead)
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
	}
	return nil
}

// NoticeEvery runs NoticeNow until ctx ends, and once an hour PruneDeliveries. One goroutine may run it.
func (s *Service) NoticeEvery(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var prunedAt time.Time
	for {
		err := s.NoticeNow(ctx)
		if now := s.now(); now.Sub(prunedAt) >= time.Hour {
			prunedAt = now
			err = errors.Join(err, s.PruneDeliveries(ctx))
		}
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "notices failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// SetWantsMail says whether the actor, or, by who manages users, any user, takes notices by mail.
func (s *Service) SetWantsMail(ctx context.Context, a *Actor, userID int64, wants bool) error {
	if userID != a.User.ID || a.User.ID == 0 {
		if err := a.may(NounUsers, Write); err != nil {
			return err
		}
	}
	return notFound(s.store.SetWantsMail(ctx, userID, wants))
}

// RefuseMail ends the notices to the user whose mail held the token. CodeNotFound for a token that is none.
func (s *Service) RefuseMail(ctx context.Context, token string) error {
	userID, err := s.store.MailTokenUser(token)
	if err == nil {
		err = s.store.SetWantsMail(ctx, userID, false)
	}
	return notFound(err)
}
