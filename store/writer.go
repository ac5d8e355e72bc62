package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"stile/vpn"
)

const (
	// maxQueue bounds the tasks that are queued; further callers wait for a place, as long as their contexts last.
	maxQueue = 1024
	// maxGroup bounds what shares one commit.
	maxGroup = 256
	// patience is the fraction of a group's time that is waited for more callers.
	patience = 4
	// maxTries bounds how often a transaction is run that the engine undid because of another.
	maxTries = 5
	// busyWait is how long the lock of another process is waited for.
	busyWait = 15 * time.Second
)

// writer is the one goroutine of the process that changes the database: it gathers what its callers want into one
// transaction, commits, and answers everyone. Callers that come meanwhile form the next group.
type writer struct {
	ctx   context.Context //nolint:containedctx // the values of the store's own context; never ends
	store *Store
	db    *sql.DB
	log   *slog.Logger
	queue chan *task
	stop  chan struct{} // closed: take nothing more
	ended chan struct{} // closed: everyone is answered
	once  sync.Once
	watch *watch
	// callers is how many wait for their outcomes.
	callers atomic.Int64

	// Below: the goroutine's own.
	water      *highWater // nil where there is none
	changes    int64      // rows that the connection had changed when the mark was last looked at
	conn       *sql.Conn  // nil until needed, and after it broke
	statements map[string]*sql.Stmt
	// preparations are the statements that go through the dialect's pipeline.
	preparations preparations
	keyIDs       block
	texts        map[sized]string
	expected     int           // callers that may come: the larger of the last two groups
	last         int           // the size of the last group
	took         time.Duration // how long the last group took
}

// block is a range of ids that this process owns: next up to, not including, end.
type block struct{ next, end int64 }

// task is what one caller wants.
type task struct {
	name  string
	run   func(*tx) error // may run more than once
	issue *issue          // instead of run
	state atomic.Int32    // waiting until the writer begins it or its caller gives up, whoever is first
	done  chan error

	refused error // the outcome of a run that was undone within a committed transaction
}

// The states of a task.
const (
	taskWaits int32 = iota
	taskBegun
	taskGivenUp
)

func newWriter(ctx context.Context, s *Store, db *sql.DB, water *highWater, log *slog.Logger) *writer {
	w := &writer{
		ctx: ctx, store: s, db: db, water: water, log: log,
		queue: make(chan *task, maxQueue), stop: make(chan struct{}), ended: make(chan struct{}),
		texts: map[sized]string{},
	}
	w.watch = newWatch(w.queue, s.dialect.hasPeers)
	go w.loop() //nolint:contextcheck // it outlives the call: w.ctx
	return w
}

// close ends the goroutine after the group it is at.
func (w *writer) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.ended
}

// write runs f in a transaction and returns when it is committed. f is run again from its start when the engine undid
// its group, so it sets what it returns through captured variables anew each time.
func (s *Store) write(ctx context.Context, name string, f func(*tx) error) error {
	return s.writer.do(ctx, &task{name: name, run: f, done: make(chan error, 1)})
}

// do hands a task to the writer and waits for its outcome. A context that ends keeps a task from beginning; once begun,
// its outcome is waited for.
func (w *writer) do(ctx context.Context, t *task) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store: %s: %w", t.name, err)
	}
	select {
	case <-w.stop:
		return fmt.Errorf("store: %s: %w", t.name, ErrClosed)
	default:
	}
	if err := w.enter(); err != nil {
		return fmt.Errorf("store: %s: %w", t.name, err)
	}
	defer w.callers.Add(-1)
	select {
	case w.queue <- t:
	case <-ctx.Done():
		return fmt.Errorf("store: %s: waiting to write: %w", t.name, ctx.Err())
	case <-w.ended:
		return fmt.Errorf("store: %s: %w", t.name, ErrClosed)
	}
	err := w.wait(ctx, t)
	if p, ok := errors.AsType[*panicked](err); ok {
		panic(p)
	}
	switch {
	case err == nil, isRefusal(err):
		return err
	case w.isUnavailable(err):
		return fmt.Errorf("store: %s: %w: %w", t.name, vpn.ErrUnavailable, err)
	default:
		return fmt.Errorf("store: %s: %w", t.name, err)
	}
}

// enter lets so many callers wait at once.
func (w *writer) enter() error {
	if w.callers.Add(1) > maxWaiting {
		w.callers.Add(-1)
		return errCrowd
	}
	return nil
}

