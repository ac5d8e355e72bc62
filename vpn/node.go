package vpn

import (
	"context"
	"time"

	"stile/accesskey"
)

// NodeKey is what a node must know of a key.
type NodeKey struct {
	ID       int64
	Seed     accesskey.Seed
	Limits   KeyLimits
	NotAfter time.Time
	Rev      int64
	// IsRemoved marks a tombstone: only ID and Rev are set, and the id never becomes valid again.
	IsRemoved bool
}

// NodePosition is where a node's set of keys stands.
type NodePosition struct {
	Epoch int64
	Rev   int64
	Count int // live keys, suspended ones among them
	// Digest is the additive digest of the live keys, as package wire defines it.
	Digest [32]byte
	// Floor is the revision up to which tombstones were removed: changes since an earlier one cannot be told.
	Floor int64
}

// UsageEntry is traffic of one key since the report before, in bytes.
type UsageEntry struct {
	KeyID int64
	Up    int64
	Down  int64
}

// UsageReport is one numbered report of a node. Within a stream (one start of the node's process) numbers rise by one.
type UsageReport struct {
	NodeID int64
	Stream uint64
	Seq    uint64
	// To is the end of the time reported, by the node's clock.
	To      time.Time
	Entries []UsageEntry
}

// NodeLive is what is known of a node at this moment. What of it is written down is in NodeStream.
type NodeLive struct {
	IsOnline bool
	// ActiveDevices had traffic in the last 180 seconds.
	ActiveDevices int
	// At is when the node said so.
	At time.Time
}

// Nodes is the port to the machines that carry traffic.
type Nodes interface {
	// Wake says that sets of keys changed; it never blocks.
	Wake(changes ...NodeRev)
	// WaitApplied blocks until the node has put revision rev into its data planes, and reports whether that happened
	// before ctx ended. It is false at once for a node that is not online.
	WaitApplied(ctx context.Context, nodeID, rev int64) bool
	// HasApplied is WaitApplied without waiting.
	HasApplied(nodeID, rev int64) bool
	// Refuses reports that the node, as far as it last said, holds a key and does not honour it.
	Refuses(nodeID, keyID int64) bool
	// Live returns the current state of a node; the zero NodeLive for one that never came.
	Live(nodeID int64) NodeLive
}
