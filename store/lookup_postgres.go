package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresLookups answers questions on a connection of its own: all of one lookup with one query, and all queries of a group
// in one round trip. Starting a query costs the server ten times what one more row of it does.
type postgresLookups struct {
	ctx        context.Context //nolint:containedctx // the values of the store's own context; never ends
	dialect    *dialect
	config     *pgconn.Config
	conn       *pgconn.PgConn
	statements map[asked]string
	parts      []part
	isGiven    bool // somebody got a row of this group
}

// asked is a lookup for a number of keys.
type asked struct {
	lookup *lookup
	keys   int
}

// part is the questions of a group that ask the same lookup.
type part struct {
	lookup    *lookup
	questions []*question
	values    [][]byte // their keys, one after the other
}

func openPostgresLookups(ctx context.Context, d *dialect, dsn string) (lookupEngine, error) {
	config, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	// A lookup joins what it finds by its keys. Without these there is one way to do so, whatever the statistics say.
	config.RuntimeParams["enable_hashjoin"] = "off"
	config.RuntimeParams["enable_mergejoin"] = "off"
	p := &postgresLookups{ctx: ctx, dialect: d, config: &config.Config}
	return p, p.connect(ctx)
}

func (p *postgresLookups) connect(ctx context.Context) (err error) {
	p.statements = make(map[asked]string)
	p.conn, err = pgconn.ConnectConfig(ctx, p.config)
	return err
}

// answer implements lookupEngine. What a lost connection spoils is asked again on another one.
func (p *postgresLookups) answer(group []*question) {
	ctx, cancel := context.WithTimeout(p.ctx, lookupWait)
	defer cancel()
	p.isGiven = false
	err := p.sort(group)
	if err == nil {
		err = p.try(ctx)
	}
	if err != nil && p.conn.IsClosed() && !p.isGiven {
		if err = p.connect(ctx); err == nil {
			err = p.try(ctx)
		}
	}
	for _, q := range group {
		if q.err == nil {
			q.err = err
		}
	}
}

// sort parts the questions by what they ask.
func (p *postgresLookups) sort(group []*question) error {
	p.parts = p.parts[:0]
	for _, q := range group {
		i := 0
		for i < len(p.parts) && p.parts[i].lookup != q.lookup {
			i++
		}
		if i == len(p.parts) {
			p.parts = append(p.parts, part{lookup: q.lookup})
		}
		for _, v := range q.key {
			value, err := postgresValue(v)
			if err != nil {
				return err
			}
			p.parts[i].values = append(p.parts[i].values, value)
		}
		p.parts[i].questions = append(p.parts[i].questions, q)
	}
	return nil
}

// postgresValue is a value in PostgreSQL's binary form.
func postgresValue(v any) ([]byte, error) {
	switch v := v.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(nil, uint64(v)), nil
	case []byte:
		return v, nil
	default:
		return nil, errLookupKey
	}
}

// inBinary says that all values are in binary form.
var inBinary = []int16{1}

// try asks the parts in one round trip.
func (p *postgresLookups) try(ctx context.Context) (err error) {
	names := make([]string, len(p.parts))
	for i := range p.parts {
		if names[i], err = p.prepared(ctx, &p.parts[i]); err != nil {
			return err
		}
	}
	pipeline := p.conn.StartPipeline(ctx)
	defer func() { err = errors.Join(err, pipeline.Close()) }()
	for i := range p.parts {
		pipeline.SendQueryPrepared(names[i], p.parts[i].values, inBinary, inBinary)
	}
	if err := pipeline.Sync(); err != nil {
		return err
	}
	for i := range p.parts {
		results, err := pipeline.GetResults()
		if err != nil {
			return err
		}
		rows, ok := results.(*pgconn.ResultReader)
		if !ok {
			return fmt.Errorf("look up: PostgreSQL answers %T", results)
		}
		if err := p.give(&p.parts[i], rows); err != nil {
			return err
		}
	}
	return nil
}

// prepared fills the keys up with the first one, which is found once all the same, to a power of two, so that few statements
// are prepared, and returns the statement's name.
func (p *postgresLookups) prepared(ctx context.Context, part *part) (string, error) {
	n := len(part.questions)
	what := asked{part.lookup, 1 << bits.Len(uint(n-1))}
	for width := len(part.questions[0].key); n < what.keys; n++ {
		part.values = append(part.values, part.values[:width]...)
	}
	if name, ok := p.statements[what]; ok {
		return name, nil
	}
	name := "lookup" + strconv.Itoa(len(p.statements))
	if _, err := p.conn.Prepare(ctx, name, p.dialect.text.Replace(what.lookup.text(p.dialect, what.keys)), nil); err != nil {
		return "", fmt.Errorf("look up: prepare: %w", err)
	}
	p.statements[what] = name
	return name, nil
}

// give hands the rows to those who asked for them.
func (p *postgresLookups) give(part *part, rows *pgconn.ResultReader) error {
	width := len(part.questions[0].key)
	for rows.NextRow() {
		p.isGiven = true
		row := postgresRow(rows.Values())
		for i, q := range part.questions {
			if q.err == nil && row.isUnder(part.values[i*width:(i+1)*width]) {
				q.err = q.each(row)
			}
		}
	}
	_, err := rows.Close()
	return err
}

func (p *postgresLookups) close() error {
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	return p.conn.Close(ctx)
}

// postgresRow is a row in binary form.
type postgresRow [][]byte

// isUnder reports whether the first columns are a key.
func (r postgresRow) isUnder(key [][]byte) bool {
	for i, part := range key {
		if !bytes.Equal(r[i], part) {
			return false
		}
	}
	return true
}

// Scan copies the row.
func (r postgresRow) Scan(dest ...any) error {
	if len(dest) != len(r) {
		return fmt.Errorf("look up: %d columns for %d values", len(r), len(dest))
	}
	return assign(r, dest)
}

func (r postgresRow) number(i int) int64 {
	switch v := r[i]; len(v) {
	case 8:
		return int64(binary.BigEndian.Uint64(v))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	case 1: // a truth value
		return int64(v[0])
	default: // NULL
		return 0
	}
}

func (r postgresRow) bytes(i int) []byte { return r[i] }
