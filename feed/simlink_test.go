package feed

import (
	"slices"

	"stile/wire"
)

// planeRefuses is a session limit that the simulated data plane cannot take; every node can hold it.
const planeRefuses = 13

// deliverDown brings the server's next frame to the node: in order, as a stream does; seldom lost or twice, as no stream
// does, to see the protocol heal.
func (w *world) deliverDown() {
	if len(w.down) == 0 || w.node == nil {
		return
	}
	f := w.down[0]
	w.down = w.down[1:]
	if !w.isCalm && w.chance(2) {
		w.note("lost %T", f)
		return
	}
	if !w.isCalm && w.chance(2) {
		w.down = slices.Insert(w.down, 0, f)
	}
	f = w.tamper(f)
	w.note("down %T", f)
	w.stepNode(Received{recode(f)})
}

// tamper plants the bugs that are a node believing what it should check.
func (w *world) tamper(f wire.Frame) wire.Frame {
	s := w.node.state
	switch f := f.(type) {
	case *wire.Welcome:
		c := *f
		if w.bug == "what a restored database lacks is not sent again" {
			c.Acked = w.node.lane.held()
		}
		c.Epoch = w.believed(c.Epoch)
		return &c
	case *wire.Delta:
		d := *f
		switch w.bug {
		case "the digest of a change is not checked":
			d.IsComplete = false
		case "changes without their revocations":
			d.Dels, d.IsComplete = nil, false
		}
		return &d
	case *wire.SnapshotBegin:
		if w.bug == "an empty set means no change" && f.Count == 0 {
			return &wire.ServerBeat{}
		}
		c := *f
		c.Epoch = w.believed(c.Epoch)
		return &c
	case *wire.PatchBegin:
		c := *f
		c.Epoch = w.believed(c.Epoch)
		if w.bug == "patches change nothing" {
			w.isPatching, c.Parts, c.Count, c.Digest = true, wire.Parts{}, int64(len(s.Keys)), s.Digest
		}
		return &c
	case *wire.SnapshotChunk:
		if w.isPatching {
			return &wire.SnapshotChunk{}
		}
	case *wire.SnapshotEnd:
		if w.isPatching {
			w.isPatching = false
			return &wire.SnapshotEnd{Rev: f.Rev}
		}
	case *wire.ServerBeat:
		b := *f
		if w.bug == "the digest of a change is not checked" || w.bug == "changes without their revocations" {
			b.IsComplete = false
		}
		b.Epoch = w.believed(b.Epoch)
		return &b
	}
	return f
}

// believed is the epoch that a node takes a frame to be of.
func (w *world) believed(epoch int64) int64 {
	if w.bug == "an old primary is believed" && epoch != 0 {
		return max(epoch, w.node.state.Epoch)
	}
	return epoch
}

// recode sends a frame through the codec.
func recode(f wire.Frame) wire.Frame {
	out, err := wire.Decode(wire.Encode(f))
	if err != nil {
		panic(err)
	}
	return out
}

// deliverUp brings a frame of the node to the server: small requests, so in any order, lost or twice, and those of an
// earlier stream may still come.
func (w *world) deliverUp() {
	if w.server == nil {
		return
	}
	from := &w.up
	if len(w.late) > 0 && w.chance(40) && w.server.phase != serverWaits {
		from = &w.late
	}
	if len(*from) == 0 {
		return
	}
	i := 0
	if _, first := (*from)[0].(*wire.Hello); !first && !w.isCalm && w.chance(20) {
		i = w.rng.IntN(len(*from))
	}
	f := (*from)[i]
	_, isHello := f.(*wire.Hello)
	switch {
	case !w.isCalm && w.chance(5) && !isHello:
		*from = slices.Delete(*from, i, i+1)
		w.note("lost %T", f)
		return
	case w.isCalm || !w.chance(5) || isHello:
		*from = slices.Delete(*from, i, i+1)
	}
	if isHello && from == &w.late {
		return
	}
	if _, isNack := f.(*wire.Nack); isNack && w.bug == "refusals are ignored" {
		return
	}
	f = recode(f)
	if a, ok := f.(*wire.Ack); ok && w.bug == "acks of earlier streams count" {
		a.Session = w.server.session
	}
	if h, ok := f.(*wire.Hello); ok && w.bug == "an old primary is believed" {
		h.Epoch = min(h.Epoch, w.serving.epoch)
	}
	w.note("up %T", f)
	w.stepServer(Received{f})
}
