package feed

import (
	"cmp"
	"maps"
	"slices"

	"stile/wire"
)

// simDB is the database of one node: rows, revisions, usage.
type simDB struct {
	epoch, rev, floor, nextID int64
	rows                      map[int64]Row
	cursors                   map[uint64]uint64
	usage                     map[int64]int64
}

func newSimDB() *simDB {
	return &simDB{epoch: 1, nextID: 1, rows: map[int64]Row{}, cursors: map[uint64]uint64{}, usage: map[int64]int64{}}
}

func (db *simDB) clone() *simDB {
	c := *db
	c.rows, c.cursors, c.usage = maps.Clone(db.rows), maps.Clone(db.cursors), maps.Clone(db.usage)
	return &c
}

func (db *simDB) put(k wire.Key) {
	db.rev++
	db.rows[k.ID] = Row{Rev: db.rev, Key: k}
}

func (db *simDB) revoke(id int64) {
	db.rev++
	db.rows[id] = Row{Rev: db.rev, Key: wire.Key{ID: id}, IsRevoked: true}
}

// raise begins an epoch: ids are handed out that none before can have had, and whoever compares revisions takes notice.
func (db *simDB) raise(above int64, bug string) {
	db.epoch = max(db.epoch, above) + 1
	db.rev++
	if bug != "key ids are handed out again" {
		db.nextID = max(db.nextID, db.epoch<<32)
	}
}

// entomb makes keys tombstones, those of them that live.
func (db *simDB) entomb(ids []int64) (count int) {
	for _, id := range ids {
		if r, ok := db.rows[id]; ok && !r.IsRevoked {
			db.revoke(id)
			count++
		}
	}
	return count
}

// compact forgets all tombstones up to a revision.
func (db *simDB) compact(floor int64) {
	db.floor = max(db.floor, floor)
	maps.DeleteFunc(db.rows, func(_ int64, r Row) bool { return r.IsRevoked && r.Rev <= db.floor })
}

func (db *simDB) live() []wire.Key {
	var keys []wire.Key
	for _, r := range db.rows {
		if !r.IsRevoked {
			keys = append(keys, r.Key)
		}
	}
	slices.SortFunc(keys, func(a, b wire.Key) int { return cmp.Compare(a.ID, b.ID) })
	return keys
}

func (db *simDB) revoked() []int64 {
	var ids []int64
	for id, r := range db.rows {
		if r.IsRevoked {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (db *simDB) position() Position {
	p := Position{Epoch: db.epoch, Rev: db.rev, Floor: db.floor}
	for _, k := range db.live() {
		p.Count++
		p.Digest.Add(k.Sum())
	}
	return p
}

func (db *simDB) changes(after int64, limit int) ChangesRead {
	var rows []Row
	for _, r := range db.rows {
		if r.Rev > after {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Rev, b.Rev) })
	partial := len(rows) > limit
	return ChangesRead{Position: db.position(), Rows: rows[:min(limit, len(rows))], IsPartial: partial}
}

// book applies a report iff it follows the cursor.
func (db *simDB) book(u *wire.Usage, bug string) uint64 {
	cursor := db.cursors[u.Stream]
	follows := u.Seq == cursor+1
	switch bug {
	case "duplicates are booked":
		follows = u.Seq <= cursor+1
	case "gaps are booked":
		follows = u.Seq > cursor
	}
	if follows {
		db.cursors[u.Stream] = u.Seq
		for _, e := range u.Entries {
			db.usage[e.KeyID] += e.Up + e.Down
		}
	}
	return db.cursors[u.Stream]
}

// simDisk is a node's disk.
type simDisk struct {
	state   *State
	streams []uint64
	reports map[uint64][]*wire.Usage
}

func (d *simDisk) clone() *simDisk {
	c := &simDisk{state: cloneState(d.state), streams: slices.Clone(d.streams), reports: map[uint64][]*wire.Usage{}}
	for id, reports := range d.reports {
		c.reports[id] = slices.Clone(reports)
	}
	return c
}

func cloneState(s *State) *State {
	c := *s
	c.Keys, c.Revoked = maps.Clone(s.Keys), maps.Clone(s.Revoked)
	return &c
}
