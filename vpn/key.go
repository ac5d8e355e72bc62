package vpn

import (
	"time"

	"stile/accesskey"
)

// KeyLimits bound what one key may do; zero = no limit.
type KeyLimits struct {
	UpBytesPerSecond   int64
	DownBytesPerSecond int64
	MaxSessions        int
}

// Key lets one device use one server, by every protocol of it. Its seed never changes: rotation makes another key.
type Key struct {
	ID       int64
	UserID   int64
	DeviceID int64
	ServerID int64
	Seed     accesskey.Seed
	Limits   KeyLimits
	// NotAfter is when the node stops honouring the key; zero = never. A suspended key has one in the past.
	NotAfter time.Time
	// Rev is the node's revision at which the key last changed.
	Rev       int64
	CreatedAt time.Time
}

// NewKey is a key to be made.
type NewKey struct {
	UserID   int64
	DeviceID int64
	ServerID int64
	Seed     accesskey.Seed
	// Terms is the rule by which the key gets its deadline (zero = none) and limits, or is refused. It is asked within the
	// writing transaction, perhaps more than once, of what the user and the server are then: of the User only ID and Status
	// are set. nil = no deadline, no limits, no refusal.
	Terms func(u *User, e *Entitlement, serverTier int) (notAfter time.Time, l KeyLimits, err error)
	// IsNew says that there was no live key a moment ago, which saves looking for one. It need not be so any more.
	IsNew bool
	// Rotate replaces the live key of this device and server, if there is one; otherwise that one is returned.
	Rotate bool
}

// KeyTerms are what all live keys of a user carry.
type KeyTerms struct {
	// NotAfter is the deadline on servers up to Tier; zero = none.
	NotAfter time.Time
	Limits   KeyLimits
	// Tier is the highest tier of servers that is open to the user.
	Tier int
	// NotAfterAbove is the deadline on servers above Tier; zero = none.
	NotAfterAbove time.Time
}

func (t *KeyTerms) equal(u *KeyTerms) bool {
	return t.NotAfter.Equal(u.NotAfter) && t.Limits == u.Limits && t.Tier == u.Tier && t.NotAfterAbove.Equal(u.NotAfterAbove)
}

// NodeRev says that a node's set of keys changed, and to which revision.
type NodeRev struct {
	NodeID int64
	Rev    int64
}
