package dataplane

import (
	"strings"
	"testing"
	"time"
)

func TestPulseIsMonotonic(t *testing.T) {
	p := NewPulse()
	for range 3 {
		now := time.Now()
		p.Beat(now)
		// A time without a monotonic reading would be compared by the wall clock.
		if last := p.Last(); !last.Equal(now) || last.Sub(now) != 0 || !strings.Contains(last.String(), " m=") {
			t.Errorf("the last beat was at %v, want %v", last, now)
		}
	}
}
