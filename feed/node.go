package feed

import (
	"fmt"
	"slices"

	"stile/wire"
)

type nodePhase int

const (
	nodeOffline  nodePhase = iota
	nodeGreeting           // the Hello is out
	nodeLive               // the Welcome is in
)

// NodeConfig is who a node is.
type NodeConfig struct {
	ID      int64
	BootID  uint64 // random for each start of the process
	Version string
	// Serving is what the node serves and refused, as its disk says and its flags allow; nil: it takes no configuration.
	Serving *wire.Serving
}

// Node is the agent's side of the link. It outlives its links: what it holds goes on being valid without one.
type Node struct {
	cfg   NodeConfig
	state *State
	// cut holds keys taken out of the data planes by a change that is not on disk yet.
	cut    map[int64]struct{}
	lane   lane
	config configNode

	phase   nodePhase
	session uint64
	epoch   int64 // of the control plane, while live
	staged  *staging
	pending *change
	// refused are keys of the state that are not honoured: a data plane refused them, or they are among its Revoked.
	refused map[int64]struct{}

	now       int64
	heardAt   int64
	beatAt    int64
	heartbeat int64
}

// change is one that the disk or the data planes are at.
type change struct {
	delta  *wire.Delta
	next   *State
	digest wire.Digest
	put    []wire.Key
	rev    int64
}

// NewNode returns the machine of a node with the state and the usage streams that its disk holds, oldest first.
func NewNode(cfg NodeConfig, s *State, held []wire.StreamSeq) *Node {
	n := &Node{cfg: cfg, state: s, cut: make(map[int64]struct{}), lane: newLane(held), config: configNode{isFixed: cfg.Serving == nil}}
	if cfg.Serving != nil {
		n.config.serving = *cfg.Serving
	}
	n.refuse(nil)
	return n
}

// State is what the node holds; the caller must not change it.
func (n *Node) State() *State { return n.state }

// Valid returns the keys that belong into the data planes.
func (n *Node) Valid() []wire.Key { return n.usable(n.state.Valid()) }

// IsLive reports whether a control plane welcomed the node on the present link.
func (n *Node) IsLive() bool { return n.phase == nodeLive }

// Has reports whether a key belongs into the data planes.
func (n *Node) Has(keyID int64) bool {
	k, ok := n.state.Keys[keyID]
	return ok && len(n.usable([]wire.Key{k})) > 0
}

func (n *Node) usable(keys []wire.Key) []wire.Key {
	var out []wire.Key
	for _, k := range keys {
		_, cut := n.cut[k.ID]
		_, revoked := n.state.Revoked[k.ID]
		if !cut && !revoked {
			out = append(out, k)
		}
	}
	return out
}

// Step takes an event and returns what must be done about it, in order.
func (n *Node) Step(e Event) []Effect {
	switch e := e.(type) {
	case Ticked:
		return n.tick(e.Now)
	case Connected:
		return n.connected()
	case Disconnected:
		n.hangUp()
	case Received:
		return n.receive(e.Frame)
	case Persisted:
		return n.persisted(e.IsDone)
	case Applied:
		return n.applied(e.Refused)
	case PortsOpened:
		return n.portsOpened(e.Why, e.Detail)
	case ConfigKept:
		return n.configKept(e.IsDone)
	case Measured:
		if n.phase == nodeLive {
			return []Effect{Send{&wire.NodeBeat{Session: n.session, Epoch: n.state.Epoch, Rev: n.state.Rev, Digest: n.state.Digest,
				Load: e.Load, ActiveKeys: e.ActiveKeys, Sessions: e.Sessions, Refused: n.refuses()}}}
		}
	case ReportSaved:
		return n.lane.saved(e.Stream, e.Seq)
	case ReportMissing:
		return n.lane.missing(e.Stream)
	case StreamPruned:
		n.lane.pruned(e.Stream)
	}
	return nil
}

func (n *Node) hangUp() {
	n.phase, n.staged, n.session = nodeOffline, nil, 0
	n.lane.close()
}

