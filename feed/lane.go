package feed

import "stile/wire"

const (
	// laneWindow is how many reports are sent ahead of their acknowledgements.
	laneWindow = 32
	// lanePatience without any acknowledgement, in milliseconds, has reports sent again.
	lanePatience = 5_000
)

// lane is the node's side of the usage reports. It knows numbers only; the reports are on disk. Streams are in the
// order in which they began.
type lane struct {
	streams    []*laneStream
	current    uint64 // the stream that reports are added to; 0 before the first
	isOpen     bool
	now        int64
	progressAt int64
}

type laneStream struct {
	id    uint64
	last  uint64 // saved
	sent  uint64
	acked uint64
	// isStuck: the next report in turn is no longer on disk, so none can follow.
	isStuck bool
}

func newLane(held []wire.StreamSeq) lane {
	var l lane
	for _, s := range held {
		l.streams = append(l.streams, &laneStream{id: s.Stream, last: s.Seq})
	}
	return l
}

func (l *lane) find(id uint64) *laneStream {
	for _, s := range l.streams {
		if s.id == id {
			return s
		}
	}
	return nil
}

// held is what the Hello says of the lane; the latest streams, if there are more than a frame holds.
func (l *lane) held() []wire.StreamSeq {
	var held []wire.StreamSeq
	for _, s := range l.streams[max(0, len(l.streams)-wire.MaxItems):] {
		held = append(held, wire.StreamSeq{Stream: s.id, Seq: s.last})
	}
	return held
}

func (l *lane) open(acked []wire.StreamSeq) []Effect {
	l.isOpen, l.progressAt = true, l.now
	var out []Effect
	for _, s := range l.streams {
		s.sent = s.acked
	}
	for _, a := range acked {
		out = append(out, l.book(a.Stream, a.Seq)...)
	}
	return append(out, l.pump()...)
}

func (l *lane) close() { l.isOpen = false }

func (l *lane) saved(id, seq uint64) []Effect {
	s := l.find(id)
	if s == nil {
		s = &laneStream{id: id}
		l.streams = append(l.streams, s)
	}
	l.current, s.last = id, seq
	return l.pump()
}

func (l *lane) missing(id uint64) []Effect {
	if s := l.find(id); s != nil && !s.isStuck {
		s.isStuck, s.sent = true, s.acked
		out := []Effect{Alarm{"a usage report that the control plane lacks is no longer on disk"}}
		if id == l.current { // none of its later reports can be booked
			l.current = 0
			out = append(out, NewStream{})
		}
		return append(out, l.pump()...)
	}
	return nil
}

func (l *lane) pruned(id uint64) {
	for i, s := range l.streams {
		if s.id == id {
			l.streams = append(l.streams[:i:i], l.streams[i+1:]...)
			return
		}
	}
}

// acked takes an acknowledgement off the link.
func (l *lane) acked(id, seq uint64) []Effect {
	if !l.isOpen {
		return nil
	}
	l.progressAt = l.now
	return append(l.book(id, seq), l.pump()...)
}

// book notes that the control plane booked a stream up to seq.
func (l *lane) book(id, seq uint64) []Effect {
	s := l.find(id)
	if s == nil || s.acked == seq {
		return nil
	}
	var out []Effect
	if seq > s.last {
		seq = s.last
		if id == l.current {
			l.current = 0
			out = append(out, NewStream{})
		}
	}
	if seq < s.acked {
		s.sent = seq // the database went back: once more from there
	}
	s.acked, s.isStuck = seq, false
	s.sent = max(s.sent, seq)
	return append(out, ReportsAcked{Stream: id, Seq: seq})
}

func (l *lane) tick(now int64) []Effect {
	l.now = now
	if !l.isOpen || now-l.progressAt <= lanePatience {
		return nil
	}
	l.progressAt = now
	for _, s := range l.streams {
		s.sent = s.acked
	}
	return l.pump()
}

// pump sends what the window has room for, the oldest stream first.
func (l *lane) pump() []Effect {
	if !l.isOpen {
		return nil
	}
	room := laneWindow
	for _, s := range l.streams {
		room -= int(s.sent - s.acked)
	}
	var out []Effect
	for _, s := range l.streams {
		for ; room > 0 && s.sent < s.last && !s.isStuck; room-- {
			s.sent++
			out = append(out, SendReport{Stream: s.id, Seq: s.sent})
		}
	}
	return out
}
