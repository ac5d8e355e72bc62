package store

import (
	"context"
	"database/sql"
	"strings"
)

// snapshot reads through one transaction that sees the database as of one moment.
func (s *Store) snapshot(ctx context.Context, f func(queries) error) error {
	tx, err := s.reader.db.BeginTx(ctx, s.dialect.snapshot)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	return f(reads{ctx: ctx, tx: tx, text: s.dialect.text})
}

// reads is a reading transaction. It prepares nothing for keeps: that could want a second connection of the pool while
// this one is held.
type reads struct {
	ctx  context.Context //nolint:containedctx // lives as long as one call
	tx   *sql.Tx
	text *strings.Replacer
}

func (r reads) row(query string, args ...any) scanner {
	return readRow{r.tx.QueryRowContext(r.ctx, r.text.Replace(query), args...)}
}

func (r reads) rows(query string, args ...any) (*sql.Rows, error) {
	return r.tx.QueryContext(r.ctx, r.text.Replace(query), args...)
}
