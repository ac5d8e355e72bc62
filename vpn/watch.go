package vpn

import (
	"sync"
	"sync/atomic"
)

// watchers are told of changes of users that this process makes.
type watchers struct {
	// count is how many there are, so that a change that nobody watches costs one read.
	count atomic.Int64
	mu    sync.Mutex
	of    map[int64]map[chan struct{}]struct{} // by the user's id
}

// Watch returns a channel that gets a value after changes of a user's state that this process has made: of the account, its
// sessions, tokens, devices or subscription. Several changes may be one value. What other replicas change is not told: who
// must know asks again within a second. stop ends it.
func (s *Service) Watch(userID int64) (changed <-chan struct{}, stop func()) {
	w, c := &s.actors.epochs.watchers, make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[int64]map[chan struct{}]struct{})
	}
	if w.of[userID] == nil {
		w.of[userID] = make(map[chan struct{}]struct{})
	}
	w.of[userID][c] = struct{}{}
	w.count.Add(1)
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, isThere := w.of[userID][c]; !isThere {
			return
		}
		w.count.Add(-1)
		delete(w.of[userID], c)
		if len(w.of[userID]) == 0 {
			delete(w.of, userID)
		}
	}
}

// tell never blocks.
func (w *watchers) tell(userID int64) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.of[userID] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
