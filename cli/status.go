package cli

import (
	"context"
	"fmt"
	"time"

	"stile/wire"
)

// StatusCmd is `stile status`.
type StatusCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*StatusCmd) Help() string {
	return `Example:

  $ stile status --json`
}

// Run shows where the account stands.
func (c *StatusCmd) Run(ctx context.Context, t *Terminal) error {
	a, err := openAccount()
	if err != nil {
		return err
	}
	s, err := a.Subscription(ctx)
	if err != nil {
		return a.remedy(err)
	}
	if c.JSON {
		return t.printJSON(s)
	}
	rows := [][]string{
		{"Account", fmt.Sprintf("%s at %s", s.User.Email, a.session.API)},
		{"Subscription", describePlan(&s.Subscription)},
		{"Traffic", describeTraffic(&s.Traffic)},
		{"Devices", fmt.Sprintf("%d of %d", s.Devices.Used, s.Devices.Limit)},
	}
	if s.Device != nil {
		rows = append(rows, []string{"This device", fmt.Sprintf("%s (%d)", s.Device.Name, s.Device.ID)})
	}
	rows = append(rows, []string{"Access", describeAccess(&s)})
	t.printTable(nil, rows)
	return nil
}

func describePlan(s *wire.Subscription) string {
	if s.Plan == nil {
		return s.Status
	}
	text := fmt.Sprintf("%s, %s", s.Plan.Name, s.Status)
	switch {
	case s.ExpiresAt == nil || s.DaysLeft == nil:
		return text + ", for life"
	case *s.DaysLeft == 1:
		return text + ", 1 day left, until " + day(s.ExpiresAt)
	}
	return fmt.Sprintf("%s, %d days left, until %s", text, *s.DaysLeft, day(s.ExpiresAt))
}

func describeTraffic(t *wire.Traffic) string {
	text := humanBytes(t.UsedBytes)
	if t.LimitBytes == nil {
		text += ", no limit"
	} else {
		text += " of " + humanBytes(*t.LimitBytes)
	}
	if t.ResetsAt != nil {
		text += ", anew on " + day(t.ResetsAt)
	}
	if t.SpeedLimitMbps != nil {
		text += fmt.Sprintf(", at most %d Mbit/s", *t.SpeedLimitMbps)
	}
	return text
}

func describeAccess(s *wire.SubscriptionResponse) string {
	if s.Access.Allowed {
		return "yes"
	}
	return "no: " + accessReason(s)
}

// accessReason says why an account has no access, and where to get it.
func accessReason(s *wire.SubscriptionResponse) string {
	text := "the service does not say why"
	switch {
	case s.Access.Message != nil:
		text = clean(*s.Access.Message)
	case s.Access.Reason != nil:
		text = clean(*s.Access.Reason)
	}
	if s.Links.Renew != nil {
		text += " " + clean(*s.Links.Renew)
	}
	return text
}

// humanBytes writes a size in the unit that leaves one to three digits before the point.
func humanBytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if value /= 1000; value < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// milliseconds writes a round trip.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000)
}