// isUnavailable reports a failure of the database that surely changed nothing.
func (w *writer) isUnavailable(err error) bool {
	if w.store.dialect.isFull(err) {
		return true
	}
	return isAway(err) && !isUnknown(err)
}

// wait returns the outcome of a queued task.
func (w *writer) wait(ctx context.Context, t *task) error {
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		if t.state.CompareAndSwap(taskWaits, taskGivenUp) {
			return fmt.Errorf("waiting to write: %w", ctx.Err())
		}
	case <-w.ended:
	}
	select {
	case err := <-t.done:
		return err
	case <-w.ended:
	}
	select {
	case err := <-t.done: // answered before the end
		return err
	default:
		return ErrClosed
	}
}

// isRefusal reports an answer of the domain, which undoes its own task and no other.
func isRefusal(err error) bool {
	return errors.Is(err, vpn.ErrNotFound) || errors.Is(err, vpn.ErrTaken) || errors.Is(err, vpn.ErrDeviceLimit) ||
		errors.Is(err, vpn.ErrTokenUsed) || errors.Is(err, vpn.ErrTokenExpired) || errors.Is(err, vpn.ErrLimit) ||
		errors.Is(err, vpn.ErrLastOwner) || errors.Is(err, vpn.ErrCodeTaken) || errors.Is(err, vpn.ErrJobOver) || vpn.CodeOf(err) != ""
}

// loop serves groups until it is told to stop.
func (w *writer) loop() {
	defer close(w.ended)
	defer w.disconnect()
	group := make([]*task, 0, maxGroup)
	for {
		select {
		case <-w.stop:
			return
		case first := <-w.queue:
			group = w.gather(group[:0], first)
			w.watch.serve(group)
			began := time.Now()
			for rest := group; len(rest) > 0; {
				n := w.unit(rest)
				w.serve(rest[:n])
				rest = rest[n:]
			}
			w.took = time.Since(began)
			w.watch.serve(nil)
			w.store.observe(len(group), w.took)
			w.expected, w.last = max(w.last, len(group)), len(group)
		}
	}
}

// enough is how many callers make a group: as many as came before; half of them where the engine works in a process of its own, so
// that the rest is answered meanwhile and asks again.
func (w *writer) enough() int {
	if w.store.dialect.hasPeers {
		return (w.expected + 1) / 2
	}
	return w.expected
}

// gather adds what is queued already. Callers who were just answered are about to come back: for enough of them it waits a
// fraction of what the last group took.
func (w *writer) gather(group []*task, first *task) []*task {
	var late <-chan time.Time
	for next := first; ; {
		group = append(group, next)
		if len(group) == maxGroup {
			return group
		}
		select {
		case next = <-w.queue:
			continue
		default:
		}
		if len(group) >= w.enough() {
			return group
		}
		if late == nil {
			late = time.After(min(w.took/patience, time.Millisecond))
		}
		select {
		case next = <-w.queue:
		case <-late:
			return group
		}
	}
}

// unit is how many of the first tasks share a transaction: all, where nobody else writes. Where there are peers, a
// transaction holds its rows in one order, so that processes never wait for each other in a circle; two tasks in one
// would break it. There, only issues are merged.
func (w *writer) unit(tasks []*task) int {
	switch {
	case !w.store.dialect.hasPeers:
		return len(tasks)
	case tasks[0].issue != nil:
		return judgedTogether(tasks)
	default:
		return 1
	}
}

// serve runs a group in one transaction and answers everyone. When that fails before the commit, each task gets a
// transaction of its own, so that one cannot spoil the others.
func (w *writer) serve(group []*task) {
	err := w.transact(group)
	switch {
	case err == nil:
		for _, t := range group {
			t.done <- t.outcome()
		}
	case len(group) > 1 && w.mayRepeat(err):
		w.log.Warn("group of writes undone, running them one by one", "writes", len(group), "error", err)
		for _, t := range group {
			t.done <- w.serveAlone(t)
		}
	case len(group) == 1 && w.isUndone(err):
		group[0].done <- w.serveAlone(group[0])
	default:
		for _, t := range group {
			t.done <- err
		}
	}
}

// serveAlone runs one task in its own transaction.
func (w *writer) serveAlone(t *task) (err error) {
	for range maxTries {
		err = w.transact([]*task{t})
		if !w.isUndone(err) {
			break
		}
	}
	if err == nil {
		return t.outcome()
	}
	return err
}
