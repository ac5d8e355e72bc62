package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// preparations are the statements that are prepared on one connection, by their texts: for what is asked all the time, the
// protocol as it is, since a batch of pgx takes longer over each value than PostgreSQL does.
type preparations map[string]*pgconn.StatementDescription

// prepared returns the statement of a text.
func (p preparations) prepared(ctx context.Context, conn *pgconn.PgConn, text string) (*pgconn.StatementDescription, error) {
	if s, ok := p[text]; ok {
		return s, nil
	}
	s, err := conn.Prepare(ctx, "stile"+strconv.Itoa(len(p)), text, nil)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	p[text] = s
	return s, nil
}

// query is one of several that are sent together.
type query struct {
	statement *pgconn.StatementDescription
	values    [][]byte
	each      func(postgresRow) error // called for every row; nil = there are none
}

// inBinary says that all values are in binary form.
var inBinary = []int16{1}

// pipelined sends queries at once and reads their answers in order. The first error ends it.
func pipelined(ctx context.Context, conn *pgconn.PgConn, all []query) (err error) {
	pipeline := conn.StartPipeline(ctx)
	defer func() {
		if closeErr := pipeline.Close(); err == nil {
			err = closeErr
		}
	}()
	for _, q := range all {
		pipeline.SendQueryStatement(q.statement, q.values, inBinary, inBinary)
	}
	if err := pipeline.Sync(); err != nil {
		return err
	}
	for _, q := range all {
		results, err := pipeline.GetResults()
		if err != nil {
			return err
		}
		rows, ok := results.(*pgconn.ResultReader)
		if !ok {
			return fmt.Errorf("PostgreSQL answers %T", results)
		}
		for q.each != nil && rows.NextRow() {
			if err := q.each(rows.Values()); err != nil {
				return err
			}
		}
		if _, err := rows.Close(); err != nil {
			return err
		}
	}
	return nil
}

// postgresPipeline runs statements of a transaction in one round trip.
func postgresPipeline(ctx context.Context, conn *sql.Conn, p preparations, all []statement) error {
	return conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection of %T", driverConn)
		}
		far := c.Conn().PgConn()
		queries := make([]query, len(all))
		for i, s := range all {
			prepared, err := p.prepared(ctx, far, s.text)
			if err != nil {
				return err
			}
			values, err := postgresValues(s.args)
			if err != nil {
				return err
			}
			queries[i] = query{statement: prepared, values: values}
			if s.each != nil {
				queries[i].each = func(row postgresRow) error { return s.each(row) }
			}
		}
		return pipelined(ctx, far, queries)
	})
}

var errPostgresValue = errors.New("a value that has no binary form here")

// postgresValues are values in PostgreSQL's binary form.
func postgresValues(values []any) ([][]byte, error) {
	encoded := make([][]byte, len(values))
	numbers := make([]byte, 0, 8*len(values))
	for i, v := range values {
		switch v := v.(type) {
		case int64:
			numbers = binary.BigEndian.AppendUint64(numbers, uint64(v))
			encoded[i] = numbers[len(numbers)-8:]
		case int:
			numbers = binary.BigEndian.AppendUint64(numbers, uint64(v))
			encoded[i] = numbers[len(numbers)-8:]
		case string:
			encoded[i] = []byte(v)
		case []byte:
			encoded[i] = v
		default:
			return nil, fmt.Errorf("%w: %T", errPostgresValue, v)
		}
	}
	return encoded, nil
}
