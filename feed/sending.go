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
	if s.repair != nil { // found to be needed meanwhile
		return s.pump()
	}
	s.floor = e.Position.Floor
	if e.Position.Rev < s.sentRev {
		return s.close(fmt.Sprintf("the database went back from revision %d to %d", s.sentRev, e.Position.Rev))
	}
	if e.Position.Floor > s.sentRev || len(e.Rows) > wire.MaxItems ||
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
	s.repair = new(repair)
	return s.pump()
}

// sendSet sends the whole set, or what differs of it.
func (s *Server) sendSet(e SnapshotRead) []Effect {
	if !s.isReading || s.repair == nil || s.repair.step != repairReads {
		return nil
	}
	s.isReading = false
	if out := s.movedAway(e.Position); out != nil {
		return out
	}
	s.quarantine.keep(e.Keys)
	// The set itself is the truth: a wrong digest beside it must not keep nodes from getting it.
	var buckets wire.BucketDigests
	var count int64
	var digest wire.Digest
	for _, k := range e.Keys {
		if s.quarantine.holds(k) {
			continue
		}
		count++
		sum := k.Sum()
		digest.Add(sum)
		buckets[wire.Bucket(k.ID)].Add(sum)
	}
	var out []Effect
	if c, d := s.quarantine.expected(e.Position); c != count || d != digest {
		out = append(out, Alarm{fmt.Sprintf("the digest of node %d's set in the database is wrong", s.nodeID)})
	}
	s.floor, s.sentRev, s.isInFlight = e.Position.Floor, e.Position.Rev, true
	s.isComplete, s.digest = true, digest
	if s.repair.isWhole || s.repair.prints == nil {
		out = append(out, Send{&wire.SnapshotBegin{Epoch: s.epoch, Rev: s.sentRev, Count: count, Digest: digest}})
		return append(out, s.sendChunks(e, nil)...)
	}
	parts := wire.Differing(s.repair.prints, buckets.Prints())
	out = append(out, Send{&wire.PatchBegin{Epoch: s.epoch, Rev: s.sentRev, Parts: parts, Count: count, Digest: digest}})
	return append(out, s.sendChunks(e, &parts)...)
}

// sendChunks sends the keys of the parts, or all, and all tombstones: the node remembers them for a database that is
// restored later.
func (s *Server) sendChunks(e SnapshotRead, parts *wire.Parts) []Effect {
	var out []Effect
	var items int64
	chunk := new(wire.SnapshotChunk)
	add := func() {
		items++
		if len(chunk.Dels)+len(chunk.Puts) >= changeLimit {
			out, chunk = append(out, Send{chunk}), new(wire.SnapshotChunk)
		}
	}
	for _, id := range e.Revoked {
		chunk.Dels = append(chunk.Dels, wire.Removal{KeyID: id, Reason: wire.ReasonRevoked})
		add()
	}
	for _, k := range e.Keys {
		if !s.quarantine.holds(k) && (parts == nil || parts.Has(k.ID)) {
			chunk.Puts = append(chunk.Puts, k)
			add()
		}
	}
	return append(out, Send{chunk}, Send{&wire.SnapshotEnd{Rev: s.sentRev, Items: items}})
}
