package hub

import (
	"net"
	"sync"
)

// line is connections that wait. Addresses take turns, so that whoever sends many waits for longer and nobody else does.
type line struct {
	mu   sync.Mutex
	of   map[any][]net.Conn
	turn []any // the addresses in it
}

func (l *line) add(from any, conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.of[from]
	if len(waiting) == 0 {
		l.turn = append(l.turn, from)
	}
	l.of[from] = append(waiting, conn)
}

// next takes the first connection of the first address that may go on, or nil.
func (l *line) next(may func(from any) bool) (net.Conn, any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range l.turn {
		from := l.turn[0]
		l.turn = append(l.turn[1:], from)
		if !may(from) {
			continue
		}
		waiting := l.of[from]
		l.of[from] = waiting[1:]
		if len(waiting) == 1 {
			delete(l.of, from)
			l.turn = l.turn[:len(l.turn)-1]
		}
		return waiting[0], from
	}
	return nil, nil
}

// tally counts those who are in, in total and by whose they are.
type tally struct {
	most, each int
	mu         sync.Mutex
	total      int
	by         map[any]int
}

func newTally(most, each int) *tally { return &tally{most: most, each: each, by: make(map[any]int)} }

// enter lets one in, unless that is one too many: nobody may have more than there is room left. So whoever comes alone gets
// half of all, and however many that few of them take, there is room for others.
func (t *tally) enter(by any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[by] >= min(t.each, t.most-t.total) {
		return false
	}
	t.by[by]++
	t.total++
	return true
}

func (t *tally) hasRoom() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total < t.most
}

// leave lets one out, and reports true.
func (t *tally) leave(by any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total--
	if t.by[by]--; t.by[by] == 0 {
		delete(t.by, by)
	}
	return true
}
