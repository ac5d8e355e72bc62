package cli

import (
	"context"
	"fmt"
	"time"

	"stile/vpn"
)

// UserSubscribeCmd is `stile user subscribe`.
type UserSubscribeCmd struct {
	userRef
	Plan    string `arg:"" help:"Code of the plan."`
	Periods int    `range:"1..1200" default:"1" help:"How many periods; a running subscription of the same plan is extended."`
}

// Run gives the periods.
func (c *UserSubscribeCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		sub, err := s.Subscribe(ctx, shell, u.ID, c.Plan, c.Periods)
		if err != nil {
			return err
		}
		if sub.ExpiresAt.IsZero() {
			t.printf("%s has %s for life.\n", u.Email, c.Plan)
			return nil
		}
		t.printf("%s has %s until %s.\n", u.Email, c.Plan, sub.ExpiresAt.Format(time.RFC3339))
		return nil
	})
}

// UserExpireCmd is `stile user expire`.
type UserExpireCmd struct {
	userRef
	At string `arg:"" default:"now" help:"now, a day (2026-12-31) or an instant (2026-12-31T18:00:00Z)."`
}

// Run moves the end of the subscription.
func (c *UserExpireCmd) Run(ctx context.Context, t *Terminal) error {
	at, err := parseInstant(c.At)
	if err != nil {
		return err
	}
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.SetExpiry(ctx, shell, u.ID, at); err != nil {
			return err
		}
		t.printf("The subscription of %s ends %s.\n", u.Email, at.UTC().Format(time.RFC3339))
		return nil
	})
}

// parseInstant reads now, a day or an RFC 3339 instant.
func parseInstant(text string) (time.Time, error) {
	if text == "now" {
		return time.Now(), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no instant: write now, 2026-12-31 or 2026-12-31T18:00:00Z", text)
}
