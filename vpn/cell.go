package vpn

import (
	"strconv"
	"strings"
)

// harmless is a text that people chose, as a cell of a table: programs that open such tables take what begins with certain
// signs for a formula, and run it.
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
