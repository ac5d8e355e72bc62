package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// Terminal is where a command reads from and writes to.
type Terminal struct {
	In io.Reader
	// Out takes what was asked for, Err what is said besides.
	Out, Err io.Writer
}

// printf writes to Out.
func (t *Terminal) printf(format string, args ...any) { _, _ = fmt.Fprintf(t.Out, format, args...) }

// notef writes to Err.
func (t *Terminal) notef(format string, args ...any) { _, _ = fmt.Fprintf(t.Err, format, args...) }

// printJSON writes v as indented JSON with readable Cyrillic.
func (t *Terminal) printJSON(v any) error {
	enc := json.NewEncoder(t.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// isLive reports whether a person watches Out.
func (t *Terminal) isLive() bool {
	file, ok := t.Out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// clean removes control characters from what a server says, so that it cannot drive the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}
