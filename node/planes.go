package node

import (
	"log/slog"
	"time"

	"stile/dataplane"
	"stile/wire"
)

// planes is the ledger with all data planes: a change reaches the ledger first, which ends sessions and refuses new
// ones, whatever a plane makes of it.
type planes struct {
	ledger *dataplane.Ledger
	list   []dataplane.Plane
	log    *slog.Logger
	// isStale: a plane failed to forget keys, so the whole set is due.
	isStale bool
}

// restore replaces the whole set and returns the keys that a plane refused.
func (p *planes) restore(keys []wire.Key) (refused []int64) {
	put := planeKeys(keys)
	p.ledger.Apply(put, nil, true)
	p.isStale = false
	for _, plane := range p.list {
		if plane.Apply(put, nil, true) == nil {
			continue
		}
		if err := plane.Apply(nil, nil, true); err != nil {
			p.log.Error("a data plane did not take the set of keys", "protocol", plane.Protocol(), "error", err)
			p.isStale = true
			continue
		}
		refused = append(refused, p.putEach(plane, put)...)
	}
	return refused
}

// cut ends the sessions of keys and refuses new ones.
func (p *planes) cut(ids []int64) {
	p.ledger.Apply(nil, ids, false)
	for _, plane := range p.list {
		if err := plane.Apply(nil, ids, false); err != nil {
			p.log.Error("a data plane did not forget keys", "protocol", plane.Protocol(), "error", err)
			p.isStale = true
		}
	}
}

// put makes keys valid and returns those that a plane refused.
func (p *planes) put(keys []wire.Key) (refused []int64) {
	put := planeKeys(keys)
	p.ledger.Apply(put, nil, false)
	for _, plane := range p.list {
		if plane.Apply(put, nil, false) == nil {
			continue
		}
		refused = append(refused, p.putEach(plane, put)...)
	}
	return refused
}

// putEach makes keys valid one by one: one bad key must not keep the others out.
func (p *planes) putEach(plane dataplane.Plane, put []dataplane.Key) (refused []int64) {
	for i := range put {
		if err := plane.Apply(put[i:i+1], nil, false); err != nil {
			p.log.Error("a data plane refuses a key", "protocol", plane.Protocol(), "key", put[i].ID, "error", err)
			refused = append(refused, put[i].ID)
		}
	}
	return refused
}

func planeKeys(keys []wire.Key) []dataplane.Key {
	out := make([]dataplane.Key, len(keys))
	for i, k := range keys {
		out[i] = dataplane.Key{ID: k.ID, Seed: k.Seed, Limits: dataplane.Limits{UpBytesPerSecond: k.UpBytesPerSecond,
			DownBytesPerSecond: k.DownBytesPerSecond, MaxSessions: int(k.MaxSessions)}}
		if k.NotAfter != 0 {
			out[i].NotAfter = time.UnixMilli(k.NotAfter)
		}
	}
	return out
}