func (n *Node) close(why string) []Effect {
	n.hangUp()
	return []Effect{Close{why}}
}

func (n *Node) tick(now int64) []Effect {
	n.now = now
	if n.phase != nodeOffline && now-n.heardAt > Silence {
		return n.close("the control plane is silent")
	}
	out := n.lane.tick(now)
	if n.phase == nodeLive && now >= n.beatAt {
		n.beatAt = now + n.heartbeat*4/5 + int64(n.session%uint64(max(1, n.heartbeat*2/5)))
		out = append(out, Measure{})
	}
	return out
}

func (n *Node) connected() []Effect {
	n.hangUp()
	n.phase, n.heardAt = nodeGreeting, n.now
	h := &wire.Hello{Proto: wire.Protocol, NodeID: n.cfg.ID, BootID: n.cfg.BootID, Epoch: n.state.Epoch, Rev: n.state.Rev,
		Count: int64(len(n.state.Keys)), Digest: n.state.Digest, Streams: n.lane.held(), Version: n.cfg.Version, Refused: n.refuses()}
	if !n.config.isFixed {
		h.Caps, h.Serving = h.Caps|wire.CapConfig, n.config.serving
	}
	return []Effect{Send{h}}
}

func (n *Node) receive(f wire.Frame) []Effect {
	if n.phase == nodeOffline {
		return nil
	}
	n.heardAt = n.now
	if w, ok := f.(*wire.Welcome); ok {
		return n.welcome(w)
	}
	if n.phase != nodeLive {
		return n.close("a frame before the welcome")
	}
	switch f := f.(type) {
	case *wire.Delta:
		return n.follow(f)
	case *wire.SnapshotBegin:
		return n.begin(f.Epoch, f.Count, func() *staging { return newStaging(f, n.state) })
	case *wire.PatchBegin:
		return n.begin(f.Epoch, f.Count, func() *staging { return newPatch(f, n.state) })
	case *wire.RevokedAsk:
		return n.giveBack(f.After)
	case *wire.Verify:
		return n.show()
	case *wire.SnapshotChunk:
		return n.collect(f)
	case *wire.SnapshotEnd:
		return n.replace(f.Rev, f.Items)
	case *wire.ServerBeat:
		return n.compare(f)
	case *wire.UsageAck:
		return n.lane.acked(f.Stream, f.Seq)
	case *wire.Config:
		return n.configure(f)
	}
	return nil
}

func (n *Node) welcome(w *wire.Welcome) []Effect {
	if n.phase != nodeGreeting {
		return n.close("a second welcome")
	}
	if w.Epoch < n.state.Epoch {
		why := fmt.Sprintf("the control plane is at epoch %d, this node follows %d", w.Epoch, n.state.Epoch)
		return append([]Effect{Alarm{why}}, n.close(why)...)
	}
	if w.Mode < wire.ModeResume || w.Mode > wire.ModeVerify {
		return n.close(fmt.Sprintf("a welcome of unknown mode %d", w.Mode))
	}
	n.phase, n.session, n.epoch = nodeLive, w.Session, w.Epoch
	n.heartbeat, n.beatAt = min(max(1, w.HeartbeatSeconds), Silence/1000)*1000, n.now
	if n.epoch == n.state.Epoch {
		n.state.forget(w.Floor)
	}
	out := append(n.lane.open(w.Acked), n.tick(n.now)...)
	if w.Mode == wire.ModeResume && n.holdsRevoked() {
		out = append(out, n.nack(w.Rev, wire.WhyRevoked, nil)...)
	}
	return out
}

func (n *Node) nack(refused int64, why wire.Why, bad []wire.BadKey) []Effect {
	return []Effect{Send{&wire.Nack{Session: n.session, Epoch: n.state.Epoch, Rev: n.state.Rev, RefusedRev: refused, Why: why, Bad: bad}}}
}

