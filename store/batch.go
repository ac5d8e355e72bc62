package store

import (
	"math/bits"
	"strconv"
	"strings"
)

// maxBatch is the most rows of one statement. Statements come in sizes of powers of two, so that few are prepared.
const maxBatch = 256

// batchText is a statement for many rows: text i is for 1<<i of them.
type batchText [9]string

// newBatch builds the texts "head row, row, … tail", where each "?" of row is a parameter. The head may use the
// parameters $1 to $fixed, the rows' follow.
func newBatch(fixed int, head, row, tail string) *batchText {
	var b batchText
	for i := range b {
		var s strings.Builder
		s.WriteString(head)
		n := fixed
		for r := range 1 << i {
			if r > 0 {
				s.WriteString(", ")
			}
			for _, c := range row {
				if c != '?' {
					s.WriteRune(c)
					continue
				}
				n++
				s.WriteString("$" + strconv.Itoa(n))
			}
		}
		s.WriteString(tail)
		b[i] = s.String()
	}
	return &b
}

// chunks calls f with a text and the arguments of its rows until all args, so many a row, are through. When pad is nil
// the rows are cut into full sizes; otherwise the last text is filled up with the row pad, which must be harmless.
func (b *batchText) chunks(perRow int, args, pad []any, f func(text string, args []any) error) error {
	for len(args) > 0 {
		rows := min(len(args)/perRow, maxBatch)
		size := bits.Len(uint(rows)) - 1
		if pad != nil && rows > 1<<size {
			size++
		}
		chunk := args[:min(perRow<<size, len(args)):min(perRow<<size, len(args))]
		args = args[len(chunk):]
		for len(chunk) < perRow<<size {
			chunk = append(chunk, pad...)
		}
		if err := f(b[size], chunk); err != nil {
			return err
		}
	}
	return nil
}

// execBatch runs a batch whose every row counts.
func (t *tx) execBatch(b *batchText, perRow int, args []any) error {
	return b.chunks(perRow, args, nil, func(text string, args []any) error {
		_, err := t.exec(text, args...)
		return err
	})
}

// eachOf runs a batch over rows of parameters, filled up with zeros, and calls f for every row it returns.
func (t *tx) eachOf(b *batchText, perRow int, fixed, args []any, f func(scanner) error) error {
	pad := make([]any, perRow)
	for i := range pad {
		pad[i] = int64(0)
	}
	return b.chunks(perRow, args, pad, func(text string, args []any) error {
		if len(fixed) > 0 {
			args = append(append(make([]any, 0, len(fixed)+len(args)), fixed...), args...)
		}
		rows, err := t.rows(text, args...)
		return each(rows, err, f)
	})
}

// execOf is eachOf for statements that return nothing.
func (t *tx) execOf(b *batchText, perRow int, fixed, args []any) error {
	return t.eachOf(b, perRow, fixed, args, func(scanner) error { return nil })
}

// anys is ids as arguments.
func anys(ids []int64) []any {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return args
}
