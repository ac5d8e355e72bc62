package hub

import (
	"context"
	"slices"
	"sync"

	"stile/feed"
	"stile/vpn"
)

// node is what the hub knows of one node, across its streams.
type node struct {
	// quarantine, allowance and begins, of usage streams, are the present stream's to use; attach hands them over.
	quarantine feed.Quarantine
	allowance  feed.Allowance
	begins     feed.Bucket

	mu     sync.Mutex
	lines  feed.Bucket // in the log
	stream *stream     // the one here; nil: none
	// state is that of the node's newest stream, here or at another replica.
	state vpn.NodeStream
	// changed is closed, and replaced, when state.Session, state.Applied or state.IsOnline changes.
	changed chan struct{}
}

// lineRate is what is logged of one node. One that cannot be served while the database is away, which is tried again each minute, stays
// below it.
var lineRate = feed.Rate{Most: 300, Every: 20_000}

// tell logs something of a node, unless the log would be full of that node.
func (h *Hub) tell(n *node, log func(string, ...any), message string, args ...any) {
	n.mu.Lock()
	id := n.state.NodeID
	wait, isNews := n.lines.Take(h.millis(), lineRate)
	n.mu.Unlock()
	switch {
	case isNews:
		h.cfg.Log.Warn("a node makes more news than are told: some are left out from now on", "node", id)
	case wait == 0:
		log(message, append([]any{"node", id}, args...)...)
	}
}

func newNode(id int64) *node {
	return &node{quarantine: make(feed.Quarantine), changed: make(chan struct{}), state: vpn.NodeStream{NodeID: id}}
}

func (n *node) current() *stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stream
}

// attach makes s the node's stream here, after the one before has ended.
func (n *node) attach(ctx context.Context, s *stream) error {
	for {
		n.mu.Lock()
		old := n.stream
		if old == nil {
			n.stream = s
		}
		n.mu.Unlock()
		if old == nil {
			return nil
		}
		old.stop()
		select {
		case <-old.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin makes s the node's newest stream by the number of its session, unless a newer one was heard of. A node that
// moves here counts as online meanwhile, but what it acknowledged elsewhere counts no more.
func (n *node) begin(s *stream, session, replica int64, isMoving bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state.Session > session {
		return false
	}
	s.session = session
	n.state.Session, n.state.Replica, n.state.IsOnline = session, replica, isMoving
	n.state.Epoch, n.state.Applied, n.state.Refused = 0, 0, ""
	n.tell()
	return true
}

// detach takes the ended stream away. The node is offline then, unless it goes on elsewhere or is about to. It reports
// whether that put it offline.
func (n *node) detach(s *stream, isMoving bool) (wentOffline bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stream = nil
	if n.state.Session == s.session && !isMoving {
		wentOffline = n.state.IsOnline
		n.state.IsOnline, n.state.Load, n.state.ActiveDevices, n.state.Sessions = false, 0, 0, 0
		n.tell()
	}
	return wentOffline
}

// update changes the state, if s is still the node's newest stream, and reports whether it is.
func (n *node) update(s *stream, change func(*vpn.NodeStream)) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state.Session != s.session {
		return false
	}
	before := n.state
	change(&n.state)
	if n.state.IsOnline != before.IsOnline || n.state.Applied != before.Applied {
		n.tell()
	}
	return true
}

// learn takes over what another replica says of its stream. If that is newer than the one here, this one ends.
func (n *node) learn(other vpn.NodeStream) {
	if !other.IsOnline {
		other.Load, other.ActiveDevices, other.Sessions = 0, 0, 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if other.Session < n.state.Session || other == n.state {
		return
	}
	if n.stream != nil && n.stream.session > 0 { // one without a session is about to get a newer one
		n.stream.stop()
	}
	n.state = other
	n.tell()
}

// tell wakes those who wait for a change. The caller holds mu.
func (n *node) tell() {
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) waitApplied(ctx context.Context, rev int64) bool {
	for {
		n.mu.Lock()
		isOnline, applied, changed := n.state.IsOnline, n.state.Applied, n.changed
		n.mu.Unlock()
		if !isOnline {
			return false
		}
		if applied >= rev {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// newlyRefused returns those of the keys that were not refused when the stream last told.
func (n *node) newlyRefused(ids []int64) []int64 {
	before := n.now().Refused.All()
	return slices.DeleteFunc(slices.Clone(ids), func(id int64) bool {
		_, isKnown := slices.BinarySearch(before, id)
		return isKnown
	})
}

func (n *node) now() vpn.NodeStream {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}
