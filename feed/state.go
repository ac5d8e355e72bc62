package feed

import (
	"fmt"
	"maps"

	"stile/wire"
)

// State is what a node keeps on disk of its set of keys.
type State struct {
	Epoch int64 // 0: no set was ever received
	Rev   int64
	// Keys is the set as the control plane has it, suspended keys among them.
	Keys map[int64]wire.Key
	// Revoked holds the ids of revoked keys with the revision that told it. None of them is ever valid again, whatever
	// Keys says: a database that was restored may still hold one. Ids up to Floor are forgotten.
	Revoked map[int64]int64
	Floor   int64
	Digest  wire.Digest
}

// NewState returns the state of a node that never received a set.
func NewState() *State {
	return &State{Keys: make(map[int64]wire.Key), Revoked: make(map[int64]int64)}
}

// Valid returns the keys that may be used, as far as their deadlines allow.
func (s *State) Valid() []wire.Key {
	valid := make([]wire.Key, 0, len(s.Keys))
	for id, k := range s.Keys {
		if _, ok := s.Revoked[id]; !ok {
			valid = append(valid, k)
		}
	}
	return valid
}

// Follow applies a change that was made durable before, as when a state is read back from disk. It refuses one that
// does not lead on from where the state stands.
func (s *State) Follow(d *wire.Delta) error {
	if d.FromRev != s.Rev {
		return fmt.Errorf("feed: a change from revision %d does not follow %d", d.FromRev, s.Rev)
	}
	count, digest := s.preview(d)
	if d.IsComplete && (count != d.Count || digest != d.Digest) {
		return fmt.Errorf("feed: the change to revision %d leads to another set", d.ToRev)
	}
	s.apply(d, digest)
	return nil
}

// preview returns the count and digest that a change would lead to.
func (s *State) preview(d *wire.Delta) (int64, wire.Digest) {
	count, digest := int64(len(s.Keys)), s.Digest
	changed := make(map[int64]*wire.Key, len(d.Dels)+len(d.Puts))
	set := func(id int64, next *wire.Key) {
		old, touched := changed[id]
		if !touched {
			if k, ok := s.Keys[id]; ok {
				old = &k
			}
		}
		if old != nil {
			digest.Sub(old.Sum())
			count--
		}
		if next != nil {
			digest.Add(next.Sum())
			count++
		}
		changed[id] = next
	}
	for _, del := range d.Dels {
		set(del.KeyID, nil)
	}
	for i := range d.Puts {
		set(d.Puts[i].ID, &d.Puts[i])
	}
	return count, digest
}

func (s *State) apply(d *wire.Delta, digest wire.Digest) {
	for _, del := range d.Dels {
		delete(s.Keys, del.KeyID)
		if del.Reason == wire.ReasonRevoked {
			s.Revoked[del.KeyID] = d.ToRev
		}
	}
	for _, k := range d.Puts {
		s.Keys[k.ID] = k
	}
	s.Rev, s.Digest = d.ToRev, digest
}

// forget drops the revoked ids that no database can bring back any more.
func (s *State) forget(floor int64) {
	if floor > s.Floor {
		s.Floor = floor
		maps.DeleteFunc(s.Revoked, func(id, rev int64) bool {
			_, stillThere := s.Keys[id]
			return rev <= floor && !stillThere
		})
	}
}

// staging is a set on its way.
type staging struct {
	parts  *wire.Parts // that are replaced; nil: all
	count  int64
	digest wire.Digest // of the whole set
	next   *State
	items  int64
}

func newStaging(begin *wire.SnapshotBegin, from *State) *staging {
	return &staging{count: begin.Count, digest: begin.Digest, next: from.successor(begin.Epoch, begin.Rev)}
}

// newPatch begins with what stays.
func newPatch(begin *wire.PatchBegin, from *State) *staging {
	g := &staging{parts: &begin.Parts, count: begin.Count, digest: begin.Digest, next: from.successor(begin.Epoch, begin.Rev)}
	for id, k := range from.Keys {
		if !begin.Parts.Has(id) {
			g.next.Keys[id] = k
			g.next.Digest.Add(k.Sum())
		}
	}
	return g
}

// successor returns a state without keys that knows what s knows of revocations. Revisions of another epoch mean
// nothing in this one: its tombstones count as told by the new revision.
func (s *State) successor(epoch, rev int64) *State {
	next := NewState()
	next.Epoch, next.Rev = epoch, rev
	if epoch == s.Epoch {
		next.Floor, next.Revoked = s.Floor, maps.Clone(s.Revoked)
		return next
	}
	for id := range s.Revoked {
		next.Revoked[id] = rev
	}
	return next
}

// add takes a part of the set; it reports whether the set can still be the one announced.
func (g *staging) add(c *wire.SnapshotChunk) bool {
	g.items += int64(len(c.Dels) + len(c.Puts))
	for _, del := range c.Dels {
		if del.Reason == wire.ReasonRevoked {
			g.next.Revoked[del.KeyID] = g.next.Rev
		}
	}
	for _, k := range c.Puts {
		if _, twice := g.next.Keys[k.ID]; twice || g.parts != nil && !g.parts.Has(k.ID) {
			return false
		}
		g.next.Keys[k.ID] = k
		g.next.Digest.Add(k.Sum())
	}
	return int64(len(g.next.Keys)) <= g.count
}

// isWhole reports whether the set is the one announced.
func (g *staging) isWhole(items int64) bool {
	return g.items == items && int64(len(g.next.Keys)) == g.count && g.next.Digest == g.digest
}

// diff returns the keys of next that from has not, or has otherwise, and the ids of usable keys of from that next has not.
func diff(from, next *State) (put []wire.Key, cut []int64) {
	for id, k := range next.Keys {
		if old, ok := from.Keys[id]; !ok || old != k {
			put = append(put, k)
		}
	}
	for id := range from.Keys {
		_, stays := next.Keys[id]
		_, revoked := next.Revoked[id]
		if !stays || revoked {
			cut = append(cut, id)
		}
	}
	return put, cut
}
