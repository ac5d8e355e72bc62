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
	switch f := f.(type) {
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
	case *wire.ServerBeat:
		if w.bug == "the digest of a change is not checked" || w.bug == "changes without their revocations" {
			b := *f
			b.IsComplete = false
			return &b
		}
	}
	return f
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
	w.note("up %T", f)
	w.stepServer(Received{f})
}
