package feed

import (
	"maps"
	"slices"

	"stile/wire"
)

// maxKeys and maxRevoked bound what a node holds, ten times what the largest has: whatever a control plane sends, the machine's
// memory lasts.
const (
	maxKeys    = 1 << 20
	maxRevoked = 1 << 22
)

// begin opens a set, or parts of one.
func (n *Node) begin(epoch, count int64, stage func() *staging) []Effect {
	switch {
	case epoch != n.epoch:
		return n.close("a set of another epoch than the welcome's")
	case count > maxKeys:
		return n.overflow()
	}
	n.staged = stage()
	return nil
}

// collect takes a part of the set that was opened.
func (n *Node) collect(c *wire.SnapshotChunk) []Effect {
	g := n.staged
	switch {
	case g == nil:
	case !g.add(c):
		n.staged = nil
		return n.nack(g.next.Rev, wire.WhyDigest, nil)
	case len(g.next.Revoked) > maxRevoked:
		return n.overflow()
	}
	return nil
}

// replace takes the staged set as a whole.
func (n *Node) replace(rev, items int64) []Effect {
	g := n.staged
	n.staged = nil
	switch {
	case n.pending != nil:
		return n.close("the change before is not done")
	case g == nil || g.next.Rev != rev:
		return n.nack(rev, wire.WhyGap, nil)
	case !g.isWhole(items):
		return n.nack(rev, wire.WhyDigest, nil)
	}
	set := make([]wire.Key, 0, len(g.next.Keys))
	for _, k := range g.next.Keys {
		set = append(set, k)
	}
	if bad := unfit(set); len(bad) > 0 {
		return n.nack(rev, wire.WhyKey, bad)
	}
	if slices.ContainsFunc(set, n.knowsRevoked) {
		return n.nack(rev, wire.WhyRevoked, nil)
	}
	put, cut := diff(n.state, g.next)
	for id := range n.cut { // taken out by a change that failed: the set decides anew
		if k, ok := g.next.Keys[id]; ok && n.state.Keys[id] == k {
			put = append(put, k)
		}
	}
	maps.Copy(n.state.Revoked, g.next.Revoked)
	n.pending = &change{next: g.next, put: put, rev: rev}
	return append(n.take(cut), Persist{Epoch: g.next.Epoch, Next: g.next})
}

// overflow gives up a control plane that sends more than a node can hold. What the node has goes on.
func (n *Node) overflow() []Effect {
	const why = "the control plane sends more keys than a node can hold"
	return append([]Effect{Alarm{why}}, n.close(why)...)
}
