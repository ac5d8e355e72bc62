package feed

import (
	"maps"

	"stile/wire"
)

// Position is where a node's set stands in the database.
type Position struct {
	Epoch  int64
	Rev    int64
	Count  int64 // live keys, suspended ones among them
	Digest wire.Digest
	// Floor is the revision up to which tombstones are compacted: changes since an earlier one cannot be told.
	Floor int64
}

// Row is a key or a tombstone that changed at Rev.
type Row struct {
	Rev int64
	Key wire.Key
	// IsRevoked marks a tombstone; of Key only the id is set.
	IsRevoked bool
}

// Quarantine holds the records of keys that a node refused, by key id. It belongs to the node and outlives its streams:
// the digest which a node is asked to have leaves these records out.
type Quarantine map[int64]wire.Sum

// holds reports whether exactly this record was refused; a changed one deserves another try.
func (q Quarantine) holds(k wire.Key) bool {
	sum, ok := q[k.ID]
	return ok && sum == k.Sum()
}

// expected returns the count and digest that a node without the quarantined records has.
func (q Quarantine) expected(p Position) (int64, wire.Digest) {
	digest := p.Digest
	for _, sum := range q {
		digest.Sub(sum)
	}
	return p.Count - int64(len(q)), digest
}

// keep drops all records but those of the set.
func (q Quarantine) keep(set []wire.Key) {
	present := make(Quarantine)
	if len(q) > 0 {
		for _, k := range set {
			if q.holds(k) {
				present[k.ID] = q[k.ID]
			}
		}
	}
	maps.DeleteFunc(q, func(id int64, _ wire.Sum) bool { _, ok := present[id]; return !ok })
}
