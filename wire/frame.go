package wire

// Protocol is the version of the node link that this package speaks.
const Protocol = 1

// FrameType is the first byte of a frame. A receiver skips types that it does not know.
type FrameType byte

// Types of frames. 0x30–0x3f are the configuration's, which never waits for keys, nor they for it.
const (
	TypeHello         FrameType = 0x01
	TypeWelcome       FrameType = 0x02
	TypeDelta         FrameType = 0x10
	TypeSnapshotBegin FrameType = 0x11
	TypeSnapshotChunk FrameType = 0x12
	TypeSnapshotEnd   FrameType = 0x13
	TypeVerify        FrameType = 0x14
	TypeBucketPrints  FrameType = 0x15
	TypePatchBegin    FrameType = 0x16
	TypeAck           FrameType = 0x18
	TypeNack          FrameType = 0x19
	TypeRevokedAsk    FrameType = 0x1a
	TypeRevoked       FrameType = 0x1b
	TypeServerBeat    FrameType = 0x20
	TypeNodeBeat      FrameType = 0x21
	TypeUsage         FrameType = 0x28
	TypeUsageAck      FrameType = 0x29
	TypeConfig        FrameType = 0x30
	TypeConfigReport  FrameType = 0x31
)

// Bounds of what a frame may hold; a frame beyond one is refused.
const (
	// MaxFrame is the size of a frame in bytes, its length prefix apart.
	MaxFrame = 1 << 20
	// MaxItems bounds every list of a frame.
	MaxItems = 4096
	// MaxText bounds every string of a frame, in bytes.
	MaxText = 256
)

// Frame is one message of the node link.
type Frame interface {
	// Type is the frame's first byte.
	Type() FrameType
	appendTo(b []byte) []byte
	readFrom(r *reader)
}

// Hello opens a stream; the node says where it stands.
type Hello struct {
	Proto  uint64
	NodeID int64
	// BootID is random for each start of the node's process.
	BootID uint64
	Epoch  int64 // 0: the node holds no set
	Rev    int64
	Count  int64
	Digest Digest
	// Streams are the usage streams of which the node still holds reports, with the last number held.
	Streams []StreamSeq
	Caps    uint64
	Version string
	// Refused is as in Ack.
	Refused []int64
	// Serving is given if Caps has CapConfig.
	Serving Serving
}

// StreamSeq is a position in a usage stream.
type StreamSeq struct {
	Stream uint64
	Seq    uint64
}

// Mode says how a node gets from where it stands to where the server stands.
type Mode byte

// Modes of a Welcome.
const (
	// ModeResume: nothing to do.
	ModeResume Mode = 1
	// ModeDelta: changes since the node's revision follow.
	ModeDelta Mode = 2
	// ModeSnapshot: the whole set follows.
	ModeSnapshot Mode = 3
	// ModeVerify: the server asks which parts of the set differ.
	ModeVerify Mode = 4
)

// Welcome answers a Hello.
type Welcome struct {
	// Session is random for each stream. Frames of the node repeat it, so that one that comes late from an earlier
	// stream has no effect.
	Session uint64
	Epoch   int64
	Rev     int64
	Mode    Mode
	// ServerTime is in unix milliseconds.
	ServerTime int64
	// Acked holds, for each of the Hello's streams, the last number booked.
	Acked            []StreamSeq
	HeartbeatSeconds int64
	// Floor is the revision up to which no backup of the database exists any more; the node may forget tombstones of it.
	Floor int64
}

// Reason says why a key leaves a node.
type Reason byte

// Reasons of a Removal.
const (
	// ReasonRevoked: the key id never becomes valid again.
	ReasonRevoked Reason = 1
	// ReasonQuarantined: the node refused the key's present record; a better one may follow.
	ReasonQuarantined Reason = 2
)

// Removal takes a key from a node.
type Removal struct {
	KeyID  int64
	Reason Reason
}

// Delta carries the changes of a set between two revisions.
type Delta struct {
	FromRev int64
	ToRev   int64
	// Dels are applied before Puts.
	Dels []Removal
	Puts []Key
	// IsComplete marks that ToRev is where the server stands. Count and Digest are of the set at ToRev, and only then given.
	IsComplete bool
	Count      int64
	Digest     Digest
}

