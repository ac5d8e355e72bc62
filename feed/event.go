// Package feed brings keys from the database to the nodes and usage back: the rules of the node link as two state
// machines, Server for one stream on the control side and Node for the agent.
//
// Both are pure. A machine takes an Event, changes its own fields and returns Effects, in the order in which they must
// happen; it does no input or output, reads no clock and starts nothing. Who drives it performs the effects and hands
// their outcomes back as events: the outcome of Persist and Apply before any other event, the outcome of a read when it
// is there. That is what lets a simulator crash either side between any two effects, and replay it.
//
// The protocol in one paragraph: the database counts each node's changes with a revision. The node says which revision
// and digest it holds (Hello), and gets nothing, the rows since, or the whole set (Welcome). From then on a wake makes
// the server read the rows above the last revision it sent and send them as one Delta; it has one in flight, so changes
// merge while a node is slow, and nothing is ever queued. Every set carries a digest which the node computes for itself;
// where the two differ, the node names what it holds bucket by bucket, and the differing buckets travel. Usage goes the
// other way in numbered reports, written to disk before they are sent and booked once.
//
// What a node is configured to serve goes the same way as the keys do, and apart from them: it has frames and revisions of
// its own.
//
// A database may be restored to an earlier state. Its epoch rises then, and only rises: a node follows no lower one.
// Before a set is mended, the node gives back the ids of the keys that it knows to be revoked, so that the database
// learns again what it forgot.
package feed

import "stile/wire"

// Event is something that happened to a machine.
type Event interface{ event() }

// Effect is something that a machine wants done.
type Effect interface{ effect() }

// Events of both machines.
type (
	// Received is a frame of the other side.
	Received struct{ Frame wire.Frame }
	// Ticked tells the time, once before anything else and then about each second: Now in milliseconds of a clock that
	// only goes forward and is never 0, Wall in unix milliseconds, which only frames carry.
	Ticked struct{ Now, Wall int64 }
)

// Effects of both machines.
type (
	// Send wants a frame sent.
	Send struct{ Frame wire.Frame }
	// Close wants the stream closed. Nothing follows it.
	Close struct{ Why string }
	// Alarm is for the operator's eyes.
	Alarm struct{ Why string }
)

// Events of Server.
type (
	// Woken says that the node's set may have changed.
	Woken struct{}
	// PositionRead answers ReadPosition.
	PositionRead struct {
		Position Position
		// Cursors holds the last number booked of each usage stream of the node.
		Cursors map[uint64]uint64
	}
	// ChangesRead answers ReadChanges: rows in the order of their revisions, and the position in the same snapshot.
	ChangesRead struct {
		Position Position
		Rows     []Row
		// IsPartial says that there are more.
		IsPartial bool
	}
	// SnapshotRead answers ReadSnapshot: all live keys, the tombstones known, and the position in the same snapshot.
	SnapshotRead struct {
		Position Position
		Keys     []wire.Key
		Revoked  []int64
	}
	// Entombed answers Entomb with how many keys were alive until then.
	Entombed struct{ Count int }
	// ReadFailed answers any of the three reads, Entomb and RaiseEpoch.
	ReadFailed struct{}
	// ConfigWoken says that what is wanted of the node's configuration may have changed.
	ConfigWoken struct{}
	// ConfigRead answers NoteServing and ReadConfig: what is wanted, with revision 0 when nothing is.
	ConfigRead struct{ Wanted wire.Config }
	// ConfigFailed answers either of them.
	ConfigFailed struct{}
	// UsageBooked answers BookUsage with the stream's cursor after it. A failed attempt has no answer: the node repeats.
	UsageBooked struct{ Stream, Cursor uint64 }
)

// Effects of Server.
type (
	// ReadPosition wants a PositionRead or ReadFailed.
	ReadPosition struct{}
	// ReadChanges wants up to Limit rows above revision After: ChangesRead or ReadFailed.
	ReadChanges struct {
		After int64
		Limit int
	}
	// ReadSnapshot wants a SnapshotRead or ReadFailed.
	ReadSnapshot struct{}
	// Entomb wants keys of the node made tombstones, those of them that live: Entombed or ReadFailed.
	Entomb struct{ KeyIDs []int64 }
	// RaiseEpoch wants the database's epoch raised above Above, and again a PositionRead; or ReadFailed.
	RaiseEpoch struct{ Above int64 }
	// NoteServing wants what a node serves, and refused, written down: ConfigRead or ConfigFailed. It comes before the node
	// is online, so that no key ever names a port that is not served.
	NoteServing struct{ Serving wire.Serving }
	// ReadConfig wants what the node's configuration should be: ConfigRead or ConfigFailed.
	ReadConfig struct{}
	// BookUsage wants a report booked iff its number is the cursor's successor, in one transaction with the cursor.
	BookUsage struct{ Report *wire.Usage }
	// Welcomed says that the node is in step with the protocol: it is online.
	Welcomed struct{ Mode wire.Mode }
	// Acked says that the node holds and honours the set at Rev, except for keys that it refused.
	Acked struct {
		Rev     int64
		Refused []int64
	}
	// Quarantined says that the node can hold no records like these; they are left out until they change.
	Quarantined struct{ KeyIDs []int64 }
	// Alive carries a NodeBeat.
	Alive struct{ Load, ActiveKeys, Sessions int64 }
)

