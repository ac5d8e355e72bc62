package vpn

import (
	"context"
	"time"
)

// Overview is all that a client shows of an account in one read.
type Overview struct {
	User        User
	Entitlement Entitlement
	Status      SubscriptionStatus
	Access      Access
	Traffic     Traffic
	Devices     []Device
	DeviceLimit int
	// Device is the token's own; nil for an API token.
	Device *Device
	// View is the list of servers as this user meets it.
	View *View
	// Now is the instant the overview holds for.
	Now time.Time
}

// Traffic is the running period's use. Limit 0 = unlimited; then Left is 0 too.
type Traffic struct {
	Used     int64
	Limit    int64
	Left     int64
	ResetsAt time.Time
}

// Overview returns the state of the actor's account.
func (s *Service) Overview(ctx context.Context, a *Actor) (*Overview, error) {
	now := s.now()
	e, err := s.entitlement(ctx, a.User.ID)
	if err != nil {
		return nil, err
	}
	devices, err := s.store.Devices(ctx, a.User.ID)
	if err != nil {
		return nil, err
	}
	allowed := access(&a.User, e, now)
	view, err := s.view(ctx, e, allowed)
	if err != nil {
		return nil, err
	}
	o := &Overview{
		User: a.User, Entitlement: *e, Status: e.Status(now), Access: allowed, Traffic: traffic(e, now),
		Devices: devices, DeviceLimit: e.DeviceLimit(), View: view, Now: now,
	}
	if a.Device.ID != 0 {
		o.Device = &a.Device
	}
	return o, nil
}

// Traffic returns the actor's use of the running period, at most a second old.
func (s *Service) Traffic(ctx context.Context, a *Actor) (Traffic, error) {
	e, err := s.entitlement(ctx, a.User.ID)
	if err != nil {
		return Traffic{}, err
	}
	return traffic(e, s.now()), nil
}

// traffic sums up the running period.
func traffic(e *Entitlement, now time.Time) Traffic {
	t := Traffic{Used: e.UsedBytes(now), Limit: e.Plan.TrafficLimit, ResetsAt: e.Subscription.TrafficResetsAt}
	if t.Limit > 0 {
		t.Left = max(t.Limit-t.Used, 0)
	}
	if !t.ResetsAt.IsZero() && !now.Before(t.ResetsAt) {
		t.ResetsAt = nextReset(&e.Plan, e.Subscription.StartsAt, now)
	}
	return t
}
