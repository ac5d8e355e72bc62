package store

import (
	"context"
	"errors"
	"math"

	"stile/vpn"
)

// purposeAnchor seals the hashes of the audit log's chain: whoever can write the database and not read the secret can
// compute a new chain, and cannot put it in place of this one.
const purposeAnchor = "stile audit_anchor.sealed v1"

const (
	// anchorEvery is the most entries between two anchors: as exactly is it known where a log was changed.
	anchorEvery = 1000
	// auditPage is how many entries are read at once.
	auditPage = 1000
)

// anchor is a row of audit_anchor.
type anchor struct {
	id, lastID, count int64
	hash              vpn.AuditHash
}

// settling is what the sweeper of this process knows and waits for, where other processes write.
type settling struct {
	// settled is the id up to which no entry can come any more.
	settled int64
	// upTo is settled once all transactions before xid have ended; xid 0 = nothing is waited for.
	upTo, xid int64
}

// AnchorAudit implements vpn.AuditStore. The chain is made after the fact, by whoever comes first of all processes, so that
// no writer waits for another one's entry. One goroutine of a process calls it.
func (s *Store) AnchorAudit(ctx context.Context) (isDone bool, err error) {
	upTo, err := s.settledAudit(ctx)
	if err != nil {
		return false, err
	}
	last, err := s.lastAnchor(ctx)
	if err != nil {
		return false, err
	}
	next := last
	next.id++
	n := 0
	err = s.auditUpTo(ctx, last.lastID, upTo, anchorEvery, func(e vpn.Audit) error {
		next.hash, next.lastID, next.count = next.hash.Next(&e), e.ID, next.count+1
		n++
		return nil
	})
	if err != nil || n == 0 {
		return true, err
	}
	sealed := s.seal(next.hash[:], purposeAnchor, next.id)
	return n < anchorEvery, s.write(ctx, "anchor audit", func(t *tx) error {
		_, err := t.exec(`
			INSERT INTO audit_anchor (id, last_id, count, sealed, created_at)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO NOTHING`, next.id, next.lastID, next.count, sealed, millis(t.now)) // another process was first
		return err
	})
}

// settledAudit is the id up to which no entry can still come: in PostgreSQL ids are given before the commit, so that of two
// entries the later one may be there first. An entry is never the first that its transaction writes: whoever has an id has a
// number already, and everybody with a lower number than one that is drawn later can be waited for.
func (s *Store) settledAudit(ctx context.Context) (int64, error) {
	if s.dialect.drawXID == "" {
		return math.MaxInt64, nil
	}
	r := s.read(ctx)
	s.settling.Lock()
	defer s.settling.Unlock()
	w := &s.settling.settling
	if err := s.settle(r, w); err != nil {
		return 0, err
	}
	var newest int64
	if err := r.row("SELECT COALESCE(MAX(id), 0) FROM audit").Scan(&newest); err != nil {
		return 0, err
	}
	if w.xid != 0 || newest <= w.settled {
		return w.settled, nil
	}
	var xid int64
	if err := r.row(s.dialect.drawXID).Scan(&xid); err != nil {
		return 0, err
	}
	w.upTo, w.xid = newest, xid
	err := s.settle(r, w)
	return w.settled, err
}

// number sees to it that the transaction has its number before it writes an entry, where it may write nothing else before.
func (t *tx) number() error {
	if t.store.dialect.drawXID == "" {
		return nil
	}
	return t.row(t.store.dialect.drawXID).Scan(new(int64))
}

// settle looks whether what is waited for has ended.
func (s *Store) settle(r reading, w *settling) error {
	if w.xid == 0 {
		return nil
	}
	var oldest int64
	if err := r.row(s.dialect.oldestXID).Scan(&oldest); err != nil {
		return err
	}
	if oldest > w.xid {
		w.settled, w.xid = w.upTo, 0
	}
	return nil
}

