package store

import (
	"math/bits"
	"strconv"
	"strings"
)

// batch is a statement for any number of rows: "head row, row, … tail", where each "?" of row is a parameter. The head
// may use the parameters $1 to $fixed, the rows' follow.
type batch struct {
	fixed           int
	head, row, tail string
}

const (
	// maxBatch is the most rows of one statement.
	maxBatch = 256
	// maxExact is the most rows up to which there is a statement for each number of them; from there on there are only
	// those for maxExact and maxBatch rows, so that not too many are prepared.
	maxExact = 64
)

// sized names the text of a batch, or of a lookup, for a number of rows.
type sized struct {
	of   sizable
	rows int
}

// sizable is a *batch or a *lookup.
type sizable interface {
	text(d *dialect, rows int) string
}

// text returns the statement for a number of rows. SQLite takes the "?" as they are: it searches the names of numbered ones
// one after the other, for each parameter again.
func (b *batch) text(d *dialect, rows int) string {
	var s strings.Builder
	s.WriteString(b.head)
	n := b.fixed
	for r := range rows {
		if r > 0 {
			s.WriteString(", ")
		}
		n = d.writeParameters(&s, b.row, n)
	}
	s.WriteString(b.tail)
	return s.String()
}

// writeParameters writes a part of a text in which each "?" is one more parameter after the n there are, and returns how many
// there are then.
func (d *dialect) writeParameters(s *strings.Builder, text string, n int) int {
	for _, c := range text {
		if c != '?' || !d.numbersParameters {
			s.WriteRune(c)
			continue
		}
		n++
		s.WriteByte('$')
		s.WriteString(strconv.Itoa(n))
	}
	return n
}

// batchText returns the kept text of a batch.
func (w *writer) batchText(b sizable, rows int) string {
	key := sized{b, rows}
	text, ok := w.texts[key]
	if !ok {
		text = w.store.dialect.text.Replace(b.text(w.store.dialect, rows))
		w.texts[key] = text
	}
	return text
}

// execBatch runs a batch that has a row for so many args each.
func (t *tx) execBatch(b *batch, perRow int, args []any) error {
	for len(args) > 0 {
		rows := len(args) / perRow
		switch {
		case rows >= maxBatch:
			rows = maxBatch
		case rows > maxExact:
			rows = maxExact
		}
		if _, err := t.exec(t.writer.batchText(b, rows), args[:rows*perRow]...); err != nil {
			return err
		}
		args = args[rows*perRow:]
	}
	return nil
}

// statement is one of several that are sent together.
type statement struct {
	text string
	args []any
	each func(scanner) error // called for every row; nil = there are none
}

// lookUp is a batch whose rows are ids to look for, and f is called for every row it returns; at most maxBatch.
func (t *tx) lookUp(b *batch, fixed, ids []any, f func(scanner) error) statement {
	args, size := filledUp(fixed, ids, 1)
	return statement{text: t.writer.batchText(b, size), args: args, each: f}
}

// lookUpKeys is a lookup of keys of so many parts, and f is called for every row it returns; at most maxBatch.
func (t *tx) lookUpKeys(l *lookup, parts int, keys []any, f func(scanner) error) statement {
	args, size := filledUp(nil, keys, parts)
	return statement{text: t.writer.batchText(l, size), args: args, each: f}
}

// filledUp are keys of so many parts behind fixed arguments, filled up with the first key, which is found once all the same,
// to a power of two, so that few statements are prepared.
func filledUp(fixed, keys []any, parts int) (args []any, size int) {
	size = 1 << bits.Len(uint(len(keys)/parts-1))
	args = make([]any, 0, len(fixed)+size*parts)
	args = append(append(args, fixed...), keys...)
	for len(args) < cap(args) {
		args = append(args, keys[:parts]...)
	}
	return args, size
}

// insertion is a batch that has a row for so many args each, at most maxExact of them.
func (t *tx) insertion(b *batch, perRow int, args []any) statement {
	return statement{text: t.writer.batchText(b, len(args)/perRow), args: args}
}

// together runs statements in their order, in one round trip where the engine is far away.
func (t *tx) together(all ...statement) error {
	if pipeline := t.store.dialect.pipeline; pipeline != nil {
		if t.opening != "" {
			all = append([]statement{{text: t.opening}}, all...)
			t.opening = ""
		}
		return pipeline(t.ctx, t.writer.conn, t.writer.preparations, all)
	}
	for _, s := range all {
		if s.each == nil {
			if _, err := t.exec(s.text, s.args...); err != nil {
				return err
			}
			continue
		}
		rows, err := t.rows(s.text, s.args...)
		if err := each(rows, err, s.each); err != nil {
			return err
		}
	}
	return nil
}

// last is together for the last statements of a transaction, which take the commit along where the engine is far away.
func (t *tx) last(all ...statement) error {
	if t.store.dialect.pipeline == nil {
		return t.together(all...)
	}
	err := t.together(append(all, statement{text: "COMMIT"})...)
	switch {
	case err == nil:
		t.isCommitted = true
	case !t.store.dialect.isAnswer(err): // of what was sent, the commit may have arrived
		return &commitError{err}
	}
	return err
}

// eachOf runs lookUp for any number of ids.
func (t *tx) eachOf(b *batch, fixed, ids []any, f func(scanner) error) error {
	for len(ids) > 0 {
		n := min(len(ids), maxBatch)
		s := t.lookUp(b, fixed, ids[:n], f)
		rows, err := t.rows(s.text, s.args...)
		if err := each(rows, err, f); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// execOf is eachOf for statements that return nothing.
func (t *tx) execOf(b *batch, fixed, ids []any) error {
	return t.eachOf(b, fixed, ids, func(scanner) error { return nil })
}

// anys is ids as arguments.
func anys(ids []int64) []any {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return args
}
