package hub

import (
	"context"
	"sync"

	"stile/feed"
	"stile/vpn"
)

// node is what the hub knows of one node, across its streams.
type node struct {
	// quarantine is the present stream's to use; attach hands it over.
	quarantine feed.Quarantine

	mu      sync.Mutex
	stream  *stream // nil: no link
	live    vpn.NodeLive
	applied int64
	// changed is closed, and replaced, when applied or live.IsOnline changes.
	changed chan struct{}
}

func newNode() *node {
	return &node{quarantine: make(feed.Quarantine), changed: make(chan struct{})}
}

func (n *node) current() *stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stream
}

// attach makes s the node's stream, after the one before has ended.
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

func (n *node) detach() {
	n.update(func() { n.stream, n.applied, n.live.IsOnline, n.live.ActiveDevices = nil, 0, false, 0 })
}

// update changes the entry and tells those who wait.
func (n *node) update(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) waitApplied(ctx context.Context, rev int64) bool {
	for {
		n.mu.Lock()
		isOnline, applied, changed := n.live.IsOnline, n.applied, n.changed
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

func (n *node) now() vpn.NodeLive {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.live
}
