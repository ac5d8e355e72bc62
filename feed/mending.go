package feed

import (
	"maps"
	"slices"

	"stile/wire"
)

// giveBack answers with revoked ids above after, so that a database that was restored learns of them again.
func (n *Node) giveBack(after int64) []Effect {
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(n.state.Revoked)), func(id int64) bool { return id <= after })
	count := min(len(ids), wire.MaxItems)
	return []Effect{Send{&wire.Revoked{Session: n.session, After: after, KeyIDs: ids[:count], IsLast: count == len(ids)}}}
}

// show answers with what the buckets hold. While a change is at the disk it says nothing: it is asked again.
func (n *Node) show() []Effect {
	if n.pending != nil {
		return nil
	}
	var buckets wire.BucketDigests
	for _, k := range n.state.Keys {
		buckets.Add(k)
	}
	return []Effect{Send{&wire.BucketPrints{Session: n.session, Prints: *buckets.Prints()}}}
}

// knowsRevoked reports whether a key is one that never becomes valid again.
func (n *Node) knowsRevoked(k wire.Key) bool {
	_, revoked := n.state.Revoked[k.ID]
	return revoked
}

// holdsRevoked reports whether the set has such a key: the database was restored.
func (n *Node) holdsRevoked() bool {
	for id := range n.refused {
		if n.knowsRevoked(wire.Key{ID: id}) {
			return true
		}
	}
	return false
}

// refuse notes which keys of the whole state are not honoured: those that the data planes refused, and those that were
// revoked before the database was restored.
func (n *Node) refuse(byPlanes []int64) {
	n.refused = make(map[int64]struct{})
	for id := range n.state.Revoked {
		if _, held := n.state.Keys[id]; held {
			n.refused[id] = struct{}{}
		}
	}
	for _, id := range byPlanes {
		n.refused[id] = struct{}{}
	}
}

// stillRefused brings the refused keys in line with a change of the state, whose new keys the planes take unless they
// said otherwise.
func (n *Node) stillRefused(c *change) {
	for _, k := range c.put {
		delete(n.refused, k.ID)
		if _, revoked := n.state.Revoked[k.ID]; revoked {
			n.refused[k.ID] = struct{}{}
		}
	}
	for id := range n.refused {
		if _, held := n.state.Keys[id]; !held {
			delete(n.refused, id)
		}
	}
}

// refuses is what frames say of the refused keys.
func (n *Node) refuses() []int64 {
	if len(n.refused) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(n.refused))
	return ids[:min(len(ids), wire.MaxItems)]
}
