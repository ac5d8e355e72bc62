package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"stile/vpn"
)

// lookup is a query for the rows under given keys, which requests ask all the time: head, a condition for each key with or
// between them, tail. The first columns of a row are the key that it is under; each "?" of a condition is one of them. A key
// is made of int64 and []byte.
type lookup struct{ head, key, or, tail string }

// text returns the query for a number of keys.
func (l *lookup) text(d *dialect, keys int) string {
	var s strings.Builder
	s.WriteString(l.head)
	n := 0
	for k := range keys {
		if k > 0 {
			s.WriteString(l.or)
		}
		n = d.writeParameters(&s, l.key, n)
	}
	s.WriteString(l.tail)
	return s.String()
}

// question is a lookup that one caller asks.
type question struct {
	lookup *lookup
	key    []any
	each   func(scanner) error // called for every row; the group's leader calls it, by give
	err    error
	// panicked is what each panicked with. It goes on in the goroutine of who asked: the group and the engine are others', too.
	panicked any
	// turn gets true when the question is answered, and false when its caller is to lead the next group, with engine.
	turn   chan bool
	engine lookupEngine
}

var errPanicked = errors.New("look up: a panic")

// give hands a row over.
func (q *question) give(row scanner) (err error) {
	defer func() {
		if q.panicked = recover(); q.panicked != nil {
			err = errPanicked
		}
	}()
	return q.each(row)
}

// lookupEngine answers the questions of one group, which have all been asked when it begins: each gets its err. away says that
// whoever waits for the next group would wait in vain.
type lookupEngine interface {
	answer(group []*question) (away error)
	close() error
}

// maxLookups bounds the questions of one group.
const maxLookups = 64

// lookups answers questions in groups. Of those who ask, one at a time leads: it lets the others come that are about to ask
// too, takes all that wait, and answers everyone. A group costs little more than one question: on SQLite a lock of the file,
// on PostgreSQL a round trip and the start of a query.
type lookups struct {
	mu      sync.Mutex
	waiting []*question
	free    []lookupEngine
	engines int
	// isGathering tells that a leader is about to take what waits.
	isGathering bool
	isClosed    bool
	freed       sync.Cond
	questions   sync.Pool // of those that are answered, with their channels
}

func newLookups(engines ...lookupEngine) *lookups {
	l := &lookups{free: engines, engines: len(engines)}
	l.freed.L = &l.mu
	l.questions.New = func() any { return &question{turn: make(chan bool, 1)} }
	return l
}

// ask answers a question. The caller's cancellation does not reach it: others wait for the same answer.
func (l *lookups) ask(q *question) error {
	l.mu.Lock()
	if l.isClosed {
		l.mu.Unlock()
		return ErrClosed
	}
	if len(l.waiting) >= maxWaiting {
		l.mu.Unlock()
		return errCrowd
	}
	l.waiting = append(l.waiting, q)
	if l.isGathering || len(l.free) == 0 {
		l.mu.Unlock()
		if isAnswered := <-q.turn; isAnswered {
			return q.err
		}
	} else {
		l.isGathering = true
		q.engine, l.free = l.free[len(l.free)-1], l.free[:len(l.free)-1]
		l.mu.Unlock()
	}
	l.lead(q)
	return q.err
}

// lead answers the group that begins with the leader's own question, once nobody more joins it.
func (l *lookups) lead(own *question) {
	var group [maxLookups]*question
	for had := 0; ; {
		runtime.Gosched() // who is about to ask can still join
		l.mu.Lock()
		if len(l.waiting) == had || len(l.waiting) >= maxLookups {
			break
		}
		had = len(l.waiting)
		l.mu.Unlock()
	}
	n := copy(group[:], l.waiting)
	l.waiting = l.waiting[:copy(l.waiting, l.waiting[n:])]
	l.isGathering = false
	if len(l.free) > 0 {
		l.handOn()
	}
	l.mu.Unlock()
	engine := own.engine
	away := engine.answer(group[:n])
	var late []*question
	l.mu.Lock()
	if away != nil && !l.isGathering { // else the next leader's own question is among them
		late = append(late, l.waiting...)
		l.waiting = l.waiting[:0]
	}
	l.free = append(l.free, engine)
	l.handOn()
	l.freed.Broadcast()
	l.mu.Unlock()
	for _, q := range late {
		q.err = away
		q.turn <- true
	}
	for _, q := range group[:n] {
		if q != own {
			q.turn <- true
		}
	}
}

// handOn makes the first who waits the leader of the next group, unless there is one. An engine is free.
func (l *lookups) handOn() {
	if l.isGathering || len(l.waiting) == 0 {
		return
	}
	l.isGathering = true
	next := l.waiting[0]
	next.engine, l.free = l.free[len(l.free)-1], l.free[:len(l.free)-1]
	next.turn <- false
}

// close refuses further questions, lets those end that were asked, and closes the engines.
func (l *lookups) close() (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isClosed = true
	for len(l.free) < l.engines {
		l.freed.Wait()
	}
	for _, e := range l.free {
		if closeErr := e.close(); err == nil {
			err = closeErr
		}
	}
	l.free, l.engines = nil, 0
	return err
}

// look calls f for every row under a key.
func (s *Store) look(l *lookup, f func(scanner) error, key ...any) error {
	q, _ := s.lookups.questions.Get().(*question)
	q.lookup, q.key, q.each = l, key, f
	err, panicked := s.lookups.ask(q), q.panicked
	*q = question{turn: q.turn}
	s.lookups.questions.Put(q)
	if panicked != nil {
		panic(panicked)
	}
	return err
}

// lookRow is look for one row; vpn.ErrNotFound when there is none.
func (s *Store) lookRow(l *lookup, f func(scanner) error, key ...any) error {
	found := false
	err := s.look(l, func(row scanner) error {
		found = true
		return f(row)
	}, key...)
	if err == nil && !found {
		return vpn.ErrNotFound
	}
	return err
}

// columns are the values of one row as an engine has them. NULL is 0 and empty.
type columns interface {
	number(i int) int64
	// bytes is good until the next row.
	bytes(i int) []byte
}

// assign copies the values of a row.
func assign(row columns, dest []any) error {
	for i, to := range dest {
		switch to := to.(type) {
		case *int64:
			*to = row.number(i)
		case *int:
			*to = int(row.number(i))
		case *bool:
			*to = row.number(i) != 0
		case *string:
			*to = string(row.bytes(i))
		case *[]byte:
			*to = append([]byte(nil), row.bytes(i)...)
		case sum32:
			if err := to.Scan(row.bytes(i)); err != nil {
				return err
			}
		case instant:
			*to.to = fromMillis(row.number(i))
		case *vpn.UserStatus:
			*to = vpn.UserStatus(row.bytes(i))
		case *vpn.Role:
			*to = vpn.Role(row.bytes(i))
		case *vpn.Platform:
			*to = vpn.Platform(row.bytes(i))
		case nil: // not wanted
		default:
			return fmt.Errorf("look up: column %d: nothing is read into %T", i, to)
		}
	}
	return nil
}

// openLookups opens the engines.
func (s *Store) openLookups(ctx context.Context) error {
	engines := make([]lookupEngine, s.dialect.lookups)
	for i := range engines {
		var err error
		if engines[i], err = s.dialect.openLookup(context.WithoutCancel(ctx), s.dialect, s.dsn, s.away); err != nil {
			for _, e := range engines[:i] {
				_ = e.close()
			}
			return err
		}
	}
	s.lookups = newLookups(engines...)
	return nil
}
