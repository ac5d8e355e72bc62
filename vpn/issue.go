package vpn

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"stile/accesskey"
)

// IssueKey asks for the key of a device on a server.
type IssueKey struct {
	ServerID int64
	Device   DeviceRef
	// Protocol is what the client wants to speak; "" leaves it to the device's platform.
	Protocol Protocol
	// Rotate ends the key there is and makes another.
	Rotate bool
}

// IssuedKey is a key with what a client needs to use it.
type IssuedKey struct {
	Key Key
	// Server is shared: read only.
	Server   *ListedServer
	Protocol Protocol
	// View is the list of servers that the user may use; nil from DynamicKey.
	View *View
	// IsReady reports that the node has the key: it works now.
	IsReady bool
	// RefreshAt is when the client should ask again.
	RefreshAt time.Time
	Traffic   Traffic
	// SpeedLimitMbps is per device and direction; 0 = unlimited.
	SpeedLimitMbps int
	Now            time.Time
}

// Shadowsocks is what a client of the server's Shadowsocks needs of the key.
func (k *IssuedKey) Shadowsocks() accesskey.ShadowsocksEndpoint {
	server := k.Server
	credential := k.Key.Seed.Shadowsocks()
	if credential.Method = server.ShadowsocksMethod; credential.Is2022() {
		credential = k.Key.Seed.Shadowsocks2022(server.ShadowsocksMethod, server.Door)
	}
	return accesskey.ShadowsocksEndpoint{
		Shadowsocks: credential, Host: server.Host, Name: server.Name,
		Port: accesskey.Port(server.ShadowsocksPort, server.ShadowsocksPorts, k.Key.ID),
	}
}

// refreshAfter is how long a client may go on with a key without asking again.
const refreshAfter = 24 * time.Hour

// alternatives is how many other servers a refusal names.
const alternatives = 3

// IssueKey returns the key of the actor's device on a server, making it if there is none. It answers when the node
// has put the key into its data planes, or after Config.KeyWait with IsReady false. It checks in this order: throttle,
// device, account, subscription, quota, server, plan, protocol, server state.
func (s *Service) IssueKey(ctx context.Context, a *Actor, in IssueKey) (*IssuedKey, error) {
	if err := s.keyCalls.admit(a.User.ID); err != nil {
		return nil, err
	}
	device, err := s.device(ctx, a, in.Device)
	if err != nil {
		return nil, err
	}
	if device == nil && !a.Token.IsImported {
		return nil, invalid("device_id", "required")
	}
	e, err := s.entitlement(ctx, a.User.ID)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if err := refuse(&a.User, e, now); err != nil {
		return nil, err
	}
	if device == nil {
		if device, err = s.adopt(ctx, a, e); err != nil {
			return nil, err
		}
	}
	if e.Subscription.PendingDays > 0 {
		if err := s.begin(ctx, a); err != nil {
			return nil, err
		}
		if e, err = s.entitlement(ctx, a.User.ID); err != nil {
			return nil, err
		}
	}
	server, protocol, view, err := s.chooseServer(ctx, e, device, in)
	if err != nil {
		return nil, err
	}
	key, err := s.deviceKey(ctx, a, e, device, server, view, protocol, in.Rotate)
	if err != nil {
		return nil, err
	}
	issued := s.issued(key, server, protocol, e, now)
	issued.View, issued.IsReady = view, s.awaitApplied(ctx, &issued.Key)
	return issued, nil
}

// refuse turns a lack of access into the refusal of a key.
func refuse(u *User, e *Entitlement, now time.Time) error {
	a := access(u, e, now)
	if a.Allowed {
		return nil
	}
	refusal := Refusal(a.Reason)
	if a.Reason == CodeTrafficQuotaExceeded {
		refusal.ResetsAt = traffic(e, now).ResetsAt
	}
	return refusal
}

