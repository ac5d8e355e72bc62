package store

import (
	"context"
	"errors"
	"fmt"

	"stile/vpn"
)

// maxEpoch bounds epochs, so that the ids of an epoch's keys, which begin at epoch << epochBits, stay below 2^53: JSON
// readers know no larger whole numbers.
const (
	maxEpoch  = 1<<20 + 1
	epochBits = 32
)

var (
	errEpoch = errors.New("the epoch cannot rise any more")
	// errStaleKeyIDs undoes a group whose key ids were reserved before the epoch rose.
	errStaleKeyIDs = errors.New("key ids of an earlier epoch")
)

// firstKeyID is the lowest id that keys made in an epoch may have. Ids given out in a history that was lost are below it.
func firstKeyID(epoch int64) int64 {
	if epoch <= 1 {
		return 1
	}
	return epoch << epochBits
}

// serversPerEpoch is more servers than are made in a history: it keeps their ids, which people read, short.
const serversPerEpoch = 1_000_000

// firstServerID is the lowest id that servers made in an epoch may have.
func firstServerID(epoch int64) int64 {
	if epoch <= 1 {
		return 1
	}
	return epoch*serversPerEpoch + 1
}

// RaiseEpoch implements vpn.NodeStore.
func (s *Store) RaiseEpoch(ctx context.Context, above int64, a vpn.Audit) (epoch int64, err error) {
	if above >= maxEpoch {
		return 0, fmt.Errorf("store: raise epoch: %w", errEpoch)
	}
	err = s.write(ctx, "raise epoch", func(t *tx) error {
		epoch, err = t.raiseEpoch(above, a)
		return err
	})
	return epoch, err
}

// raiseEpoch begins an epoch above the present one and the one given. Every node's revision rises with it, so that
// whoever compares revisions takes notice.
func (t *tx) raiseEpoch(above int64, a vpn.Audit) (epoch int64, err error) {
	err = t.row(`
		UPDATE epoch
		SET value = 1 + CASE WHEN value > $1 THEN value ELSE $1 END
		WHERE id = 1
		RETURNING value`, above).Scan(&epoch)
	if err != nil {
		return 0, err
	}
	if epoch > maxEpoch {
		return 0, errEpoch
	}
	if water := t.writer.water; water != nil {
		if err := water.keep(epoch); err != nil {
			return 0, fmt.Errorf("high-water file: %w", err)
		}
		water.epoch = epoch
	}
	rows, err := t.rows(`
		SELECT node_id
		FROM node_sync
		ORDER BY node_id
		{{lock}}`)
	if _, err := list(rows, err, scanID); err != nil {
		return 0, err
	}
	if _, err := t.exec(`
		UPDATE node_sync
		SET epoch = $1, rev = rev + 1`, epoch); err != nil {
		return 0, err
	}
	if _, err := t.exec(`
		UPDATE counter
		SET next_id = $1
		WHERE name = 'access_key'
			AND next_id < $1`, firstKeyID(epoch)); err != nil {
		return 0, err
	}
	return epoch, t.audit(a, 0)
}

// noticeRestore raises the epoch if the database is not where it was left: the high-water file is ahead of it, or it
// lives in another PostgreSQL cluster or timeline than before.
func (t *tx) noticeRestore(now origin) error {
	var value, mark int64
	var before string
	if err := t.row(`
		SELECT value, mark, origin
		FROM epoch
		WHERE id = 1
		{{lock}}`).Scan(&value, &mark, &before); err != nil {
		return err
	}
	if water := t.writer.water; water != nil {
		return t.compareWater(value, mark)
	}
	if now.name == "" || now.name == before {
		return nil
	}
	if _, err := t.exec(`
		UPDATE epoch
		SET origin = $1
		WHERE id = 1`, now.name); err != nil || before == "" {
		return err
	}
	return t.restored(now.timeline - 1)
}

func (t *tx) compareWater(value, mark int64) error {
	water := t.writer.water
	if water.epoch <= value && water.mark <= mark {
		if water.epoch == value {
			return nil
		}
		water.epoch = value
		return water.keep(value)
	}
	if _, err := t.exec(`
		UPDATE epoch
		SET mark = $1
		WHERE id = 1
			AND mark < $1`, water.mark); err != nil {
		return err
	}
	return t.restored(water.epoch)
}

func (t *tx) restored(above int64) error {
	epoch, err := t.raiseEpoch(above, vpn.Audit{Action: "database.restored"})
	if err == nil {
		t.writer.log.Warn("the database was put back to an earlier state, or moved: the nodes compare their keys with it", "epoch", epoch)
	}
	return err
}

// origin is where a PostgreSQL database lives: a cluster and its timeline, which is a higher one after each failover and
// each recovery to a point in time.
type origin struct {
	name     string // "" when it is not known
	timeline int64
}

// findOrigin asks for it, where there is one. Some providers forbid the question.
func (w *writer) findOrigin() (o origin, err error) {
	if w.store.dialect.origin == "" {
		return o, nil
	}
	stmt, err := w.prepared(w.store.dialect.origin)
	if err == nil {
		err = stmt.QueryRowContext(w.ctx).Scan(&o.name, &o.timeline)
	}
	if err != nil && w.store.dialect.isForbidden(err) && !isAway(err) {
		w.log.Warn("PostgreSQL does not say on which timeline it is: run `stile restore` after each failover and restore", "error", err)
		return origin{}, nil
	}
	return o, err
}

// settle looks once on each new connection whether the database was put back meanwhile, before anything is written.
func (w *writer) settle() error {
	now, err := w.findOrigin()
	if err != nil {
		return err
	}
	if err := w.store.dialect.patiently(func() error { return w.command(w.store.dialect.begin) }); err != nil {
		return err
	}
	t := &tx{ctx: w.ctx, writer: w, store: w.store, now: w.moment()}
	err = t.noticeRestore(now)
	if err == nil {
		err = w.command("COMMIT")
	}
	if err != nil {
		return errors.Join(err, w.command("ROLLBACK"))
	}
	return nil
}

// advanceMark counts the transaction, if it changed anything and somebody looks at the mark.
func (w *writer) advanceMark() (mark int64, err error) {
	if w.water == nil {
		return 0, nil
	}
	stmt, err := w.prepared("SELECT total_changes()")
	if err != nil {
		return 0, err
	}
	var changes int64
	if err := stmt.QueryRowContext(w.ctx).Scan(&changes); err != nil || changes == w.changes {
		return 0, err
	}
	w.changes = changes + 1
	stmt, err = w.prepared(`
		UPDATE epoch
		SET mark = mark + 1
		WHERE id = 1
		RETURNING mark`)
	if err != nil {
		return 0, err
	}
	return mark, stmt.QueryRowContext(w.ctx).Scan(&mark)
}

// checkKeyIDs refuses to go on with key ids that were reserved before the epoch rose.
func (w *issuing) checkKeyIDs() error {
	for _, n := range w.nodes {
		if n != nil && w.writer.keyIDs.next < firstKeyID(n.epoch) {
			return errStaleKeyIDs
		}
	}
	return nil
}

// noteMark tells the high-water file of a commit. What is committed stays so, whatever becomes of the file.
func (w *writer) noteMark(mark int64) {
	if mark == 0 {
		return
	}
	if err := w.water.note(mark); err != nil {
		w.log.Error("the high-water file cannot be written", "error", err)
	}
}

// isUndone reports that a transaction left nothing behind and may be run again.
func (w *writer) isUndone(err error) bool {
	return w.store.dialect.isRolledBack(err) || errors.Is(err, errStaleKeyIDs)
}