func (n *Node) ack() []Effect {
	if n.phase != nodeLive {
		return nil
	}
	return []Effect{Send{&wire.Ack{Session: n.session, Epoch: n.state.Epoch, Rev: n.state.Rev, Refused: n.refuses()}}}
}

// follow takes a Delta, if it leads on from where the node stands to where the server says that it does.
func (n *Node) follow(d *wire.Delta) []Effect {
	n.staged = nil
	switch {
	case n.pending != nil:
		return n.close("the change before is not done")
	case n.epoch == n.state.Epoch && d.ToRev <= n.state.Rev && d.FromRev < n.state.Rev:
		return n.ack() // it came twice
	case n.epoch != n.state.Epoch || d.FromRev != n.state.Rev || d.ToRev < d.FromRev:
		return n.nack(d.ToRev, wire.WhyGap, nil)
	}
	if bad := unfit(d.Puts); len(bad) > 0 {
		return n.nack(d.ToRev, wire.WhyKey, bad)
	}
	if slices.ContainsFunc(d.Puts, n.knowsRevoked) {
		return n.nack(d.ToRev, wire.WhyRevoked, nil)
	}
	count, digest := n.state.preview(d)
	if count > maxKeys || len(n.state.Revoked)+len(d.Dels) > maxRevoked {
		return n.overflow()
	}
	if d.IsComplete && (count != d.Count || digest != d.Digest) {
		return n.nack(d.ToRev, wire.WhyDigest, nil)
	}
	n.pending = &change{delta: d, digest: digest, put: d.Puts, rev: d.ToRev}
	var cut []int64
	for _, del := range d.Dels {
		cut = append(cut, del.KeyID)
		if del.Reason == wire.ReasonRevoked {
			n.state.Revoked[del.KeyID] = d.ToRev // counts even if the disk fails
		}
	}
	return append(n.take(cut), Persist{Epoch: n.epoch, Delta: d})
}

// unfit returns the records that no node can hold.
func unfit(keys []wire.Key) []wire.BadKey {
	var bad []wire.BadKey
	for _, k := range keys {
		if k.Check() != nil && len(bad) < wire.MaxItems {
			bad = append(bad, wire.BadKey{KeyID: k.ID, Sum: k.Sum()})
		}
	}
	return bad
}

// take has keys cut before the change is on disk.
func (n *Node) take(ids []int64) []Effect {
	if len(ids) == 0 {
		return nil
	}
	for _, id := range ids {
		n.cut[id] = struct{}{}
	}
	return []Effect{Cut{ids}}
}

func (n *Node) persisted(done bool) []Effect {
	c := n.pending
	if c == nil {
		return nil
	}
	if !done {
		n.pending = nil
		if n.phase != nodeLive {
			return []Effect{Alarm{"the node's disk cannot be written"}}
		}
		return append([]Effect{Alarm{"the node's disk cannot be written"}}, n.nack(c.rev, wire.WhyDisk, nil)...)
	}
	if c.next != nil {
		n.state = c.next
	} else {
		n.state.apply(c.delta, c.digest)
	}
	clear(n.cut)
	if put := n.usable(c.put); len(put) > 0 {
		return []Effect{Apply{put}}
	}
	return n.applied(nil)
}

func (n *Node) applied(refused []int64) []Effect {
	c := n.pending
	n.pending = nil
	if c == nil {
		n.refuse(refused)
		return nil
	}
	n.stillRefused(c)
	for _, id := range refused {
		n.refused[id] = struct{}{}
	}
	return n.ack()
}

// compare holds what the node has against what the server thinks it sent.
func (n *Node) compare(b *wire.ServerBeat) []Effect {
	switch {
	case b.Epoch == 0 || n.pending != nil:
	case n.staged != nil || b.Epoch != n.state.Epoch || b.Rev != n.state.Rev:
		n.staged = nil
		return n.nack(b.Rev, wire.WhyGap, nil)
	case b.IsComplete && b.Digest != n.state.Digest:
		return n.nack(b.Rev, wire.WhyDigest, nil)
	default:
		n.state.forget(b.Floor)
	}
	return nil
}
