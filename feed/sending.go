package feed

import (
	"fmt"

	"stile/wire"
)

// movedAway closes the stream when the database is no longer the one that the stream began with.
func (s *Server) movedAway(p Position) []Effect {
	if p.Epoch == s.epoch {
		return nil
	}
	return s.close(fmt.Sprintf("the database went from epoch %d to %d", s.epoch, p.Epoch))
}

func (s *Server) sendChanges(e ChangesRead) []Effect {
	if !s.isReading || s.phase != serverLive {
		return nil
	}
	s.isReading = false
	if out := s.movedAway(e.Position); out != nil {
		return out
	}
	s.floor = e.Position.Floor
	if e.Position.Rev < s.sentRev || e.Position.Floor > s.sentRev || len(e.Rows) > wire.MaxItems ||
		e.IsPartial && len(e.Rows) == 0 {
		return s.resync()
	}
	if len(e.Rows) == 0 && e.Position.Rev == s.sentRev {
		return s.pump()
	}
	d := &wire.Delta{FromRev: s.sentRev, ToRev: e.Position.Rev, IsComplete: !e.IsPartial}
	for _, row := range e.Rows {
		switch {
		case row.IsRevoked:
			delete(s.quarantine, row.Key.ID)
			d.Dels = append(d.Dels, wire.Removal{KeyID: row.Key.ID, Reason: wire.ReasonRevoked})
		case s.quarantine.holds(row.Key):
			d.Dels = append(d.Dels, wire.Removal{KeyID: row.Key.ID, Reason: wire.ReasonQuarantined})
		default:
			delete(s.quarantine, row.Key.ID)
			d.Puts = append(d.Puts, row.Key)
		}
	}
	if e.IsPartial {
		d.ToRev = e.Rows[len(e.Rows)-1].Rev
		s.isDirty = true
	} else {
		d.Count, d.Digest = s.quarantine.expected(e.Position)
	}
	s.sentRev, s.isInFlight = d.ToRev, true
	s.isComplete, s.digest = d.IsComplete, d.Digest
	return []Effect{Send{d}}
}

// resync is the one way out when rows are not enough.
func (s *Server) resync() []Effect {
	s.needsSnapshot = true
	return s.pump()
}

func (s *Server) sendSnapshot(e SnapshotRead) []Effect {
	if !s.isReading || s.phase != serverLive {
		return nil
	}
	s.isReading = false
	if out := s.movedAway(e.Position); out != nil {
		return out
	}
	s.quarantine.keep(e.Keys)
	var out []Effect
	// The set itself is the truth: a wrong digest beside it must not keep nodes from getting it.
	begin := &wire.SnapshotBegin{Epoch: s.epoch, Rev: e.Position.Rev}
	var chunks []Effect
	chunk := new(wire.SnapshotChunk)
	add := func() {
		if len(chunk.Dels)+len(chunk.Puts) >= changeLimit {
			chunks, chunk = append(chunks, Send{chunk}), new(wire.SnapshotChunk)
		}
	}
	for _, id := range e.Revoked {
		chunk.Dels = append(chunk.Dels, wire.Removal{KeyID: id, Reason: wire.ReasonRevoked})
		add()
	}
	for _, k := range e.Keys {
		if s.quarantine.holds(k) {
			continue
		}
		begin.Count++
		begin.Digest.Add(k.Sum())
		chunk.Puts = append(chunk.Puts, k)
		add()
	}
	if count, digest := s.quarantine.expected(e.Position); count != begin.Count || digest != begin.Digest {
		out = append(out, Alarm{fmt.Sprintf("the digest of node %d's set in the database is wrong", s.nodeID)})
	}
	s.floor, s.sentRev, s.isInFlight = e.Position.Floor, begin.Rev, true
	s.isComplete, s.digest = true, begin.Digest
	out = append(append(out, Send{begin}), chunks...)
	return append(out, Send{chunk}, Send{&wire.SnapshotEnd{Rev: begin.Rev, Items: begin.Count + int64(len(e.Revoked))}})
}
