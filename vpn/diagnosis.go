package vpn

import "time"

// Diagnosis is why a device can't connect to a server, in the words of the first rule that says so.
type Diagnosis struct {
	// Code is "" when nothing is in the way; a refusal of IssueKey; or one of the codes below, which IssueKey cannot give.
	Code Code
	// Cause says more of Code, where there is more to say.
	Cause Cause
	// DeviceID and ServerID are those that Code is about; 0 = none or all.
	DeviceID int64
	ServerID int64
	// KeyID is the key of that device on that server; 0 = there is none, which is no fault: it is made when it is asked for.
	KeyID int64
	// ConfirmedAt is when the node last said that it has the key; zero = it never did.
	ConfirmedAt time.Time
	// SeenAt is when the node was last heard of; zero = never.
	SeenAt time.Time
	// Lag is how many changes of keys the node has not confirmed.
	Lag int64
	// IsFull reports that all device slots are taken: signing in on one more device is refused.
	IsFull bool
}

// What keeps a user from connecting who would get a key.
const (
	// CodeNoDevice: no device is signed in, so nobody asks for keys.
	CodeNoDevice Code = "no_device"
	// CodeKeyPending: the node has not confirmed the key, so it may not work yet.
	CodeKeyPending Code = "key_pending"
	// CodeNoServer: no server that the plan includes takes clients now.
	CodeNoServer Code = "no_server"
)

// Cause is what is behind a code.
type Cause string

// The causes.
const (
	// CauseDrained: operators took the server out of service.
	CauseDrained Cause = "drained"
	// CauseRevoked: the node was shut out.
	CauseRevoked Cause = "node_revoked"
	// CauseNotJoined: no machine has joined as the server's node.
	CauseNotJoined Cause = "node_not_joined"
	// CauseCertificate: the node's certificate is over, so that it can't link.
	CauseCertificate Cause = "certificate_expired"
	// CauseAway: the node is not linked.
	CauseAway Cause = "node_away"
	// CauseRefused: the node holds the key and its data planes refuse it.
	CauseRefused Cause = "key_refused"
	// CauseBehind: the node has not confirmed the change that made the key.
	CauseBehind Cause = "node_behind"
	// CauseSuspended: the key's deadline is over, though its user may connect: it is about to follow.
	CauseSuspended Cause = "key_suspended"
	// CauseSlots: the device is not signed in, and could not, as all slots are taken.
	CauseSlots Cause = "no_slot"
	// CauseNoKey: there is no key yet; one is made when the device asks.
	CauseNoKey Cause = "no_key"
)

// Circumstances are all that decides whether one device can use one server now.
type Circumstances struct {
	Now         time.Time
	User        User
	Entitlement Entitlement
	// Devices is how many are signed in. Device is the one in question, nil when it is not among them; DeviceID names it, 0 = any.
	Devices  int
	DeviceID int64
	Device   *Device
	// Server is nil when there is no server ServerID.
	ServerID int64
	Server   *ListedServer
	// Key is the device's on the server, nil without one. IsApplied and IsRefused are what the node says of it.
	Key       *Key
	IsApplied bool
	IsRefused bool
	// Identity and Status are the node's, zero for what is not known of it.
	Identity NodeIdentity
	Status   NodeStream
}

// Diagnose asks what IssueKey asks, in the same order: device, account, subscription, quota, server, plan, protocol, server
// state; and then whether the node has the key.
func (c *Circumstances) Diagnose() Diagnosis {
	d := Diagnosis{DeviceID: c.DeviceID, ServerID: c.ServerID, SeenAt: c.Status.At, IsFull: c.Devices >= c.Entitlement.DeviceLimit()}
	if d, isOver := c.diagnoseUser(d); isOver {
		return d
	}
	d.DeviceID = c.Device.ID
	if c.Key != nil {
		d.KeyID = c.Key.ID
	}
	var err error
	if c.Server == nil {
		err = Refusal(CodeServerNotFound)
	} else if _, err = admit(&c.Entitlement, c.Device, c.Server, ""); err == nil {
		err = unavailable(c.Server, c.Key != nil)
	}
	if d.Code = CodeOf(err); d.Code != "" {
		if d.Code == CodeServerOffline {
			d.Cause = c.whyAway()
		}
		return d
	}
	return c.diagnoseKey(d)
}

// diagnoseUser looks at the account and its devices, and reports whether that settles it.
func (c *Circumstances) diagnoseUser(d Diagnosis) (Diagnosis, bool) {
	if c.DeviceID != 0 && c.Device == nil {
		d.Code, d.ServerID = CodeDeviceNotFound, 0
		if d.IsFull {
			d.Cause = CauseSlots
		}
		return d, true
	}
	if a := access(&c.User, &c.Entitlement, c.Now); !a.Allowed {
		d.Code, d.ServerID = a.Reason, 0
		return d, true
	}
	if c.Device == nil { // signing in comes first, and the account may be what keeps them from that
		d.Code, d.ServerID = CodeNoDevice, 0
		return d, true
	}
	return d, false
}

// whyAway says why a server is offline.
func (c *Circumstances) whyAway() Cause {
	n := &c.Identity
	isRemote := n.NodeID != 0
	switch {
	case c.Server.State == ServerDrained:
		return CauseDrained
	case isRemote && !n.RevokedAt.IsZero():
		return CauseRevoked
	case isRemote && n.JoinedAt.IsZero():
		return CauseNotJoined
	case !n.CertifiedUntil.IsZero() && !c.Now.Before(n.CertifiedUntil):
		return CauseCertificate
	case c.Status.At.IsZero() && !isRemote:
		return CauseNotJoined
	default:
		return CauseAway
	}
}

// diagnoseKey asks what the node says of the key, where nothing else is in the way.
func (c *Circumstances) diagnoseKey(d Diagnosis) Diagnosis {
	if c.Key == nil {
		d.Cause = CauseNoKey
		return d
	}
	d.Lag = max(0, c.Key.Rev-c.Status.Applied)
	switch isOver := !c.Key.NotAfter.IsZero() && !c.Now.Before(c.Key.NotAfter); {
	case c.IsRefused:
		d.Code, d.Cause = CodeKeyPending, CauseRefused
	case isOver:
		d.Code, d.Cause = CodeKeyPending, CauseSuspended
	case !c.IsApplied:
		d.Code, d.Cause = CodeKeyPending, CauseBehind
	default:
		d.ConfirmedAt, d.Lag = c.Status.At, 0
	}
	return d
}