// lastAnchor returns the newest anchor; the zero one where there is none.
func (s *Store) lastAnchor(ctx context.Context) (a anchor, err error) {
	rows, err := s.read(ctx).rows(`
		SELECT id, last_id, count, sealed
		FROM audit_anchor
		ORDER BY id DESC
		LIMIT 1`)
	found, err := list(rows, err, s.scanAnchor)
	if err != nil || len(found) == 0 {
		return anchor{}, err
	}
	return found[0], nil
}

func (s *Store) scanAnchor(row scanner) (a anchor, err error) {
	var sealed []byte
	if err := row.Scan(&a.id, &a.lastID, &a.count, &sealed); err != nil {
		return a, err
	}
	plain, err := s.unseal(sealed, purposeAnchor, a.id)
	copy(a.hash[:], plain)
	return a, err
}

// auditUpTo calls f for entries with ids above after and up to upTo, in their order, at most limit.
func (s *Store) auditUpTo(ctx context.Context, after, upTo int64, limit int, f func(vpn.Audit) error) error {
	rows, err := s.scan(ctx).rows(`
		SELECT id, actor_id, action, subject_id, at
		FROM audit
		WHERE id > $1
			AND id <= $2
		ORDER BY id
		LIMIT $3`, after, upTo, limit)
	return each(rows, err, func(row scanner) error {
		e, err := scanAudit(row)
		if err != nil {
			return err
		}
		return f(e)
	})
}

// errBroken ends the reading of a log that is not what its chain says.
var errBroken = errors.New("the audit log was changed")

// VerifyAudit implements vpn.AuditStore.
func (s *Store) VerifyAudit(ctx context.Context, yield func(vpn.Audit, vpn.AuditHash) error) (vpn.AuditChain, error) {
	var good anchor
	for {
		rows, err := s.scan(ctx).rows(`
			SELECT id, last_id, count, sealed
			FROM audit_anchor
			WHERE id > $1
			ORDER BY id
			LIMIT $2`, good.id, auditPage)
		var anchors []anchor
		err = each(rows, err, func(row scanner) error {
			a, err := s.scanAnchor(row)
			if errors.Is(err, errSealed) {
				a.hash, err = vpn.AuditHash{}, nil // fits nothing
			}
			anchors = append(anchors, a)
			return err
		})
		if err != nil {
			return vpn.AuditChain{}, err
		}
		for _, a := range anchors {
			switch err := s.holdAgainst(ctx, good, a, yield); {
			case errors.Is(err, errBroken):
				return vpn.AuditChain{
					Entries: good.count, Head: good.hash, LastID: good.lastID, IsBroken: true, BrokenAfter: good.lastID, BrokenBy: a.lastID,
				}, nil
			case err != nil:
				return vpn.AuditChain{}, err
			}
			good = a
		}
		if len(anchors) < auditPage {
			return vpn.AuditChain{Entries: good.count, Head: good.hash, LastID: good.lastID}, nil
		}
	}
}

// holdAgainst reads the entries between two anchors and compares their chain with the second one.
func (s *Store) holdAgainst(ctx context.Context, from, to anchor, yield func(vpn.Audit, vpn.AuditHash) error) error {
	if to.id != from.id+1 || to.lastID <= from.lastID {
		return errBroken
	}
	is := from
	var all []vpn.Audit
	var hashes []vpn.AuditHash
	err := s.auditUpTo(ctx, from.lastID, to.lastID, anchorEvery+1, func(e vpn.Audit) error {
		is.hash, is.count = is.hash.Next(&e), is.count+1
		if yield != nil {
			all, hashes = append(all, e), append(hashes, is.hash)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if is.hash != to.hash || is.count != to.count {
		return errBroken
	}
	for i := range all { // with no rows open: whoever reads this may be slow
		if err := yield(all[i], hashes[i]); err != nil {
			return err
		}
	}
	return nil
}