// chooseServer finds the server and the protocol, and checks server, plan and protocol.
func (s *Service) chooseServer(ctx context.Context, e *Entitlement, device *Device, in IssueKey) (*ListedServer, Protocol, *View, error) {
	view, err := s.view(ctx, e, Access{Allowed: true})
	if err != nil {
		return nil, "", nil, err
	}
	server, ok := view.any(in.ServerID)
	if !ok {
		return nil, "", nil, Refusal(CodeServerNotFound)
	}
	protocol, err := admit(e, device, server, in.Protocol)
	return server, protocol, view, err
}

// admit checks the plan and the protocol, "" = the one that the device's platform speaks best.
func admit(e *Entitlement, device *Device, server *ListedServer, protocol Protocol) (Protocol, error) {
	if server.Tier > e.Plan.Tier {
		return "", Refusal(CodePlanUpgradeRequired)
	}
	if protocol == "" {
		protocol = defaultProtocol(device.Platform, &server.Server)
	}
	if !server.Offers(protocol) {
		return "", &Error{Code: CodeProtocolUnavailable, Available: server.Protocols}
	}
	return protocol, nil
}

// defaultProtocol is what a platform speaks best: extensions can only do https.
func defaultProtocol(p Platform, server *Server) Protocol {
	if p.IsExtension() && server.Offers(HTTPS) {
		return HTTPS
	}
	if len(server.Protocols) == 0 {
		return Shadowsocks
	}
	return server.Protocols[0]
}

// deviceKey returns the live key, or makes one if the server can take it. What is only read may rest on an entitlement
// that is a second old; what is written rests on what the writing transaction sees.
func (s *Service) deviceKey(ctx context.Context, a *Actor, e *Entitlement, device *Device, server *ListedServer, view *View, protocol Protocol, rotate bool) (Key, error) {
	key, err := s.store.DeviceKey(ctx, device.ID, server.ID)
	exists := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Key{}, err
	}
	if err := stateRefusal(server, view, protocol, exists); err != nil {
		return Key{}, err
	}
	if exists && !rotate && key.NotAfter.Equal(notAfter(&a.User, e, s.now())) && key.Limits == e.Plan.limits() {
		return key, nil
	}
	return s.makeKey(ctx, a, NewKey{DeviceID: device.ID, ServerID: server.ID, IsNew: !exists, Rotate: rotate})
}

// makeKey writes the key of a device on a server, both of which k names: a new one, or the live one with a new deadline and limits.
func (s *Service) makeKey(ctx context.Context, a *Actor, k NewKey) (Key, error) {
	seed, err := accesskey.New()
	if err != nil {
		return Key{}, err
	}
	k.UserID, k.Seed, k.Terms = a.User.ID, seed, s.keyTerms
	key, err := s.store.IssueKey(ctx, k, a.audit("key.issue", 0))
	if errors.Is(err, ErrNotFound) {
		return Key{}, s.vanished(ctx, a, k.DeviceID)
	}
	if err != nil {
		return Key{}, err
	}
	s.nodes.Wake(NodeRev{NodeID: key.ServerID, Rev: key.Rev})
	s.observer.KeyIssued()
	return key, nil
}

// keyTerms is the rule of NewKey.
func (s *Service) keyTerms(u *User, e *Entitlement, serverTier int) (time.Time, KeyLimits, error) {
	now := s.now()
	if err := refuse(u, e, now); err != nil {
		return time.Time{}, KeyLimits{}, err
	}
	if serverTier > e.Plan.Tier {
		return time.Time{}, KeyLimits{}, Refusal(CodePlanUpgradeRequired)
	}
	return notAfter(u, e, now), e.Plan.limits(), nil
}

// vanished says what went away while a key was made: the device, or else the server.
func (s *Service) vanished(ctx context.Context, a *Actor, deviceID int64) error {
	devices, err := s.store.Devices(ctx, a.User.ID)
	if err != nil {
		return err
	}
	isThere := slices.ContainsFunc(devices, func(d Device) bool { return d.ID == deviceID })
	switch {
	case isThere:
		return Refusal(CodeServerNotFound)
	case deviceID == a.Device.ID:
		return Refusal(CodeUnauthenticated)
	default:
		return Refusal(CodeDeviceNotFound)
	}
}

