package store

import (
	"database/sql"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"stile/vpn"
)

const (
	// behindWait is how long a transaction of a far engine may take before those who wait behind it are told that nobody knows when.
	behindWait = 5 * time.Second
	// silentWait is how long it may take before its connection is given up: of what has begun the outcome matters, and a slow
	// disk says it in the end.
	silentWait = 30 * time.Second
)

// errBehind is the answer to a write that was not begun.
var errBehind = fmt.Errorf("waiting to write: the database does not answer whom it serves: %w", vpn.ErrUnavailable)

// watch looks after the transaction that the writer is at on a server, with one timer for all of them. SQLite waits for its disk and for
// the locks of other processes, and has bounds of its own.
type watch struct {
	mu      sync.Mutex
	timer   *time.Timer
	began   time.Time    // of the transaction; zero between two
	group   []*task      // whose transactions follow each other
	queue   <-chan *task // who waits behind them
	line    net.Conn     // that of the writer's connection to a server
	isFar   bool
	behind  time.Duration // behindWait and silentWait
	silence time.Duration
}

func newWatch(queue <-chan *task, isFar bool) *watch {
	w := &watch{queue: queue, isFar: isFar, behind: behindWait, silence: silentWait}
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Stop()
	return w
}

// serve tells of the group whose transactions begin; nil: they have ended.
func (w *watch) serve(group []*task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.group = group
}

// begin tells that a transaction begins, and end that it has ended.
func (w *watch) begin() {
	if !w.isFar {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = time.Now()
	w.timer.Reset(w.behind)
}

func (w *watch) end() {
	if !w.isFar {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = time.Time{}
	w.timer.Stop()
}

// hold takes the line of the writer's new connection.
func (w *watch) hold(conn *sql.Conn) error {
	if !w.isFar {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return conn.Raw(func(driverConn any) error {
		if c, ok := driverConn.(*stdlib.Conn); ok {
			w.line = c.Conn().PgConn().Conn()
		}
		return nil
	})
}

// look comes when a transaction takes long, and then again and again.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began.IsZero() {
		return
	}
	for _, t := range w.group {
		t.sendAway()
	}
	for isMore := true; isMore; {
		select {
		case t := <-w.queue:
			t.sendAway()
		default:
			isMore = false
		}
	}
	if time.Since(w.began) >= w.silence && w.line != nil {
		_ = w.line.SetDeadline(time.Now()) // what waits for the server fails, and the connection with it
	}
	w.timer.Reset(w.behind / 5)
}

// sendAway answers a task that has not begun. Whoever takes it later finds that it was given up.
func (t *task) sendAway() {
	if t.state.CompareAndSwap(taskWaits, taskGivenUp) {
		t.done <- errBehind
	}
}
