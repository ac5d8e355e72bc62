package shadowsocks

import (
	"slices"
	"sync"
	"time"

	"stile/dataplane"
)

// Bounds of what is remembered of client addresses, in memory only: how many, for how long, and how many keys of each.
const (
	maxSources  = 1 << 16
	sourceTTL   = time.Hour
	sourceHints = 4
)

// recent holds values of addresses in two generations; one that was not touched during a whole generation is gone.
type recent[V any] struct {
	now        func() time.Time
	young, old map[dataplane.Origin]*V
	turnedAt   time.Time
}

func newRecent[V any](now func() time.Time) recent[V] {
	return recent[V]{now: now, young: make(map[dataplane.Origin]*V), turnedAt: now()}
}

// find returns the value of an address, or nil.
func (r *recent[V]) find(id dataplane.Origin) *V {
	if v := r.young[id]; v != nil {
		return v
	}
	return r.old[id]
}

// touch returns the value of an address, in the young generation.
func (r *recent[V]) touch(id dataplane.Origin) *V {
	if now := r.now(); len(r.young) >= maxSources/2 || now.Sub(r.turnedAt) > sourceTTL/2 {
		r.young, r.old, r.turnedAt = make(map[dataplane.Origin]*V), r.young, now
	}
	v := r.young[id]
	if v == nil {
		if v = r.old[id]; v == nil {
			v = new(V)
		}
		r.young[id] = v
		delete(r.old, id)
	}
	return v
}

// sources remembers which keys an address used last. Only what was authentic gets in.
type sources struct {
	mu sync.Mutex
	of recent[hints]
}

// hints are the keys of an address, the most recent first.
type hints struct {
	keys  [sourceHints]int64
	known int
}

func newSources(now func() time.Time) *sources { return &sources{of: newRecent[hints](now)} }

// remember makes a key the first hint of an address.
func (s *sources) remember(id dataplane.Origin, key int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.of.touch(id)
	at := slices.Index(h.keys[:h.known], key)
	if at < 0 {
		h.known = min(h.known+1, sourceHints)
		at = h.known - 1
	}
	copy(h.keys[1:at+1], h.keys[:at])
	h.keys[0] = key
}

// hints returns the keys that an address used last.
func (s *sources) hints(id dataplane.Origin) (keys [sourceHints]int64, known int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.of.find(id); h != nil {
		return h.keys, h.known
	}
	return keys, 0
}

// Allowances of failed trials. One costs up to maxTrial keys times two methods, about 0.07 ms.
const (
	sourceTrials          = 64
	sourceTrialsPerSecond = 1
	totalTrials           = 2000
	totalTrialsPerSecond  = 2000
)

// trials is what an address, and all together, may still cause in vain.
type trials struct {
	mu    sync.Mutex
	of    recent[allowance]
	total allowance
}

func newTrials(now func() time.Time) *trials { return &trials{of: newRecent[allowance](now)} }

// spend takes cost from the allowances; false means that one of them has none left. A refund is a negative cost.
func (t *trials) spend(id dataplane.Origin, cost float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.of.now()
	return t.of.touch(id).take(now, cost, sourceTrials, sourceTrialsPerSecond) &&
		t.total.take(now, cost, totalTrials, totalTrialsPerSecond)
}

// allowance is a token bucket that starts full.
type allowance struct {
	spent float64
	at    time.Time
}

func (a *allowance) take(now time.Time, cost, size, perSecond float64) bool {
	if elapsed := now.Sub(a.at); elapsed > 0 {
		a.spent = max(0, a.spent-elapsed.Seconds()*perSecond)
		a.at = now
	}
	if a.spent+cost > size {
		return false
	}
	a.spent = max(0, a.spent+cost)
	return true
}
