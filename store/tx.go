package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"stile/vpn"
)

// tx is a write transaction, as its tasks see it. Its methods are the writer's goroutine only.
type tx struct {
	ctx    context.Context //nolint:containedctx // lives as long as one transaction
	writer *writer
	store  *Store
	now    time.Time // the one reading of the clock
	// opening is what opens the transaction, which goes with its first statements; "" = it is open.
	opening string
	// isCommitted: its last statements brought the commit along.
	isCommitted bool
}

// open opens the transaction before a statement that goes alone.
func (t *tx) open() error {
	if t.opening == "" {
		return nil
	}
	if err := t.writer.command(t.opening); err != nil {
		return err
	}
	t.opening = ""
	return nil
}

// run runs the tasks of an open transaction. Consecutive issues are merged; any other task among several has a savepoint,
// so that its refusal undoes it alone. An error undoes everything.
func (t *tx) run(tasks []*task) error {
	for i := 0; i < len(tasks); {
		if tasks[i].issue != nil {
			n := 1
			for i+n < len(tasks) && tasks[i+n].issue != nil {
				n++
			}
			if err := t.issueAll(tasks[i:i+n], n == len(tasks)); err != nil {
				return err
			}
			i += n
			continue
		}
		if len(tasks) == 1 {
			tasks[i].refused = nil
			return tasks[i].run(t)
		}
		if err := t.runGuarded(tasks[i]); err != nil {
			return err
		}
		i++
	}
	return nil
}

// moment is a transaction's one reading of the clock.
func (w *writer) moment() time.Time { return w.store.now().UTC().Truncate(time.Millisecond) }

// runGuarded runs one of several tasks under a savepoint.
func (t *tx) runGuarded(task *task) error {
	if err := t.open(); err != nil {
		return err
	}
	if err := t.writer.command("SAVEPOINT task"); err != nil {
		return err
	}
	task.refused = nil
	err := task.run(t)
	if err != nil {
		if !isRefusal(err) {
			return err
		}
		task.refused = err
		if err := t.writer.command("ROLLBACK TO SAVEPOINT task"); err != nil {
			return err
		}
	}
	return t.writer.command("RELEASE SAVEPOINT task")
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	stmt, err := t.prepared(query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// change runs a statement that must change a row; vpn.ErrNotFound when it changed none.
func (t *tx) change(query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		return vpn.ErrNotFound
	}
	return err
}

// prepared returns the kept statement of a text, in the open transaction.
func (t *tx) prepared(query string) (*sql.Stmt, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	return t.writer.prepared(query)
}

func (t *tx) row(query string, args ...any) scanner {
	stmt, err := t.prepared(query)
	if err != nil {
		return failedRow{err}
	}
	return stmt.QueryRowContext(t.ctx, args...)
}

func (t *tx) rows(query string, args ...any) (*sql.Rows, error) {
	stmt, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(t.ctx, args...)
}

// taken turns a violated unique constraint into vpn.ErrTaken.
func (t *tx) taken(err error) error {
	if t.store.dialect.isUnique(err) {
		return vpn.ErrTaken
	}
	return err
}

// audit writes the entry of a change, and what the webhooks are to be told of it. subjectID is used where the entry names
// none.
func (t *tx) audit(a vpn.Audit, subjectID int64) error {
	a = t.completed(a, subjectID)
	if a.JobID != 0 {
		if err := t.doneForJob(a.JobID, a.SubjectID); err != nil {
			return err
		}
	}
	entry := statement{text: `
		INSERT INTO audit (actor_id, action, subject_id, at)
		VALUES ($1, $2, $3, $4)`, args: []any{a.ActorID, a.Action, a.SubjectID, millis(a.At)}}
	if !vpn.IsEvent(a.Action) {
		return t.together(entry)
	}
	userID := a.UserID
	if vpn.IsAboutUser(a.Action) {
		userID = a.SubjectID
	}
	return t.together(entry, event(a.Action, userID, a.SubjectID, a.At))
}

// completed fills in what only the transaction knows of an audit entry.
func (t *tx) completed(a vpn.Audit, subjectID int64) vpn.Audit {
	if a.SubjectID == 0 {
		a.SubjectID = subjectID
	}
	if a.At.IsZero() {
		a.At = t.now
	}
	return a
}

// isNone reports that a query had no row.
func isNone(err error) bool { return errors.Is(err, sql.ErrNoRows) }
