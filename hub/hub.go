// Package hub is the control side of the link to the nodes: one stream per node, which it drives by the rules of package
// feed against the store. It wakes streams after commits, finds by comparison what no wake told, lets callers wait until
// a node has a change, and knows how the nodes are now. Where several processes serve one database, each of them knows
// all that of every node, whichever has its stream (replica.go).
//
// It neither changes keys nor decides who has one; that is package vpn, whose Nodes port it is. How a link comes about
// is not its business either: it serves whatever wire.Link it is given.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"stile/vpn"
)

const (
	tickInterval = time.Second
	// compareInterval bounds how late a change of another process arrives, and how late one whose wake was lost.
	compareInterval = time.Second
	// sendTimeout bounds how long a node may take no frame before its link counts as dead.
	sendTimeout = 10 * time.Second
	// snapshotsAtOnce bounds how many whole sets are in memory at a time. Each also holds one of the few reading connections
	// of the store while it is read, and requests need the others.
	snapshotsAtOnce = 2
)

// Config is what a hub is made of.
type Config struct {
	// Store is where the sets of keys are.
	Store vpn.NodeStore
	// RecordUsage books a report once and returns the stream's cursor: vpn.Service.RecordUsage.
	RecordUsage func(ctx context.Context, r vpn.UsageReport) (uint64, error)
	// NoteServing writes down what a node serves and returns what is wanted of it: vpn.Service.NoteServing; nil = nodes are not
	// configured from here.
	NoteServing func(ctx context.Context, nodeID int64, s vpn.NodeServing) (vpn.ConfiguredNode, error)
	// Replicas are the other processes that serve the same database; nil = there can be none. Where there are, a node that
	// follows a higher epoch is turned away: this process may be left over from before a failover.
	Replicas vpn.Replicas
	// Now defaults to time.Now.
	Now func() time.Time
	// Log defaults to slog's default.
	Log *slog.Logger
}

// Hub holds the nodes. It is the vpn.Nodes port.
type Hub struct {
	cfg       Config
	began     time.Time
	snapshots chan struct{}
	// replica is this process among others; nil if there can be none.
	replica    *replica
	notes      notes // unused where there are replicas
	isDraining atomic.Bool
	counts     counts

	mu    sync.Mutex
	nodes map[int64]*node
}

var _ vpn.Nodes = (*Hub)(nil)

// New returns a hub without nodes.
func New(cfg Config) (*Hub, error) {
	if cfg.Store == nil || cfg.RecordUsage == nil {
		return nil, errors.New("hub: Store or RecordUsage is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	h := &Hub{cfg: cfg, began: cfg.Now(), snapshots: make(chan struct{}, snapshotsAtOnce), nodes: make(map[int64]*node),
		notes: newNotes()}
	if cfg.Replicas != nil {
		h.replica = newReplica(h)
	}
	return h, nil
}

// Run compares what the streams have sent with the store, each second, keeps in touch with the other replicas, and has old
// tombstones removed, until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { h.compactEvery(ctx) })
	if h.replica != nil {
		return h.replica.run(ctx)
	}
	parts.Go(func() { h.noteEvery(ctx) })
	ticker := time.NewTicker(compareInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			h.compare(ctx)
		}
	}
}

// millis is the time by a clock that only goes forward and is never 0.
func (h *Hub) millis() int64 { return 1 + h.cfg.Now().Sub(h.began).Milliseconds() }

// compare wakes the streams whose node stands elsewhere in the store than what was sent last.
func (h *Hub) compare(ctx context.Context) {
	streams := h.streams()
	if len(streams) == 0 {
		return
	}
	revs, err := h.cfg.Store.NodeRevs(ctx)
	if err != nil {
		if ctx.Err() == nil {
			h.cfg.Log.Error("the nodes' revisions cannot be read", "error", err)
		}
		return
	}
	for _, r := range revs {
		if s := streams[r.NodeID]; s != nil && s.sentRev.Load() != r.Rev {
			s.poke()
		}
	}
	if h.cfg.NoteServing != nil {
		h.compareConfigs(ctx, streams)
	}
}

