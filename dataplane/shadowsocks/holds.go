package shadowsocks

import "sync"

// holds bounds how many connections are open in one state, in total and per source address.
type holds struct {
	total, perSource int

	mu    sync.Mutex
	open  int
	bySrc map[sourceID]int
}

func newHolds(total, perSource int) *holds {
	return &holds{total: total, perSource: perSource, bySrc: make(map[sourceID]int)}
}

// enter reports whether there was room; if so, leave must follow.
func (h *holds) enter(id sourceID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open >= h.total || h.bySrc[id] >= h.perSource {
		return false
	}
	h.open++
	h.bySrc[id]++
	return true
}

func (h *holds) leave(id sourceID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	if h.bySrc[id]--; h.bySrc[id] == 0 {
		delete(h.bySrc, id)
	}
}
