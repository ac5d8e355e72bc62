package hub

import (
	"sync/atomic"

	"stile/feed"
	"stile/wire"
)

// Stats is what the hub did since it began and how its nodes are now, in plain numbers.
type Stats struct {
	// Online is how many nodes are in step with the protocol on this hub, Behind how many of them have not confirmed what
	// was sent to them, and Lag by how many revisions the furthest is behind.
	Online, Behind int
	Lag            int64
	// Deltas and Snapshots count what was sent, Put and Removed the keys in deltas.
	Deltas, Snapshots, Put, Removed int64
	// Nacks counts frames that nodes refused, by why, and RefusedKeys keys that their planes refused.
	Nacks       [wire.WhyDisk + 1]int64
	RefusedKeys int64
	// Alarms counts what operators should look at; each is logged.
	Alarms int64
}

// counts is what Stats counts.
type counts struct {
	deltas, snapshots, put, removed, refusedKeys, alarms atomic.Int64
	nacks                                                [wire.WhyDisk + 1]atomic.Int64
}

// see counts an event of a stream's machine and what it leads to.
func (c *counts) see(e feed.Event, effects []feed.Effect) {
	if r, ok := e.(feed.Received); ok {
		if nack, ok := r.Frame.(*wire.Nack); ok && int(nack.Why) < len(c.nacks) {
			c.nacks[nack.Why].Add(1)
		}
	}
	for _, f := range effects {
		switch f := f.(type) {
		case feed.Send:
			c.sent(f.Frame)
		case feed.Acked:
			c.refusedKeys.Add(int64(len(f.Refused)))
		case feed.Alarm, feed.Quarantined:
			c.alarms.Add(1)
		}
	}
}

func (c *counts) sent(f wire.Frame) {
	switch f := f.(type) {
	case *wire.Delta:
		c.deltas.Add(1)
		c.put.Add(int64(len(f.Puts)))
		c.removed.Add(int64(len(f.Dels)))
	case *wire.SnapshotBegin:
		c.snapshots.Add(1)
	}
}

// Stats reads the counters and looks at all nodes.
func (h *Hub) Stats() Stats {
	c := &h.counts
	s := Stats{
		Deltas: c.deltas.Load(), Snapshots: c.snapshots.Load(), Put: c.put.Load(), Removed: c.removed.Load(),
		RefusedKeys: c.refusedKeys.Load(), Alarms: c.alarms.Load(),
	}
	for i := range c.nacks {
		s.Nacks[i] = c.nacks[i].Load()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.nodes {
		isOnline, behind := n.lag()
		if !isOnline {
			continue
		}
		s.Online++
		if behind > 0 {
			s.Behind++
		}
		s.Lag = max(s.Lag, behind)
	}
	return s
}

// lag is by how many revisions a node that is online here, not at another replica, is behind what was sent to it.
func (n *node) lag() (isOnline bool, revs int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stream == nil || n.state.Session != n.stream.session || !n.state.IsOnline {
		return false, 0
	}
	return true, max(0, n.stream.sentRev.Load()-n.state.Applied)
}
