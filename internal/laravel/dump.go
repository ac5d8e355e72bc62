package laravel

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
)

// dump is a file of SQL that mysqldump wrote, gzipped or not. Each sequence reads it from its start: the tables come in
// the order of their names, tokens before users.
type dump struct {
	path string
	size int64
	file *counter // being read
	left map[string]bool
}

// counter counts what was read of a file.
type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

func openDump(path string) (*dump, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &dump{path: path, size: info.Size(), left: map[string]bool{}}, nil
}

// Users implements Application.
func (d *dump) Users(ctx context.Context) iter.Seq2[User, error] {
	return rowsAs(d.rows(ctx, usersTable), (*row).user)
}

// Tokens implements Application.
func (d *dump) Tokens(ctx context.Context) iter.Seq2[Token, error] {
	return rowsAs(d.rows(ctx, tokensTable), (*row).token)
}

// Progress implements Application.
func (d *dump) Progress() float64 {
	if d.file == nil || d.size == 0 {
		return 0
	}
	return float64(d.file.n) / float64(d.size)
}

// Left implements Application.
func (d *dump) Left() []string { return slices.Sorted(maps.Keys(d.left)) }

// Close implements Application.
func (*dump) Close() error { return nil }

// rowsAs turns rows into what they hold.
func rowsAs[T any](rows iter.Seq2[*row, error], read func(*row) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range rows {
			var v T
			if err == nil {
				v, err = read(r)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// rows yields the rows that the file inserts into a table.
func (d *dump) rows(ctx context.Context, table string) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		f, err := os.Open(d.path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		d.file = &counter{Reader: f}
		text, err := unzipped(d.file)
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", d.path, err))
			return
		}
		p := newParser(text, table, d.left)
		for {
			r, err := p.next()
			switch {
			case errors.Is(err, io.EOF):
				if !p.isThere {
					yield(nil, fmt.Errorf("%w: %s holds no table %q", ErrNoTable, d.path, table))
				}
				return
			case err == nil:
				err = ctx.Err()
			default:
				err = fmt.Errorf("%s, line %d: %w", d.path, p.line+1, err)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// unzipped reads through gzip if that is what the file is.
func unzipped(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, err := b.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return gzip.NewReader(b)
	}
	return b, nil
}

var errSyntax = errors.New("laravel: this is not SQL as mysqldump writes it")

// parser finds the rows of one table among the statements of a dump.
type parser struct {
	scanner
	want    string
	left    map[string]bool
	columns map[string][]string // by table, from CREATE TABLE
	isThere bool
	insert  []string // the columns of the INSERT that is being read; nil between statements
}

func newParser(text io.Reader, table string, left map[string]bool) *parser {
	return &parser{scanner: scanner{r: bufio.NewReaderSize(text, 1<<16)}, want: table, left: left, columns: map[string][]string{}}
}

// next returns the next row of the wanted table, or io.EOF.
func (p *parser) next() (*row, error) {
	for {
		if p.insert != nil {
			r, err := p.tuple()
			if r != nil || err != nil {
				return r, err
			}
			continue
		}
		if err := p.statement(); err != nil {
			return nil, err
		}
	}
}

// statement reads a statement to its end, or an INSERT into the wanted table up to its first row.
func (p *parser) statement() error {
	word, err := p.token(true)
	if err != nil {
		return err
	}
	switch {
	case word.isWord("CREATE"):
		if word, err = p.token(true); err == nil && word.isWord("TABLE") {
			return p.createTable()
		}
	case word.isWord("INSERT"), word.isWord("REPLACE"):
		return p.beginInsert()
	}
	if err != nil || word.is(';') {
		return err
	}
	return p.skip()
}

// skip reads up to the end of a statement, without keeping anything.
func (p *parser) skip() error {
	for {
		t, err := p.token(false)
		if err != nil || t.is(';') {
			return err
		}
	}
}

// createTable notes the columns of a table: the quoted names that begin the parts within the outer parentheses.
func (p *parser) createTable() error {
	name, err := p.name("IF", "NOT", "EXISTS")
	if err != nil {
		return err
	}
	depth, begins := 0, false
	var names []string
	for {
		t, err := p.token(true)
		if err != nil {
			return err
		}
		switch {
		case t.is(';'):
			p.note(name, names)
			return nil
		case t.is('('):
			depth++
			begins = depth == 1
			continue
		case t.is(')'):
			depth--
		case t.is(',') && depth == 1:
			begins = true
			continue
		case begins && t.kind == quotedName:
			names = append(names, t.text)
		}
		begins = false
	}
}

// note keeps the columns of a table, and what of it is not read.
func (p *parser) note(table string, names []string) {
	p.columns[table] = names
	known, isOurs := columns[table]
	if !isOurs {
		p.left[table] = true
		return
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			p.left[table+"."+name] = true
		}
	}
	p.isThere = p.isThere || table == p.want
}

// name reads the name of a table, behind words that may stand before it.
func (p *parser) name(before ...string) (string, error) {
	for {
		t, err := p.token(true)
		if err != nil {
			return "", err
		}
		isBefore := t.kind == word && slices.Contains(before, strings.ToUpper(t.text))
		if isBefore {
			continue
		}
		if t.kind != quotedName && t.kind != word {
			return "", errSyntax
		}
		return t.text, nil
	}
}

// beginInsert reads an INSERT up to its VALUES.
func (p *parser) beginInsert() error {
	table, err := p.name("INTO", "IGNORE", "LOW_PRIORITY", "DELAYED")
	if err != nil {
		return err
	}
	if table != p.want {
		return p.skip()
	}
	names := p.columns[table]
	t, err := p.token(true)
	if err == nil && t.is('(') {
		names = nil
		for !t.is(')') && err == nil {
			if t, err = p.token(true); err == nil && (t.kind == quotedName || t.kind == word) {
				names = append(names, t.text)
			}
		}
		p.note(table, names)
		if err == nil {
			t, err = p.token(true)
		}
	}
	switch {
	case err != nil:
		return err
	case !t.isWord("VALUES"), len(names) == 0:
		return errSyntax
	}
	p.insert, p.isThere = names, true
	return nil
}

// tuple reads one row of an INSERT; nil at its end.
func (p *parser) tuple() (*row, error) {
	t, err := p.token(true)
	for err == nil && t.is(',') {
		t, err = p.token(true)
	}
	switch {
	case err != nil:
		return nil, noEOF(err)
	case t.is(';'):
		p.insert = nil
		return nil, nil
	case !t.is('('):
		return nil, errSyntax
	}
	r := &row{table: p.want, fields: make(map[string]field, len(p.insert))}
	for i := 0; ; i++ {
		v, end, err := p.value()
		switch {
		case err != nil:
			return nil, noEOF(err)
		case i >= len(p.insert):
			return nil, fmt.Errorf("%w: a row of %s has more values than the table columns", errSyntax, p.want)
		}
		r.fields[p.insert[i]] = v
		if end {
			return r, nil
		}
	}
}

// value reads one value with the comma or the parenthesis behind it.
func (p *parser) value() (v field, end bool, err error) {
	for first := true; ; first = false {
		t, err := p.token(true)
		switch {
		case err != nil:
			return v, false, err
		case t.is(',') && !first, t.is(')') && !first:
			return v, t.is(')'), nil
		case t.isWord("NULL"):
			v.isNull = true
		case t.kind == word && strings.HasPrefix(t.text, "_"): // a character set before a string
		case t.kind == text, t.kind == word, t.kind == punct && t.text == "-":
			if len(v.text)+len(t.text) > maxValue {
				return v, false, errTooLong
			}
			v.text += t.text
		default:
			return v, false, errSyntax
		}
	}
}

// noEOF turns an end in the middle of a statement into an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
