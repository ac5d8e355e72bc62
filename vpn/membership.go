package vpn

import (
	"errors"
	"time"
)

// Authority is the CA by which nodes know the control plane, and it them.
type Authority struct {
	Certificate []byte // DER
	// PrivateKey is in PKCS #8, DER.
	PrivateKey []byte
	// URL is where the service listens for nodes, "" before it ever did.
	URL string
}

// NodeKeyHash is SHA-256 of the subject public key info of a node's key.
type NodeKeyHash [32]byte

// NodeIdentity is what is known of a node on another machine.
type NodeIdentity struct {
	NodeID int64
	// Key is the key with which the node joined, zero before.
	Key       NodeKeyHash
	JoinedAt  time.Time // zero before it joined
	RevokedAt time.Time // zero = not revoked
	// CertifiedUntil is when the node's newest certificate ends.
	CertifiedUntil time.Time
}

// IsMember reports whether the holder of a key is this node now.
func (n *NodeIdentity) IsMember(key NodeKeyHash) bool {
	return !n.JoinedAt.IsZero() && n.RevokedAt.IsZero() && n.Key == key
}

// Joining is the redemption of a join token.
type Joining struct {
	NodeID int64
	Token  TokenHash
	Key    NodeKeyHash
	// CertifiedUntil is when the certificate that is made for it ends.
	CertifiedUntil time.Time
}

// Errors of a redemption. Whoever has not the token itself learns no more than ErrNotFound.
var (
	ErrTokenUsed    = errors.New("the join token was used")
	ErrTokenExpired = errors.New("the join token is too old")
)

// ErrNotMember says that a node was revoked, or removed, or that another machine has joined in its place.
var ErrNotMember = errors.New("the node is no member")

// NodeReport is all that an operator sees of a node.
type NodeReport struct {
	Server   Server
	Identity NodeIdentity // zero for the embedded node, and before a token was made
	Status   NodeStream   // zero before the first link
	// Rev is the revision of the node's keys in the database.
	Rev int64
	// Listed is the server as clients meet it now.
	Listed ListedServer
	// Config is what the node is configured to; nil when it takes no configuration.
	Config *ConfiguredNode
	// Live is what this process knows of the node at this moment; zero in one that has no nodes at hand.
	Live NodeLive
}

// NodeState is how a server's node is.
type NodeState string

// The states of a node.
const (
	NodeOnline  NodeState = "online"
	NodeOffline NodeState = "offline"
	NodeRevoked NodeState = "revoked"
	NodeWaiting NodeState = "waiting" // a token was made and not used
	NodeNone    NodeState = "none"    // none ever came, and nobody asked for a token
)

// statusHolds is how long a status is believed: three beats of the link.
const statusHolds = 45 * time.Second

// IsEmbedded reports whether the node is one in a service's own process, which links without having joined.
func (n *NodeReport) IsEmbedded() bool {
	return n.Identity.JoinedAt.IsZero() && (!n.Status.At.IsZero() || n.isLive())
}

// isLive reports whether the node is linked to this process without anybody having asked for a token. Of others what is written
// down is as new as the operator's own acts.
func (n *NodeReport) isLive() bool { return n.Identity.NodeID == 0 && n.Live.IsOnline }

// IsOnline reports whether the node's link is up.
func (n *NodeReport) IsOnline(now time.Time) bool {
	return n.isLive() || n.Status.IsOnline && now.Sub(n.Status.At) < statusHolds
}

// State is how the node is. A token that waits for a machine does not take an embedded node's place yet.
func (n *NodeReport) State(now time.Time) NodeState {
	switch {
	case !n.Identity.RevokedAt.IsZero():
		return NodeRevoked
	case n.IsOnline(now):
		return NodeOnline
	case n.Identity.NodeID != 0 && n.Identity.JoinedAt.IsZero():
		return NodeWaiting
	case n.Identity.NodeID != 0 || n.IsEmbedded():
		return NodeOffline
	default:
		return NodeNone
	}
}

// Lag is how many revisions the node is behind.
func (n *NodeReport) Lag() int64 { return max(0, n.Rev-n.Status.Applied) }
