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

// direct reads on connections and statements of its own. It goes past database/sql, whose pool costs more than SQLite
// itself takes to find a row; it is for what requests ask all the time.
type direct struct {
	lanes []*lane
	next  atomic.Uint32
}

// lane is one connection, for one caller at a time.
type lane struct {
	mu         sync.Mutex
	conn       *sql.Conn                          // held for good, so that nobody else uses what the statements run on
	statements map[string]driver.StmtQueryContext // by query text; nil once closed
	args       []driver.NamedValue
	row        rawRow
}

// newDirect takes so many connections of a pool.
func newDirect(ctx context.Context, db *sql.DB, lanes int) (*direct, error) {
	d := &direct{}
	for range lanes {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		d.lanes = append(d.lanes, &lane{conn: conn, statements: make(map[string]driver.StmtQueryContext)})
	}
	return d, nil
}

// each calls f for every row of a query. The request's cancellation does not reach it: the driver would start a goroutine
// to watch it. f must not ask the store.
func (d *direct) each(ctx context.Context, query string, f func(scanner) error, args ...any) (err error) {
	ctx = context.WithoutCancel(ctx)
	l := d.lanes[int(d.next.Add(1)%uint32(len(d.lanes)))]
	l.mu.Lock()
	defer l.mu.Unlock()
	stmt, err := l.prepared(ctx, query)
	if err != nil {
		return err
	}
	l.args = l.args[:0]
	for i, arg := range args {
		l.args = append(l.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	rows, err := stmt.QueryContext(ctx, l.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	l.row = append(l.row[:0], make(rawRow, len(rows.Columns()))...)
	for {
		switch err := rows.Next(l.row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := f(l.row); err != nil {
			return err
		}
	}
}

// prepared returns the lane's statement of a text.
func (l *lane) prepared(ctx context.Context, query string) (driver.StmtQueryContext, error) {
	if l.statements == nil {
		return nil, ErrClosed
	}
	if kept := l.statements[query]; kept != nil {
		return kept, nil
	}
	err := l.conn.Raw(func(raw any) error {
		preparer, ok := raw.(driver.ConnPrepareContext)
		if !ok {
			return fmt.Errorf("direct: %T prepares no statements", raw)
		}
		made, err := preparer.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		stmt, ok := made.(driver.StmtQueryContext)
		if !ok {
			return errors.Join(fmt.Errorf("direct: %T takes no context", made), made.Close())
		}
		l.statements[query] = stmt
		return nil
	})
	return l.statements[query], err
}

// close gives the connections back.
func (d *direct) close() error {
	var errs []error
	for _, l := range d.lanes {
		l.mu.Lock()
		for _, stmt := range l.statements {
			if closer, ok := stmt.(driver.Stmt); ok {
				errs = append(errs, closer.Close())
			}
		}
		if l.statements != nil {
			errs = append(errs, l.conn.Close())
		}
		l.statements = nil
		l.mu.Unlock()
	}
	return errors.Join(errs...)
}

// hot calls f for every row of a query that requests ask all the time, on the engine's fastest way.
func (s *Store) hot(ctx context.Context, query string, f func(scanner) error, args ...any) error {
	if s.direct != nil {
		return s.direct.each(ctx, query, f, args...)
	}
	rows, err := s.read(ctx).rows(query, args...)
	return each(rows, err, f)
}

// hotRow is hot for one row; vpn.ErrNotFound when there is none.
func (s *Store) hotRow(ctx context.Context, query string, f func(scanner) error, args ...any) error {
	found := false
	err := s.hot(ctx, query, func(row scanner) error {
		found = true
		return f(row)
	}, args...)
	if err == nil && !found {
		return vpn.ErrNotFound
	}
	return err
}

// rawRow is a row as the driver gives it: int64, string and []byte. It is a scanner for what is read directly.
type rawRow []driver.Value

// Scan copies the row.
func (r rawRow) Scan(dest ...any) error {
	if len(dest) != len(r) {
		return fmt.Errorf("direct: %d columns for %d values", len(r), len(dest))
	}
	for i, to := range dest {
		fits := false
		switch value := r[i].(type) {
		case int64:
			fits = assignNumber(to, value)
		case string:
			fits = assignText(to, value)
		case []byte:
			var bytes *[]byte
			if bytes, fits = to.(*[]byte); fits {
				*bytes = value
			}
		}
		if !fits {
			return fmt.Errorf("direct: column %d: %T into %T", i, r[i], to)
		}
	}
	return nil
}

// assignNumber copies a number, and reports whether the types fit.
func assignNumber(to any, value int64) bool {
	switch to := to.(type) {
	case *int64:
		*to = value
	case *int:
		*to = int(value)
	case *bool:
		*to = value != 0
	case instant:
		*to.to = fromMillis(value)
	default:
		return false
	}
	return true
}

// assignText copies a text, and reports whether the types fit.
func assignText(to any, value string) bool {
	switch to := to.(type) {
	case *string:
		*to = value
	case *vpn.UserStatus:
		*to = vpn.UserStatus(value)
	case *vpn.Role:
		*to = vpn.Role(value)
	case *vpn.Platform:
		*to = vpn.Platform(value)
	default:
		return false
	}
	return true
}
