package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stile/wire"
)

// A node whose clock is wrong works on, and its log says so: once, and only when more than one frame has said it.
func TestAWrongClockIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		near, far := wire.Pipe()
		u := &uplink{events: make(chan linkEvent), log: slog.New(slog.NewTextHandler(&said, nil))}
		go func() { _, _ = u.hear(t.Context(), near) }()
		<-u.events // the link
		hear := func(f wire.Frame) {
			t.Helper()
			if err := far.Send(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			<-u.events
		}
		at := func(off time.Duration) int64 { return time.Now().Add(-off).UnixMilli() }
		told := func(want int) {
			t.Helper()
			if got := strings.Count(said.String(), "timedatectl"); got != want {
				t.Errorf("told %d times, want %d:\n%s", got, want, said.String())
			}
		}
		hear(&wire.Welcome{ServerTime: at(time.Hour)})
		hear(&wire.ServerBeat{ServerTime: at(clockLimit)}) // the one before was long on its way
		hear(&wire.ServerBeat{ServerTime: at(time.Hour)})
		told(0)
		for range 3 {
			hear(&wire.ServerBeat{ServerTime: at(time.Hour)})
		}
		told(1)
		if !strings.Contains(said.String(), "off_by=1h0m0s") {
			t.Errorf("by how much:\n%s", said.String())
		}
		hear(&wire.ServerBeat{ServerTime: at(0)})
		for range 2 {
			hear(&wire.ServerBeat{ServerTime: at(-time.Minute)})
		}
		told(2)
		_ = near.Close()
	})
}
