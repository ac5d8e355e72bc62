package vpn

import (
	"context"
	"errors"
	"time"
)

// Glance is the accounts of the service at a glance.
type Glance struct {
	Users   int64
	Blocked int64
	// Active, Grace and Expired are subscriptions by their state; one that nothing ends is active.
	Active, Grace, Expired int64
	// Ending are active subscriptions that end within EndingDays; the first of them are in Next.
	Ending int64
	Next   []EndingSubscription
}

// EndingDays is how far ahead a Glance looks for subscriptions that end.
const EndingDays = 7

// maxEnding is how many of those it names.
const maxEnding = 8

// EndingSubscription is a subscription that ends soon.
type EndingSubscription struct {
	UserID    int64
	Email     string
	ExpiresAt time.Time
}

// Glance counts accounts and subscriptions. It reads every account: ask now and then.
func (s *Service) Glance(ctx context.Context, a *Actor) (Glance, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return Glance{}, err
	}
	now := s.now()
	return s.store.Glance(ctx, now, now.Add(EndingDays*day), maxEnding)
}

// Inspection is all that an operator sees of one user.
type Inspection struct {
	Account
	Tokens []Token // without their secrets, which nobody has
	Usage  []DayUsage
	Now    time.Time
}

// Inspect returns one user with the traffic of so many days. CodeNotFound when there is no such user.
func (s *Service) Inspect(ctx context.Context, a *Actor, userID int64, days int) (*Inspection, error) {
	account, err := s.Account(ctx, a, userID)
	if err != nil {
		return nil, err
	}
	i := &Inspection{Account: account, Now: s.now()}
	var errs [2]error
	i.Tokens, errs[0] = s.store.Tokens(ctx, userID)
	i.Usage, errs[1] = s.store.UserUsage(ctx, userID, days)
	return i, errors.Join(errs[:]...)
}

// Emails returns the e-mails of users by their ids. Those who are gone are left out.
func (s *Service) Emails(ctx context.Context, a *Actor, ids []int64) (map[int64]string, error) {
	if err := a.may(NounAudit, Read); err != nil {
		return nil, err
	}
	emails := make(map[int64]string, len(ids))
	for _, id := range ids {
		if _, isKnown := emails[id]; isKnown || id == 0 {
			continue
		}
		u, err := s.store.User(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		emails[id] = u.Email
	}
	return emails, nil
}
