package vpn

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Bundle is all keys of one device: what its subscription address leads to.
type Bundle struct {
	User        User
	Device      Device
	Entitlement Entitlement
	Traffic     Traffic
	// Keys are those on the servers that serve the user now, the best server first.
	Keys []IssuedKey
	// Refused says why there are no keys; nil when there may be some.
	Refused *Error
	Now     time.Time
}

// issuesAtOnce bounds how many keys of a bundle are asked of the store at once: it merges what waits into one transaction.
const issuesAtOnce = 64

// Bundle returns the keys of the device that a subscription address names, and makes those that are missing. It answers
// when the nodes have put the keys into their data planes, or after Config.KeyWait. CodeNotFound for what is no address,
// for a wrong one, and for that of a device that is gone (indistinguishable); CodeTooManyAttempts. A user who may have no
// keys now is Refused in the bundle.
func (s *Service) Bundle(ctx context.Context, address Address) (*Bundle, error) {
	device, kept, err := s.store.Addressed(ctx, address.DeviceID)
	if err != nil {
		return nil, notFound(err)
	}
	if !kept.equal(address) {
		return nil, Refusal(CodeNotFound)
	}
	if err := s.keyCalls.admit(device.UserID); err != nil {
		return nil, err
	}
	b := &Bundle{Device: device, Now: s.now()}
	if err := s.stand(ctx, b); err != nil {
		return nil, notFound(err)
	}
	if b.Refused == nil && b.Entitlement.Subscription.PendingDays > 0 {
		if err := s.begin(ctx, &Actor{User: b.User}); err != nil {
			return nil, err
		}
		if err := s.stand(ctx, b); err != nil {
			return nil, notFound(err)
		}
	}
	if b.Refused == nil {
		if err := s.fill(ctx, b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// stand reads how the bundle's user stands.
func (s *Service) stand(ctx context.Context, b *Bundle) (err error) {
	b.User, b.Entitlement, err = s.store.Standing(ctx, b.Device.UserID)
	if err != nil {
		return err
	}
	b.Traffic = traffic(&b.Entitlement, b.Now)
	b.Refused = nil
	if err := refuse(&b.User, &b.Entitlement, b.Now); err != nil {
		if !errors.As(err, &b.Refused) {
			return err
		}
	}
	return nil
}

// fill puts the keys into a bundle.
func (s *Service) fill(ctx context.Context, b *Bundle) error {
	view, err := s.view(ctx, &b.Entitlement, Access{Allowed: true})
	if err != nil {
		return err
	}
	keys, err := s.store.DeviceKeys(ctx, b.Device.ID)
	if err != nil {
		return err
	}
	live := make(map[int64]Key, len(keys))
	for _, k := range keys {
		live[k.ServerID] = k
	}
	results := make([]bundled, 0, len(view.Servers))
	for i := range view.Servers {
		r := bundled{server: &view.Servers[i]}
		if r.key, r.hasKey = live[r.server.ID]; r.server.LockedReason == "" && stateRefusal(r.server, view, "", r.hasKey) == nil {
			results = append(results, r)
		}
	}
	s.issueMissing(ctx, b, results)
	ctx, cancel := context.WithTimeout(ctx, s.keyWait)
	defer cancel()
	for i := range results {
		r := &results[i]
		if err := b.take(r); err != nil {
			return err
		}
		if b.Refused != nil {
			b.Keys = nil
			return nil
		}
		if r.err != nil {
			continue // the server is gone, or was moved out of the plan
		}
		issued := s.issued(r.key, r.server, defaultProtocol(b.Device.Platform, &r.server.Server), &b.Entitlement, b.Now)
		issued.View = view
		issued.IsReady = s.waitApplied(ctx, WaitKey, r.key.ServerID, r.key.Rev)
		if !s.nodes.Refuses(r.key.ServerID, r.key.ID) {
			b.Keys = append(b.Keys, *issued)
		}
	}
	return nil
}

// bundled is one server of a bundle with the key on it.
type bundled struct {
	server *ListedServer
	key    Key
	hasKey bool
	err    error
}

// issueMissing makes the keys that are missing, and brings those up to date whose deadline or limits changed.
func (s *Service) issueMissing(ctx context.Context, b *Bundle, results []bundled) {
	deadline, limits := notAfter(&b.User, &b.Entitlement, b.Now), b.Entitlement.Plan.limits()
	actor := &Actor{User: b.User}
	slots := make(chan struct{}, issuesAtOnce)
	var all sync.WaitGroup
	for i := range results {
		r := &results[i]
		if r.hasKey && r.key.NotAfter.Equal(deadline) && r.key.Limits == limits {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			r.key, r.err = s.makeKey(ctx, actor, NewKey{DeviceID: b.Device.ID, ServerID: r.server.ID, IsNew: !r.hasKey})
		})
	}
	all.Wait()
}

// take sorts what came of a key: a server that is gone or closed is left out, a user who may have none now is refused, and
// the address of a device that went away meanwhile is CodeNotFound.
func (b *Bundle) take(r *bundled) error {
	switch CodeOf(r.err) {
	case "":
		return r.err
	case CodeServerNotFound, CodePlanUpgradeRequired:
		return nil
	case CodeDeviceNotFound, CodeUnauthenticated:
		return Refusal(CodeNotFound)
	default:
		errors.As(r.err, &b.Refused)
		return nil
	}
}