// Events of Node.
type (
	// Connected says that a link is there.
	Connected struct{}
	// Disconnected says that it is gone.
	Disconnected struct{}
	// Persisted answers Persist.
	Persisted struct{ IsDone bool }
	// Applied answers Apply with the keys that a data plane refused. It also comes when Valid was put into the planes, at
	// the start.
	Applied struct{ Refused []int64 }
	// PortsOpened answers OpenPorts: why it cannot be, 0 when it can.
	PortsOpened struct {
		Why    wire.ConfigWhy
		Detail string
	}
	// ConfigKept answers KeepConfig.
	ConfigKept struct{ IsDone bool }
	// Measured answers Measure.
	Measured struct{ Load, ActiveKeys, Sessions int64 }
	// ReportSaved says that a usage report is on disk.
	ReportSaved struct{ Stream, Seq uint64 }
	// ReportMissing answers a SendReport of a report that is no longer on disk.
	ReportMissing struct{ Stream uint64 }
	// StreamPruned says that no report of a usage stream is on disk any more.
	StreamPruned struct{ Stream uint64 }
)

// Effects of Node.
type (
	// Cut wants keys out of the data planes and their sessions ended, now: it comes before the disk is touched, so that
	// a revocation counts even when the disk is full.
	Cut struct{ KeyIDs []int64 }
	// Persist wants a change of the state made durable and answered by Persisted. It is the last effect of its event.
	Persist struct {
		// Epoch is the state's. Delta follows the state on disk; if it is nil, Next replaces it.
		Epoch int64
		Delta *wire.Delta
		Next  *State
	}
	// Apply wants keys put into the data planes, answered by Applied. It is the last effect of its event.
	Apply struct{ Put []wire.Key }
	// OpenPorts wants the ports of a configuration opened that are not open, all or none, beside those that are served. It is
	// answered by PortsOpened and is the last effect of its event.
	OpenPorts struct{ Config wire.Config }
	// KeepConfig wants what is served, or about to be, made durable, answered by ConfigKept. It is the last effect of its
	// event. Config is the one that begins with it; nil when one was refused.
	KeepConfig struct {
		Serving wire.Serving
		Config  *wire.Config
	}
	// ServePorts wants what OpenPorts opened served. Ports of before that are no longer among them take connections for as
	// long as the configuration says; sessions go on for as long as they last.
	ServePorts struct{ Config wire.Config }
	// DropPorts wants what OpenPorts opened closed again.
	DropPorts struct{}
	// Measure wants a Measured.
	Measure struct{}
	// SendReport wants a saved report sent.
	SendReport struct{ Stream, Seq uint64 }
	// ReportsAcked says which reports of a stream are booked. After a database was restored it may go back.
	ReportsAcked struct{ Stream, Seq uint64 }
	// NewStream wants the next reports in a stream with a new random id: the control side knows more of the present one
	// than this process does, so the process was rolled back.
	NewStream struct{}
)

func (Received) event()      {}
func (Ticked) event()        {}
func (Woken) event()         {}
func (PositionRead) event()  {}
func (ChangesRead) event()   {}
func (SnapshotRead) event()  {}
func (Entombed) event()      {}
func (ReadFailed) event()    {}
func (ConfigWoken) event()   {}
func (ConfigRead) event()    {}
func (ConfigFailed) event()  {}
func (UsageBooked) event()   {}
func (Connected) event()     {}
func (Disconnected) event()  {}
func (Persisted) event()     {}
func (Applied) event()       {}
func (PortsOpened) event()   {}
func (ConfigKept) event()    {}
func (Measured) event()      {}
func (ReportSaved) event()   {}
func (ReportMissing) event() {}
func (StreamPruned) event()  {}

func (Send) effect()         {}
func (Close) effect()        {}
func (Alarm) effect()        {}
func (ReadPosition) effect() {}
func (ReadChanges) effect()  {}
func (ReadSnapshot) effect() {}
func (Entomb) effect()       {}
func (RaiseEpoch) effect()   {}
func (NoteServing) effect()  {}
func (ReadConfig) effect()   {}
func (BookUsage) effect()    {}
func (Welcomed) effect()     {}
func (Acked) effect()        {}
func (Quarantined) effect()  {}
func (Alive) effect()        {}
func (Cut) effect()          {}
func (Persist) effect()      {}
func (Apply) effect()        {}
func (OpenPorts) effect()    {}
func (KeepConfig) effect()   {}
func (ServePorts) effect()   {}
func (DropPorts) effect()    {}
func (Measure) effect()      {}
func (SendReport) effect()   {}
func (ReportsAcked) effect() {}
func (NewStream) effect()    {}
