package pacer

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: most, 1: most, 1 << 20: most, 8 << 20: 300, 24 << 20: 100, 48 << 20: 50, 80 << 20: share, 1 << 30: share, 1 << 62: share,
	} {
		if got := percent(live); got != want {
			t.Errorf("%d bytes: %d %%, want %d", live, got, want)
		}
	}
}

// litter makes so many MiB of garbage and returns how many collections that took.
func litter(mib int) uint32 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range mib * 16 {
		sink = make([]byte, 64<<10)
	}
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

// sink keeps the compiler from leaving out what is made.
var sink []byte

// A small process collects as seldom as its headroom allows; a large one may grow by its share, soon after it has become large,
// and what was set before comes back at the end.
func TestStart(t *testing.T) {
	initial := debug.SetGCPercent(100)
	defer debug.SetGCPercent(initial)
	runtime.GC()
	usual := litter(512)
	stop := Start()
	runtime.GC()
	if paced := litter(512); paced > 512/12 || paced < 2 || paced*2 > usual {
		t.Errorf("512 MiB of garbage made %d collections, and %d at Go's own pace", paced, usual)
	}
	large := make([]byte, 200<<20)
	var m runtime.MemStats
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		if runtime.ReadMemStats(&m); m.NextGC < 280<<20 || time.Now().After(deadline) {
			break
		}
	}
	if m.NextGC < 200<<20 || m.NextGC > 280<<20 {
		t.Errorf("with 200 MiB that live the next collection comes at %d MiB", m.NextGC>>20)
	}
	runtime.KeepAlive(large)
	stop()
	runtime.GC()
	if percent := debug.SetGCPercent(100); percent != 100 {
		t.Errorf("after the end it is %d %%", percent)
	}
}
