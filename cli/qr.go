package cli

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

const (
	// quietZone is the white border that readers need, in modules (ISO/IEC 18004 section 9.1).
	quietZone = 4
	// blackOnWhite and plainColours are fixed entries of the 256-colour palette, which no theme changes: a code must
	// be dark on light also where the terminal is not.
	blackOnWhite = "\x1b[38;5;16;48;5;231m"
	plainColours = "\x1b[0m"
)

// printQR draws text as a QR code, two modules to a character.
func (t *Terminal) printQR(text string) error {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return fmt.Errorf("the key does not fit a QR code: %w", err)
	}
	blocks := [2][2]string{{" ", "▄"}, {"▀", "█"}} // by the upper module, then the lower one
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		var line strings.Builder
		for x := -quietZone; x < code.Size+quietZone; x++ {
			line.WriteString(blocks[module(code, x, y)][module(code, x, y+1)])
		}
		t.printf("%s%s%s\n", blackOnWhite, line.String(), plainColours)
	}
	return nil
}

// module is 1 where the code is dark.
func module(code *qr.Code, x, y int) int {
	if code.Black(x, y) {
		return 1
	}
	return 0
}
