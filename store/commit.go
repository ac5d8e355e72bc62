package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime/debug"
)

// commitError is a failed commit: the outcome is unknown unless the engine says that it rolled back.
type commitError struct{ err error }

func (e *commitError) Error() string { return "commit: " + e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// mayRepeat reports whether a failed transaction surely left nothing behind and can do better at once. One that waited
// busyWait for a lock or a connection cannot: its tasks would each wait as long, one after the other.
func (w *writer) mayRepeat(err error) bool {
	if w.store.dialect.isBusy(err) || isVain(err) {
		return false
	}
	return !isUnknown(err) || w.store.dialect.isRolledBack(err)
}

// isUnknown reports that what failed was the commit.
func isUnknown(err error) bool {
	_, atCommit := errors.AsType[*commitError](err)
	return atCommit
}

// isLost reports that a connection, which may have ended long before, took a transaction along that surely left nothing behind.
func (w *writer) isLost(err error) bool {
	return w.conn == nil && isAway(err) && w.mayRepeat(err) && !errors.As(err, new(*unreached))
}

// outcome is what a task of a committed transaction answers.
func (t *task) outcome() error {
	if t.issue != nil {
		return t.issue.err
	}
	return t.refused
}

// transact runs tasks in one transaction; a second time on another connection when the first was lost before its commit, and when there
// was a live key that was said not to be there. Then all look, so that it is not found out of one after the other.
func (w *writer) transact(tasks []*task) error {
	err := w.transactOnce(tasks)
	if w.isLost(err) {
		err = w.transactOnce(tasks)
	}
	if !errors.Is(err, errKeyThere) {
		return err
	}
	for _, t := range tasks {
		if t.issue != nil {
			t.issue.isLook = true
		}
	}
	return w.transactOnce(tasks)
}

func (w *writer) transactOnce(tasks []*task) error {
	w.watch.begin()
	defer w.watch.end()
	if err := w.connect(); err != nil {
		return err
	}
	issues := 0
	for _, t := range tasks {
		if t.issue != nil {
			issues++
		}
	}
	if err := w.reserveKeyIDs(issues); err != nil {
		w.disconnect()
		return err
	}
	t := &tx{ctx: w.ctx, writer: w, store: w.store, opening: w.store.dialect.begin}
	if w.store.dialect.pipeline == nil { // otherwise it goes with the first statements
		if err := w.store.dialect.patiently(t.open); err != nil {
			w.disconnect()
			return err
		}
	}
	t.now = w.moment()
	err := t.recovered(begun(tasks))
	if err == nil {
		err = t.commit()
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*panicked)): // nobody knows what the connection was in the middle of
		w.disconnect()
		return err
	}
	if errors.Is(err, errStaleKeyIDs) {
		w.keyIDs = block{}
	}
	if rollbackErr := w.command("ROLLBACK"); rollbackErr != nil {
		w.disconnect() // the connection is broken, or the engine ended the transaction already: a new one is clean
	}
	return err
}

// panicked is a fault over what one task wants. It goes on in the goroutine of who wants it: the writer is everybody's.
type panicked struct {
	cause any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.cause, p.stack) }

// recovered is run, with a panic as an error.
func (t *tx) recovered(tasks []*task) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &panicked{cause, debug.Stack()}
		}
	}()
	return t.run(tasks)
}

// commit ends the transaction, unless that is done or there is none.
func (t *tx) commit() error {
	if t.isCommitted || t.opening != "" {
		return nil
	}
	mark, err := t.writer.advanceMark()
	if err != nil {
		return err
	}
	if err := t.writer.command("COMMIT"); err != nil {
		return &commitError{err}
	}
	t.writer.noteMark(mark)
	return nil
}

// begun leaves out the tasks whose callers gave up while the lock was waited for.
func begun(tasks []*task) []*task {
	all := make([]*task, 0, len(tasks))
	for _, t := range tasks {
		if t.state.CompareAndSwap(taskWaits, taskBegun) || t.state.Load() == taskBegun {
			all = append(all, t)
		}
	}
	return all
}

// command executes a text without arguments.
func (w *writer) command(text string) error {
	stmt, err := w.prepared(text)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(w.ctx)
	return err
}

// prepared returns the kept statement of a text.
func (w *writer) prepared(query string) (*sql.Stmt, error) {
	if stmt, ok := w.statements[query]; ok {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(w.ctx, w.store.dialect.text.Replace(query))
	if err != nil {
		return nil, err
	}
	w.statements[query] = stmt
	return stmt, nil
}

// connect takes the writer's connection, if it has none.
func (w *writer) connect() error {
	if w.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, busyWait)
	defer cancel()
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	w.conn, w.statements, w.preparations, w.changes = conn, map[string]*sql.Stmt{}, preparations{}, 0
	err = w.watch.hold(conn)
	if err == nil && w.store.dialect.impatient != "" {
		_, err = conn.ExecContext(ctx, w.store.dialect.impatient)
	}
	if err == nil {
		err = w.settle()
	}
	if err != nil {
		w.disconnect()
	}
	return err
}

// disconnect throws the connection away.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	for _, stmt := range w.statements { // database/sql does not close them with the connection, and SQLite keeps one that has any
		_ = stmt.Close()
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that the pool does not keep it
	_ = w.conn.Close()
	w.conn, w.statements, w.preparations = nil, nil, nil
}
