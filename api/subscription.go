package api

import (
	"context"
	"time"

	"stile/internal/locale"
	"stile/vpn"
	"stile/wire"
)

// pollAfter is in how many seconds a client should ask again.
const pollAfter = 600

// subscription returns all that the extension's popup shows.
func (a *API) subscription(ctx context.Context, actor *vpn.Actor, in asked) (*wire.SubscriptionResponse, error) {
	o, err := a.service.Overview(ctx, actor)
	if err != nil {
		return nil, err
	}
	return &wire.SubscriptionResponse{
		User:         wire.UserSummary{ID: o.User.ID, Email: o.User.Email, Name: o.User.Name},
		Subscription: subscriptionOf(o, in.lang), Access: a.accessOf(o, in.lang), Traffic: trafficOf(o),
		Devices: wire.DeviceCount{Used: len(o.Devices), Limit: o.DeviceLimit}, Device: currentDevice(o.Device),
		ServersRevision: o.View.Revision, RecommendedServerID: orNull(o.View.RecommendedID), Links: linksOf(a.service.Settings(ctx).Links),
		ServerTime: wire.Seconds(o.Now), PollAfter: pollAfter,
	}, nil
}

// userApp returns all that the app shows.
func (a *API) userApp(ctx context.Context, actor *vpn.Actor, in asked) (*wire.AppResponse, error) {
	o, err := a.service.Overview(ctx, actor)
	if err != nil {
		return nil, err
	}
	app := a.config.App
	r := &wire.AppResponse{
		User: userOf(&o.User), Subscription: subscriptionOf(o, in.lang), Access: a.accessOf(o, in.lang), Traffic: trafficOf(o),
		Devices:         wire.DeviceSlots{Used: len(o.Devices), Limit: o.DeviceLimit, Data: devicesOf(o.Devices, actor.Device.ID)},
		ServersRevision: o.View.Revision, RecommendedServerID: orNull(o.View.RecommendedID), Links: linksOf(a.service.Settings(ctx).Links),
		ServerTime: wire.Seconds(o.Now), PollAfter: pollAfter, Protocols: protocolsIn(o.View),
		App: wire.App{MinVersion: orNull(app.Min), LatestVersion: orNull(app.Latest), UpdateURL: orNull(app.UpdateURL)},
	}
	if o.Device != nil {
		device := deviceOf(o.Device, actor.Device.ID)
		r.Device = &device
		if r.SubscriptionURL, err = a.subscriptionURL(ctx, actor, o.Device.ID, in.baseURL); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func subscriptionOf(o *vpn.Overview, l locale.Lang) wire.Subscription {
	e := &o.Entitlement
	s := wire.Subscription{Status: string(o.Status), IsTrial: e.Plan.IsTrial}
	if e.Plan.ID == 0 {
		return s
	}
	s.Plan = &wire.Plan{Code: e.Plan.Code, Name: e.Plan.Name.In(string(l)), Tier: e.Plan.Tier}
	s.StartsAt = wire.SecondsOrNull(e.Subscription.StartsAt)
	s.ExpiresAt = wire.SecondsOrNull(e.Subscription.ExpiresAt)
	if days, ok := e.DaysLeft(o.Now); ok {
		s.DaysLeft = &days
	}
	if !e.Subscription.ExpiresAt.IsZero() {
		expiresIn := max(int64(e.Subscription.ExpiresAt.Sub(o.Now)/time.Second), 0)
		s.ExpiresIn = &expiresIn
	}
	return s
}

func (a *API) accessOf(o *vpn.Overview, l locale.Lang) wire.Access {
	if o.Access.Allowed {
		return wire.Access{Allowed: true}
	}
	reason := string(o.Access.Reason)
	message := a.texts.In(l, "error."+reason)
	return wire.Access{Reason: &reason, Message: &message}
}

func trafficOf(o *vpn.Overview) wire.Traffic {
	t := wire.Traffic{
		UsedBytes: o.Traffic.Used, LimitBytes: orNull(o.Traffic.Limit), ResetsAt: wire.SecondsOrNull(o.Traffic.ResetsAt),
		SpeedLimitMbps: orNull(o.Entitlement.Plan.SpeedLimitMbps),
	}
	t.LeftBytes = leftOf(&o.Traffic)
	return t
}

// leftOf is what is left of a quota: null without one, and 0 when it is used up.
func leftOf(t *vpn.Traffic) *int64 {
	if t.Limit == 0 {
		return nil
	}
	left := t.Left
	return &left
}

func linksOf(l vpn.Links) wire.Links {
	return wire.Links{Account: orNull(l.Account), Renew: orNull(l.Renew), Support: orNull(l.Support)}
}

// protocolsIn are the protocols of all servers of a list, in the order in which they are met.
func protocolsIn(v *vpn.View) []string {
	names := []string{}
	seen := make(map[vpn.Protocol]bool)
	for i := range v.Servers {
		for _, p := range v.Servers[i].Protocols {
			if !seen[p] {
				seen[p] = true
				names = append(names, string(p))
			}
		}
	}
	return names
}

// orNull is null for a zero value, which stands for "none" or "unlimited" in the domain.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
