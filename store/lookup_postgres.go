package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresLookups answers questions on a connection of its own: all of one lookup with one query, and all queries of a group
// in one round trip. Starting a query costs the server ten times what one more row of it does.
type postgresLookups struct {
	ctx        context.Context //nolint:containedctx // the values of the store's own context; never ends
	dialect    *dialect
	config     *pgconn.Config
	away       *far
	conn       *pgconn.PgConn
	texts      map[sized]string
	statements preparations
	parts      []part
	isGiven    bool // somebody got a row of this group
}

// part is the questions of a group that ask the same lookup.
type part struct {
	lookup    *lookup
	questions []*question
	keys      []any    // theirs, one after the other
	values    [][]byte // the same as PostgreSQL has them
}

func openPostgresLookups(ctx context.Context, d *dialect, dsn string, away *far) (lookupEngine, error) {
	config, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	// A lookup joins what it finds by its keys. Without these there is one way to do so, whatever the statistics say.
	config.RuntimeParams["enable_hashjoin"] = "off"
	config.RuntimeParams["enable_mergejoin"] = "off"
	impatiently(&config.Config, lookupWait)
	p := &postgresLookups{ctx: ctx, dialect: d, config: &config.Config, away: away, texts: map[sized]string{}}
	if err := p.connect(); err != nil {
		return nil, err
	}
	return p, nil
}

// connect puts another connection in the place of one that has ended. When there is none to be had, the ended one stays, and the
// next group asks for another again.
func (p *postgresLookups) connect() error {
	return p.away.connect(p.ctx, p.config, func() error {
		conn, err := pgconn.ConnectConfig(p.ctx, p.config)
		if err == nil {
			p.conn, p.statements = conn, preparations{}
		}
		return err
	})
}

// answer implements lookupEngine. What a lost connection spoils is asked again on another one, but not where an answer was waited
// for in vain.
func (p *postgresLookups) answer(group []*question) (away error) {
	p.isGiven = false
	p.sort(group)
	err := p.try(p.ctx)
	if err != nil && p.conn.IsClosed() && !p.isGiven && !isVain(err) {
		if err = p.connect(); err == nil {
			err = p.try(p.ctx)
		}
	}
	if err != nil {
		err = unavailable(fmt.Errorf("look up: %w", err))
	}
	if p.conn.IsClosed() {
		away = err
	}
	for _, q := range group {
		if q.err == nil {
			q.err = err
		}
	}
	return away
}

// sort parts the questions by what they ask.
func (p *postgresLookups) sort(group []*question) {
	p.parts = p.parts[:0]
	for _, q := range group {
		i := 0
		for i < len(p.parts) && p.parts[i].lookup != q.lookup {
			i++
		}
		if i == len(p.parts) {
			p.parts = append(p.parts, part{lookup: q.lookup})
		}
		p.parts[i].keys = append(p.parts[i].keys, q.key...)
		p.parts[i].questions = append(p.parts[i].questions, q)
	}
}

// try asks the parts in one round trip.
func (p *postgresLookups) try(ctx context.Context) (err error) {
	queries := make([]query, len(p.parts))
	for i := range p.parts {
		part := &p.parts[i]
		keys, size := filledUp(nil, part.keys, len(part.questions[0].key))
		if part.values, err = postgresValues(keys); err != nil {
			return err
		}
		statement, err := p.statements.prepared(ctx, p.conn, p.text(part.lookup, size))
		if err != nil {
			return err
		}
		queries[i] = query{statement: statement, values: part.values, each: func(row postgresRow) error {
			p.isGiven = true
			part.give(row)
			return nil
		}}
	}
	return pipelined(ctx, p.conn, queries)
}

// text returns the kept text of a lookup.
func (p *postgresLookups) text(l *lookup, keys int) string {
	size := sized{l, keys}
	text, ok := p.texts[size]
	if !ok {
		text = p.dialect.text.Replace(l.text(p.dialect, keys))
		p.texts[size] = text
	}
	return text
}

// give hands a row to those who asked for it.
func (p *part) give(row postgresRow) {
	width := len(p.questions[0].key)
	for i, q := range p.questions {
		if q.err == nil && row.isUnder(p.values[i*width:(i+1)*width]) {
			q.err = q.give(row)
		}
	}
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
