package feed

import (
	"fmt"

	"stile/wire"
)

// maxEpoch bounds the epoch that a node may claim, so that none drives the database's to where it cannot rise; maxLead bounds by
// how many it may be ahead of the database, so that none uses them up: more restores than there are in the life of a backup.
const (
	maxEpoch = 1 << 20
	maxLead  = 256
)

// farBehind is by how many revisions a node must be behind for the way back to cost what a whole set does.
const farBehind = 10 * changeLimit

// welcome decides how the node gets to where the database stands.
func (s *Server) welcome(p Position, cursors map[uint64]uint64) []Effect {
	if s.phase != serverPlaces {
		return nil
	}
	h := s.hello
	var out []Effect
	if isAhead := h.Epoch == p.Epoch && h.Rev > p.Rev; h.Epoch > p.Epoch || isAhead {
		why := fmt.Sprintf("node %d follows epoch %d at revision %d, the database is at epoch %d, revision %d: it is older than what the node has seen",
			s.nodeID, h.Epoch, h.Rev, p.Epoch, p.Rev)
		switch {
		case s.isRaised || h.Epoch > min(maxEpoch, p.Epoch+maxLead) || s.hasPeers && !isAhead:
			return append([]Effect{Alarm{why}}, s.close(why)...)
		case !s.hasPeers:
			told, wait := s.spend(&s.allowance.raises, raises, fmt.Sprintf("claims epoch %d, as after a restore of the database,", h.Epoch))
			if wait > 0 {
				return append(told, s.close(why)...)
			}
			s.isRaised = true
			return []Effect{Alarm{why}, RaiseEpoch{Above: h.Epoch}}
		}
		out = append(out, Alarm{why})
	}
	s.hello = nil
	mode := s.choose(h, p)
	s.phase, s.epoch, s.floor = serverLive, p.Epoch, p.Floor
	s.beatAt = s.now + Heartbeat
	w := &wire.Welcome{Session: s.session, Epoch: p.Epoch, Rev: p.Rev, Mode: mode, ServerTime: s.wall,
		HeartbeatSeconds: Heartbeat / 1000, Floor: p.Floor}
	for _, st := range h.Streams {
		w.Acked = append(w.Acked, wire.StreamSeq{Stream: st.Stream, Seq: cursors[st.Stream]})
	}
	out = append(out, Send{w}, Welcomed{mode})
	switch mode {
	case wire.ModeSnapshot, wire.ModeVerify:
		if h.Epoch == p.Epoch && h.Rev == p.Rev {
			out = append(out, s.alarmDigest(h.Rev))
		}
		s.repair = &repair{isWhole: mode == wire.ModeSnapshot}
		if h.Epoch == 0 { // it knows of nothing
			s.repair.step = repairReads
		}
		return append(out, s.pump()...)
	case wire.ModeResume, wire.ModeDelta:
	}
	s.sentRev, s.ackedRev = h.Rev, h.Rev
	if s.isComplete = mode == wire.ModeResume; s.isComplete {
		s.digest = h.Digest
	}
	s.isBack = p.Rev-h.Rev > farBehind
	if s.isDirty = s.isDirty || mode == wire.ModeDelta; mode == wire.ModeResume {
		out = append(out, Acked{Rev: h.Rev, Refused: h.Refused})
	}
	return append(out, s.pump()...)
}

func (s *Server) choose(h *wire.Hello, p Position) wire.Mode {
	count, digest := s.quarantine.expected(p)
	switch {
	case h.Epoch == p.Epoch && h.Rev == p.Rev && h.Digest == digest && h.Count == count:
		return wire.ModeResume
	case h.Epoch == p.Epoch && h.Rev < p.Rev && h.Rev >= p.Floor:
		return wire.ModeDelta
	case h.Epoch == 0 || h.Count == 0:
		return wire.ModeSnapshot
	}
	return wire.ModeVerify
}

func (s *Server) alarmDigest(rev int64) Effect {
	return Alarm{fmt.Sprintf("node %d has another set at revision %d", s.nodeID, rev)}
}
