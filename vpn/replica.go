package vpn

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NodeStream is the newest stream of a node, as all processes know it that serve the same database.
type NodeStream struct {
	NodeID int64
	// Session orders the streams of a node: the highest is the newest, whichever replica has it.
	Session int64
	// Replica is the process that has the stream, or had it last.
	Replica int64
	// IsOnline reports that the node was welcomed, that its stream goes on, and that the replica which has it lives.
	IsOnline bool
	// Epoch and Applied are the last revision that the node acknowledged in this very session; 0 = none yet.
	Epoch   int64
	Applied int64
	// Version is the node's program.
	Version string
	// Load is that of the machine's processors over the last minute, 0–100; ActiveDevices had traffic in the last 180 seconds; Sessions are open now.
	Load          int
	ActiveDevices int
	Sessions      int
	// Refused are keys that the node, when it acknowledged Applied, did not honour, or that it cannot hold.
	Refused KeyIDs
	// At is when the node last said how it is.
	At time.Time
}

// ReplicaNotice is what another replica said: something changed of these nodes, to the millisecond or so. A notice may
// be lost; what it told is in the database all the same.
type ReplicaNotice struct {
	// Keys are nodes whose sets of keys changed.
	Keys []int64
	// Streams are nodes whose stream changed hands, ended, or acknowledged something.
	Streams []int64
	// IsAll says that notices may have been lost, or name too many: everything is to be looked at.
	IsAll bool
}

// Replicas is the port to the other processes that serve the same database. A replica names itself by a random number
// that is new with each start.
type Replicas interface {
	// Renew says that this replica lives. One that does not for ReplicaLease has no streams any more.
	Renew(ctx context.Context, replica int64) error
	// Claim makes the calling replica's stream the newest of a node and returns its session, which is above all before,
	// and whether the one before is online: then the node moves, and counts as online until the new stream says more.
	Claim(ctx context.Context, nodeID, replica int64) (session int64, isOnline bool, err error)
	// Publish writes the state of a replica's streams and, if tell is set, tells the others. It returns the nodes whose session is no
	// longer the newest; nothing is changed of those.
	Publish(ctx context.Context, streams []NodeStream, tell bool) (lost []int64, err error)
	// Streams returns the newest streams of these nodes, or of all if none is named. Those of a dead replica are not online.
	Streams(ctx context.Context, nodeIDs ...int64) ([]NodeStream, error)
	// Wake tells the others that sets of keys changed.
	Wake(ctx context.Context, replica int64, nodeIDs []int64) error
	// Listen calls heard, from one goroutine, for what others than this replica tell, until ctx ends. Whenever it may
	// have missed something it says so.
	Listen(ctx context.Context, replica int64, heard func(ReplicaNotice))
}

// ReplicaLease is how long a replica that says nothing counts as alive: longer than a pause of the database, and so short
// that a node which died with its replica is out of all lists within 45 s.
const ReplicaLease = 20 * time.Second

// KeyIDs is a set of key ids that can be compared and kept as it is: in ascending order, parted by spaces.
type KeyIDs string

// maxKeyIDs bounds a set: a node names them, and replicas tell each other.
const maxKeyIDs = 4096

// NewKeyIDs returns the set of some ids, in any order. Of too many the lowest are left.
func NewKeyIDs(ids ...int64) KeyIDs {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	var text []byte
	for i, id := range ids[:min(len(ids), maxKeyIDs)] {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, id, 10)
	}
	return KeyIDs(text)
}

// All returns the ids.
func (k KeyIDs) All() []int64 {
	var ids []int64
	for word := range strings.FieldsSeq(string(k)) {
		if id, err := strconv.ParseInt(word, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// Has reports whether an id is in the set.
func (k KeyIDs) Has(id int64) bool { return k != "" && slices.Contains(k.All(), id) }
