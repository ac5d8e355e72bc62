package dataplane

import (
	"testing"
	"time"
)

// Totals only rise, also when keys are forgotten.
func TestTotalsOutliveKeys(t *testing.T) {
	l := NewLedger(time.Now)
	defer l.Close()
	l.Apply([]Key{{ID: 1}, {ID: 2}}, nil, false)
	for id := int64(1); id <= 2; id++ {
		s, err := l.Admit(id, func() {})
		if err != nil {
			t.Fatal(err)
		}
		if s.Up(10) != nil || s.Down(100) != nil {
			t.Fatal("a session ended")
		}
	}
	l.Refuse()
	if got, want := l.Totals(), (Totals{Up: 20, Down: 200, Sessions: 2, Refused: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	l.Apply(nil, []int64{1}, false)
	l.Forget([]int64{1})
	if got, want := l.Totals(), (Totals{Up: 20, Down: 200, Sessions: 1, Refused: 1}); got != want {
		t.Errorf("after one was forgotten: %+v, want %+v", got, want)
	}
}