// stateRefusal is unavailable with other servers to try.
func stateRefusal(server *ListedServer, view *View, protocol Protocol, hasKey bool) error {
	err := unavailable(server, hasKey)
	if err == nil {
		return nil
	}
	return &Error{Code: CodeOf(err), RetryAfter: 30 * time.Second, Alternatives: view.alternatives(server.ID, protocol)}
}

// unavailable says why a server takes no client now. A full server goes on serving those who have a key.
func unavailable(server *ListedServer, hasKey bool) error {
	switch server.Status {
	case StatusOffline:
		return Refusal(CodeServerOffline)
	case StatusMaintenance:
		return Refusal(CodeServerMaintenance)
	case StatusFull:
		if !hasKey {
			return Refusal(CodeServerFull)
		}
	case StatusOnline:
	}
	return nil
}

// awaitApplied waits until the node has the key. Mostly it has, and then no context is made to wait with.
func (s *Service) awaitApplied(ctx context.Context, key *Key) bool {
	if s.nodes.HasApplied(key.ServerID, key.Rev) {
		s.observer.Waited(WaitKey, true, 0)
	} else {
		ctx, cancel := context.WithTimeout(ctx, s.keyWait)
		defer cancel()
		if !s.waitApplied(ctx, WaitKey, key.ServerID, key.Rev) {
			return false
		}
	}
	return !s.nodes.Refuses(key.ServerID, key.ID)
}

func (s *Service) issued(key Key, server *ListedServer, protocol Protocol, e *Entitlement, now time.Time) *IssuedKey {
	i := &IssuedKey{
		Key: key, Server: server, Protocol: protocol, RefreshAt: now.Add(refreshAfter).Truncate(time.Second),
		Traffic: traffic(e, now), SpeedLimitMbps: e.Plan.SpeedLimitMbps, Now: now,
	}
	if !key.NotAfter.IsZero() && key.NotAfter.Before(i.RefreshAt) {
		i.RefreshAt = key.NotAfter
	}
	return i
}

// DynamicKey returns the key that a dynamic access URL names, by the URL's own secret. CodeNotFound for a wrong secret
// and for a key that is gone (indistinguishable); the refusals of IssueKey when the user may have none now.
func (s *Service) DynamicKey(ctx context.Context, keyID int64, token string) (*IssuedKey, error) {
	key, err := s.store.Key(ctx, keyID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if err != nil || subtle.ConstantTimeCompare([]byte(key.Seed.DynamicToken()), []byte(token)) != 1 {
		return nil, Refusal(CodeNotFound)
	}
	user, e, err := s.store.Standing(ctx, key.UserID)
	if err != nil {
		return nil, notFound(err)
	}
	now := s.now()
	if err := refuse(&user, &e, now); err != nil {
		return nil, err
	}
	view, err := s.view(ctx, &e, Access{Allowed: true})
	if err != nil {
		return nil, err
	}
	server, ok := view.any(key.ServerID)
	switch {
	case !ok:
		return nil, Refusal(CodeNotFound)
	case server.Tier > e.Plan.Tier:
		return nil, Refusal(CodePlanUpgradeRequired)
	}
	if err := stateRefusal(server, view, Shadowsocks, true); err != nil {
		return nil, err
	}
	issued := s.issued(key, server, Shadowsocks, &e, now)
	issued.IsReady = s.awaitApplied(ctx, &issued.Key)
	return issued, nil
}

// alternatives are other servers that would serve this protocol now, best first.
func (v *View) alternatives(but int64, protocol Protocol) []int64 {
	ids := make([]int64, 0, alternatives)
	for i := range v.Servers {
		l := &v.Servers[i]
		if len(ids) < alternatives && l.ID != but && l.Status == StatusOnline && l.LockedReason == "" && slices.Contains(l.Protocols, protocol) {
			ids = append(ids, l.ID)
		}
	}
	return ids
}
