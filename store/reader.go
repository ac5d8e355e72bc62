package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"

	"stile/vpn"
)

// queries is what reads on behalf of a transaction and reads outside of one have in common.
type queries interface {
	row(query string, args ...any) scanner
	rows(query string, args ...any) (*sql.Rows, error)
}

// reader is the pool of reading connections with its prepared statements.
type reader struct {
	db         *sql.DB
	text       *strings.Replacer
	statements sync.Map // query text → *sql.Stmt
}

// reading is one method's use of the reader.
type reading struct {
	ctx    context.Context //nolint:containedctx // lives as long as one call
	reader *reader
}

// read returns the reader for short look-ups. They are not bound to the request's cancellation: both drivers would start a
// goroutine for every query to watch it.
func (s *Store) read(ctx context.Context) reading {
	return reading{ctx: context.WithoutCancel(ctx), reader: &s.reader}
}

// scan returns the reader for what may take long and ends with its context.
func (s *Store) scan(ctx context.Context) reading {
	return reading{ctx: ctx, reader: &s.reader}
}

// prepared returns the kept statement of a text.
func (r *reader) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if kept, ok := r.statements.Load(query); ok {
		return kept.(*sql.Stmt), nil //nolint:forcetypeassert // only these are stored
	}
	made, err := r.db.PrepareContext(ctx, r.text.Replace(query))
	if err != nil {
		return nil, err
	}
	if kept, raced := r.statements.LoadOrStore(query, made); raced {
		_ = made.Close()
		return kept.(*sql.Stmt), nil //nolint:forcetypeassert // only these are stored
	}
	return made, nil
}

func (r reading) row(query string, args ...any) scanner {
	stmt, err := r.reader.prepared(r.ctx, query)
	if err != nil {
		return failedRow{unavailable(err)}
	}
	return readRow{stmt.QueryRowContext(r.ctx, args...)}
}

// failedRow is a row that was not had.
type failedRow struct{ err error }

// Scan returns why.
func (r failedRow) Scan(...any) error { return r.err }

// readRow is a row that says so when the server is away.
type readRow struct{ *sql.Row }

// Scan is that of sql.Row.
func (r readRow) Scan(dest ...any) error { return unavailable(r.Row.Scan(dest...)) }

func (r reading) rows(query string, args ...any) (*sql.Rows, error) {
	stmt, err := r.reader.prepared(r.ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(r.ctx, args...)
}

// one scans the only row of a query; vpn.ErrNotFound when there is none.
func one(row scanner, dest ...any) error {
	err := row.Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return vpn.ErrNotFound
	}
	return err
}

// scanner is a row to be scanned: *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// each calls f for every row and closes rows. It takes what queries.rows returned.
func each(rows *sql.Rows, err error, f func(scanner) error) error {
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return unavailable(rows.Err())
}

// list collects every row of a query.
func list[T any](rows *sql.Rows, err error, f func(scanner) (T, error)) ([]T, error) {
	var all []T
	err = each(rows, err, func(row scanner) error {
		v, err := f(row)
		all = append(all, v)
		return err
	})
	return all, err
}
