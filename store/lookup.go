package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"stile/vpn"
)

// lookup asks one query with one parameter for its only row, on connections and statements of its own. It goes past
// database/sql, whose pool costs more than SQLite itself takes to find a row; it is for what every request asks.
type lookup struct {
	lanes []*lane
	next  atomic.Uint32
}

// lane is one connection of a lookup, for one caller at a time.
type lane struct {
	mu   sync.Mutex
	conn *sql.Conn               // held for good, so that nobody else uses what stmt runs on
	stmt driver.StmtQueryContext // nil once closed
	args []driver.NamedValue
	row  rawRow
}

// newLookup takes so many connections of a pool.
func newLookup(ctx context.Context, db *sql.DB, lanes int, query string) (*lookup, error) {
	l := &lookup{}
	for range lanes {
		made, err := newLane(ctx, db, query)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.lanes = append(l.lanes, made)
	}
	return l, nil
}

func newLane(ctx context.Context, db *sql.DB, query string) (*lane, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	made := &lane{conn: conn, args: []driver.NamedValue{{Ordinal: 1}}}
	err = conn.Raw(func(raw any) error {
		preparer, ok := raw.(driver.ConnPrepareContext)
		if !ok {
			return fmt.Errorf("lookup: %T prepares no statements", raw)
		}
		stmt, err := preparer.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		if made.stmt, ok = stmt.(driver.StmtQueryContext); !ok {
			return errors.Join(fmt.Errorf("lookup: %T takes no context", stmt), stmt.Close())
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return made, nil
}

// one scans the row found by a key; vpn.ErrNotFound when there is none. The request's cancellation does not reach it: the
// driver would start a goroutine to watch it.
func (l *lookup) one(ctx context.Context, key []byte, dest ...any) (err error) {
	lane := l.lanes[int(l.next.Add(1))%len(l.lanes)]
	lane.mu.Lock()
	defer lane.mu.Unlock()
	if lane.stmt == nil {
		return ErrClosed
	}
	lane.args[0].Value = key
	rows, err := lane.stmt.QueryContext(context.WithoutCancel(ctx), lane.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if lane.row == nil {
		lane.row = make(rawRow, len(rows.Columns()))
	}
	switch err := rows.Next(lane.row); {
	case errors.Is(err, io.EOF):
		return vpn.ErrNotFound
	case err != nil:
		return err
	}
	return lane.row.Scan(dest...)
}

// close gives the connections back.
func (l *lookup) close() error {
	var errs []error
	for _, lane := range l.lanes {
		lane.mu.Lock()
		if stmt, ok := lane.stmt.(driver.Stmt); ok {
			errs = append(errs, stmt.Close(), lane.conn.Close())
			lane.stmt = nil
		}
		lane.mu.Unlock()
	}
	return errors.Join(errs...)
}

// rawRow is a row as the driver gives it: int64 and string. It is a scanner for what a lookup reads.
type rawRow []driver.Value

// Scan copies the row.
func (r rawRow) Scan(dest ...any) error {
	if len(dest) != len(r) {
		return fmt.Errorf("lookup: %d columns for %d values", len(r), len(dest))
	}
	for i, to := range dest {
		if !assign(to, r[i]) {
			return fmt.Errorf("lookup: column %d: %T into %T", i, r[i], to)
		}
	}
	return nil
}

// assign copies one value, and reports whether the types fit.
func assign(to any, value driver.Value) bool {
	if number, ok := value.(int64); ok {
		switch to := to.(type) {
		case *int64:
			*to = number
		case instant:
			*to.to = fromMillis(number)
		default:
			return false
		}
		return true
	}
	text, ok := value.(string)
	if !ok {
		return false
	}
	switch to := to.(type) {
	case *string:
		*to = text
	case *vpn.UserStatus:
		*to = vpn.UserStatus(text)
	case *vpn.Role:
		*to = vpn.Role(text)
	case *vpn.Platform:
		*to = vpn.Platform(text)
	default:
		return false
	}
	return true
}
