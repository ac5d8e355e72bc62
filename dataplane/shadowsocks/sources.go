package shadowsocks

import (
	"slices"
	"sync"
	"time"

	"stile/dataplane"
)

// Bounds of what is remembered of client addresses: how many, for how long, and how many keys of each.
const (
	maxSources  = 1 << 16
	sourceTTL   = time.Hour
	sourceHints = 4
)

// sources remembers, in memory only, which keys an address used last and how many failed trials it may still cause.
// Entries live in two generations; one that was not touched during a whole generation is gone.
type sources struct {
	now func() time.Time

	mu         sync.Mutex
	young, old map[dataplane.Origin]*source
	turnedAt   time.Time
}

type source struct {
	keys   [sourceHints]int64 // most recent first
	known  int
	trials allowance
}

func newSources(now func() time.Time) *sources {
	return &sources{now: now, young: make(map[dataplane.Origin]*source), turnedAt: now()}
}

// remember makes a key the first hint of an address.
func (s *sources) remember(id dataplane.Origin, key int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(id)
	at := slices.Index(e.keys[:e.known], key)
	if at < 0 {
		e.known = min(e.known+1, sourceHints)
		at = e.known - 1
	}
	copy(e.keys[1:at+1], e.keys[:at])
	e.keys[0] = key
}

// hints returns the keys that an address used last.
func (s *sources) hints(id dataplane.Origin) (keys [sourceHints]int64, known int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.young[id]
	if e == nil {
		e = s.old[id]
	}
	if e == nil {
		return keys, 0
	}
	return e.keys, e.known
}

// spend takes cost from an address's allowance of failed trials; false means that it has none left.
func (s *sources) spend(id dataplane.Origin, cost float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entry(id).trials.take(s.now(), cost, sourceTrials, sourceTrialsPerSecond)
}

// entry returns the entry of an address, in the young generation; the caller holds the lock.
func (s *sources) entry(id dataplane.Origin) *source {
	if now := s.now(); len(s.young) >= maxSources/2 || now.Sub(s.turnedAt) > sourceTTL/2 {
		s.young, s.old, s.turnedAt = make(map[dataplane.Origin]*source), s.young, now
	}
	e := s.young[id]
	if e == nil {
		if e = s.old[id]; e == nil {
			e = new(source)
		}
		s.young[id] = e
		delete(s.old, id)
	}
	return e
}

// Allowances of failed trials. One costs up to maxTrial keys times two methods, about 0.07 ms.
const (
	sourceTrials          = 64
	sourceTrialsPerSecond = 1
	totalTrials           = 2000
	totalTrialsPerSecond  = 2000
)

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
	a.spent = max(0, a.spent+cost) // a refund is a negative cost
	return true
}
