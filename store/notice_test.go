package store

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNoticesAreBounded(t *testing.T) {
	if got := encodeNotice(5, []int64{3, 17}); got != "5:3,17" {
		t.Errorf("a short list is %q", got)
	}
	longest := 0
	for n := range 2000 {
		ids := make([]int64, n+1)
		for i := range ids {
			ids[i] = int64(i) + 1
		}
		text := encodeNotice(math.MaxInt64, ids)
		longest = max(longest, len(text))
		from, back, isList := decodeNotice(text)
		if from != math.MaxInt64 || (isList && !slices.Equal(back, ids)) || (!isList && !strings.HasSuffix(text, ":*")) {
			t.Fatalf("%d nodes come back as %d, %v, from %d", len(ids), len(back), isList, from)
		}
	}
	if longest > maxNotice || longest < maxNotice-10 { // as long as allowed, and no longer
		t.Errorf("the longest notice has %d bytes", longest)
	}
}

func FuzzDecodeNotice(f *testing.F) {
	for _, text := range []string{"", "5:3,17", "5:*", "5:", "5:0", "5:-1", "x:1", "5:1,,2", "5", strings.Repeat("1,", maxNotice)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		from, ids, isList := decodeNotice(text)
		if !isList {
			if len(ids) > 0 {
				t.Errorf("%q is no list and has %v", text, ids)
			}
			return
		}
		if again, back, ok := decodeNotice(encodeNotice(from, ids)); !ok || again != from || !slices.Equal(back, ids) {
			t.Errorf("%q comes back as %v from %d", text, back, again)
		}
	})
}