// SnapshotBegin opens a whole set. Chunks and a SnapshotEnd follow; only then does the set take effect.
type SnapshotBegin struct {
	Epoch  int64
	Rev    int64
	Count  int64
	Digest Digest
}

// SnapshotChunk is a part of a set.
type SnapshotChunk struct {
	Dels []Removal
	Puts []Key
}

// SnapshotEnd closes the set of the SnapshotBegin with this revision. Items is how many records its chunks held: the
// digest does not speak of removals.
type SnapshotEnd struct {
	Rev   int64
	Items int64
}

// Verify asks the node for its BucketPrints.
type Verify struct{}

// BucketPrints answers a Verify: what the node holds, bucket by bucket.
type BucketPrints struct {
	Session uint64
	Prints  Prints
}

// PatchBegin opens the parts of a set that differ. SnapshotChunks with their keys and a SnapshotEnd follow; only then do
// the parts take effect, all at once.
type PatchBegin struct {
	Epoch int64
	Rev   int64
	// Parts are replaced, and nothing else is.
	Parts Parts
	// Count and Digest are of the whole set.
	Count  int64
	Digest Digest
}

// RevokedAsk asks for the ids of revoked keys that the node knows, above After.
type RevokedAsk struct {
	After int64
}

// Revoked answers a RevokedAsk. The database may have been restored since the node heard of them.
type Revoked struct {
	Session uint64
	After   int64
	// KeyIDs rise and are above After.
	KeyIDs []int64
	// IsLast: there are none above these.
	IsLast bool
}

// Ack says that a revision is on the node's disk and in its data planes.
type Ack struct {
	Session uint64
	Epoch   int64
	Rev     int64
	// Refused are all keys which the node holds but does not honour: a data plane could not take them, or they were
	// revoked before the database was restored. At most MaxItems are named.
	Refused []int64
}

// Why says why a node refused a frame.
type Why byte

// Reasons of a Nack.
const (
	// WhyGap: the frame does not follow the node's revision.
	WhyGap Why = 1
	// WhyDigest: the set would not be what the server says it is.
	WhyDigest Why = 2
	// WhyKey: keys of the frame are such as no node can hold; Bad names them.
	WhyKey Why = 3
	// WhyDisk: the node could not write.
	WhyDisk Why = 4
	// WhyRevoked: a key of the set is one that the node knows to be revoked.
	WhyRevoked Why = 5
)

// BadKey names a key's record that was refused.
type BadKey struct {
	KeyID int64
	Sum   Sum
}

// Nack refuses a Delta, a snapshot or what a ServerBeat said. The node keeps the state it had.
type Nack struct {
	Session uint64
	// Epoch and Rev are where the node stands.
	Epoch int64
	Rev   int64
	// RefusedRev is the revision to which the refused frame led.
	RefusedRev int64
	Why        Why
	Bad        []BadKey
}

// ServerBeat is the server's sign of life.
type ServerBeat struct {
	ServerTime int64 // unix milliseconds
	// Epoch is 0 when nothing is said about the set.
	Epoch int64
	// Rev is the revision to which the frames sent before this one lead.
	Rev int64
	// IsComplete says that Digest, of the set at Rev, is given.
	IsComplete bool
	Digest     Digest
	Floor      int64 // as in Welcome
}

// NodeBeat answers a ServerBeat, and also comes on its own.
type NodeBeat struct {
	Session uint64
	Epoch   int64
	Rev     int64
	Digest  Digest
	// Load is 0 to 100.
	Load int64
	// ActiveKeys had traffic in the last 180 seconds; Sessions are open now.
	ActiveKeys int64
	Sessions   int64
	// Refused is as in Ack.
	Refused []int64
}

// Usage is a numbered report of traffic. Numbers of a stream start at 1 and rise by one.
type Usage struct {
	Stream uint64
	Seq    uint64
	// From and To bound the time reported, unix milliseconds.
	From     int64
	To       int64
	Sessions int64 // open at To
	Entries  []UsageEntry
}

// UsageEntry is the traffic of one key since the report before, in bytes.
type UsageEntry struct {
	KeyID int64
	Up    int64
	Down  int64
}

// UsageAck says which number of a stream was booked last, whatever report it answers: the next to send is Seq+1.
type UsageAck struct {
	Stream uint64
	Seq    uint64
}

// Unknown is a frame of a type from a later protocol.
type Unknown struct {
	Of FrameType
}
