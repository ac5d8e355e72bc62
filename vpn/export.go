package vpn

import (
	"context"
	"errors"
	"time"
)

// ExportedUser is an account with its subscription.
type ExportedUser struct {
	User
	Entitlement
	Status SubscriptionStatus
	// Used is the traffic of the running period, in bytes.
	Used int64
}

// ExportUsers calls yield for each account named, at most MaxBulk, or else for each that a filter finds, in its order. An error
// of yield ends it. That somebody took such a list with them is noted in the audit log.
func (s *Service) ExportUsers(ctx context.Context, a *Actor, ids []int64, f UserFilter, yield func(*ExportedUser) error) error {
	if err := a.may(NounUsers, Read); err != nil {
		return err
	}
	if len(ids) > MaxBulk {
		return invalid("ids", "in")
	}
	if err := s.store.Note(ctx, a.audit("export.users", 0)); err != nil {
		return err
	}
	now := s.now()
	for _, id := range ids {
		u, err := s.store.User(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err == nil {
			err = s.exportUser(ctx, u, now, yield)
		}
		if err != nil {
			return err
		}
	}
	for f.After, f.Limit = 0, MaxBulk; len(ids) == 0; {
		page, err := s.store.Users(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Users {
			if err := s.exportUser(ctx, page.Users[i], now, yield); err != nil {
				return err
			}
		}
		if f.After = page.Next; page.Next == 0 {
			break
		}
	}
	return nil
}

func (s *Service) exportUser(ctx context.Context, u User, now time.Time, yield func(*ExportedUser) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, err := s.store.Entitlement(ctx, u.ID)
	if err != nil {
		return err
	}
	return yield(&ExportedUser{User: u, Entitlement: e, Status: e.Status(now), Used: e.UsedBytes(now)})
}

// ExportColumns are the names of what Row returns.
func ExportColumns() []string {
	return []string{"id", "email", "name", "status", "role", "locale", "created_at", "plan", "subscription", "expires_at", "used_bytes"}
}

// Row is the account as a line of a table, instants in RFC 3339.
func (u *ExportedUser) Row() []string {
	instant := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format(time.RFC3339)
	}
	return []string{
		decimal(u.User.ID), harmless(u.Email), harmless(u.Name), string(u.User.Status), u.Role.String(), u.Locale, instant(u.User.CreatedAt),
		harmless(u.Plan.Code), string(u.Status), instant(u.Subscription.ExpiresAt), decimal(u.Used),
	}
}
