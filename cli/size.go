package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes on the command line: 1500, 100GB (powers of ten), 4GiB (powers of two).
type size int64

var sizeUnits = []struct { //nolint:gochecknoglobals // a table, longest suffix first
	suffix string
	bytes  float64
}{
	{"tib", 1 << 40}, {"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10},
	{"tb", 1e12}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"b", 1},
}

// UnmarshalText reads a size.
func (s *size) UnmarshalText(text []byte) error {
	word := strings.ToLower(strings.ReplaceAll(string(text), " ", ""))
	factor := 1.0
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(word, u.suffix); ok {
			word, factor = number, u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(word, 64)
	if err != nil || n < 0 || n*factor >= math.MaxInt64 || n != n {
		return fmt.Errorf("%q is no size: write 1500, 100GB or 4GiB", text)
	}
	*s = size(n * factor)
	return nil
}

// portRange is a range of ports on the command line: 8388 or 8388-8403.
type portRange struct{ first, count int }

// UnmarshalText reads a range.
func (p *portRange) UnmarshalText(text []byte) error {
	low, high, isRange := strings.Cut(string(text), "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.Atoi(low)
	last, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || first < 0 || last > 65535 || last < first || (first == 0 && last != 0) {
		return fmt.Errorf("%q is no port range: write 8388 or 8388-8403", text)
	}
	*p = portRange{first: first, count: last - first + 1}
	return nil
}

// String is the range as it is written.
func (p portRange) String() string {
	if p.count <= 1 {
		return strconv.Itoa(p.first)
	}
	return fmt.Sprintf("%d-%d", p.first, p.first+p.count-1)
}