func (h *Hub) streams() map[int64]*stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	streams := make(map[int64]*stream)
	for id, n := range h.nodes {
		if s := n.current(); s != nil {
			streams[id] = s
		}
	}
	return streams
}

// node returns the entry of a node, made if it is new.
func (h *Hub) node(id int64) *node {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.nodes[id]
	if n == nil {
		n = newNode(id)
		h.nodes[id] = n
	}
	return n
}

// known returns the entry of a node that came before, or nil.
func (h *Hub) known(id int64) *node {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.nodes[id]
}

// begin gives a stream its place among the node's: the newest.
func (h *Hub) begin(ctx context.Context, s *stream) error {
	if h.replica != nil {
		return h.replica.claim(ctx, s)
	}
	s.node.begin(s, s.node.now().Session+1, 0, false)
	return nil
}

// end takes an ended stream away. A node that is handed over counts as online until it is back somewhere.
func (h *Hub) end(ctx context.Context, s *stream, isHandedOver bool) {
	if s.node.detach(s, isHandedOver) {
		s.tell(h.cfg.Log.Info, "a node is offline")
	}
	close(s.ended)
	switch {
	case isHandedOver:
	case h.replica != nil:
		h.replica.release(ctx, s.id)
	default:
		h.notes.add(s.id)
		poke(h.notes.soon)
	}
}

// share has a change of a node's state told to the other replicas, or noted.
func (h *Hub) share(id int64, isAwaited bool) {
	if h.replica == nil {
		h.notes.add(id)
		return
	}
	h.replica.share(id, isAwaited)
}

// handOverPace is the pause between the ends of two streams that are handed over: the others take so many at a time.
const handOverPace = time.Millisecond

// Drain ends the streams, one after the other, and takes no new ones: their nodes go to other replicas, where they count
// as online all the while. Those named stay, as they end with this process. It returns when all have ended; its error is
// that of ctx.
func (h *Hub) Drain(ctx context.Context, stay ...int64) error {
	h.isDraining.Store(true)
	streams := h.streams()
	for _, id := range stay {
		delete(streams, id)
	}
	pace := time.NewTicker(handOverPace)
	defer pace.Stop()
	for _, s := range streams {
		s.cancel(errDraining)
		select {
		case <-pace.C:
		case <-ctx.Done():
			return fmt.Errorf("hub: nodes are not handed over: %w", ctx.Err())
		}
	}
	for id, s := range streams {
		select {
		case <-s.ended:
		case <-ctx.Done():
			return fmt.Errorf("hub: node %d is not handed over: %w", id, ctx.Err())
		}
	}
	return nil
}

// Ready reports whether the hub knows the nodes of other replicas.
func (h *Hub) Ready() bool { return h.replica == nil || h.replica.isInformed.Load() }

// Wake implements vpn.Nodes.
func (h *Hub) Wake(changes ...vpn.NodeRev) {
	for _, c := range changes {
		if n := h.known(c.NodeID); n != nil {
			if s := n.current(); s != nil {
				s.poke()
				continue
			}
		}
		if h.replica != nil {
			h.replica.wakeOthers(c.NodeID)
		}
	}
}

// WaitApplied implements vpn.Nodes.
func (h *Hub) WaitApplied(ctx context.Context, nodeID, rev int64) bool {
	n := h.known(nodeID)
	return n != nil && n.waitApplied(ctx, rev)
}

// HasApplied implements vpn.Nodes.
func (h *Hub) HasApplied(nodeID, rev int64) bool {
	n := h.known(nodeID)
	if n == nil {
		return false
	}
	state := n.now()
	return state.IsOnline && state.Applied >= rev
}

// Refuses implements vpn.Nodes.
func (h *Hub) Refuses(nodeID, keyID int64) bool {
	n := h.known(nodeID)
	return n != nil && n.now().Refused.Has(keyID)
}

// Live implements vpn.Nodes.
func (h *Hub) Live(nodeID int64) vpn.NodeLive {
	n := h.known(nodeID)
	if n == nil {
		return vpn.NodeLive{}
	}
	state := n.now()
	return vpn.NodeLive{IsOnline: state.IsOnline, ActiveDevices: state.ActiveDevices, At: state.At}
}
