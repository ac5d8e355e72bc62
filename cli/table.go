package cli

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// columnGap stands between two columns.
const columnGap = "  "

// printTable writes rows under a head (nil: none), each column as wide as its widest cell on the screen. Control
// characters in cells are dropped.
func (t *Terminal) printTable(head []string, rows [][]string) {
	lines := rows
	if head != nil {
		lines = append([][]string{head}, rows...)
	}
	var widths []int
	for _, line := range lines {
		for i, cell := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(clean(cell)))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			cell = clean(cell)
			b.WriteString(cell)
			if i < len(line)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-columns(cell)))
				b.WriteString(columnGap)
			}
		}
		t.printf("%s\n", strings.TrimRight(b.String(), " "))
	}
}

// columns is how many columns of a terminal s takes: two for wide East Asian characters, none for marks that combine
// with the character before them.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case isWide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

func isWide(r rune) bool {
	kind := width.LookupRune(r).Kind()
	return kind == width.EastAsianWide || kind == width.EastAsianFullwidth
}
