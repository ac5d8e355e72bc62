package feed

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"stile/wire"
)

var (
	simSeeds  = flag.Uint64("sim.seeds", 2000, "how many seeds the simulator runs")
	simReplay = flag.Uint64("sim.replay", 0, "the one seed to run, telling all that happens")
)

// changeDB is what people and programs do to the database.
func (w *world) changeDB() {
	ids := slices.Sorted(maps.Keys(w.db.rows))
	pick := int64(0)
	if len(ids) > 0 {
		pick = ids[w.rng.IntN(len(ids))]
	}
	row, ok := w.db.rows[pick]
	switch n := w.rng.IntN(10); {
	case n < 4 || !ok:
		k := wire.Key{ID: w.nextKey, Seed: wire.Seed{byte(w.nextKey), 1}, NotAfter: w.rng.Int64N(1000)}
		if w.chance(5) {
			k.MaxSessions = -1 // no node can hold it
		} else if w.chance(5) {
			k.MaxSessions = planeRefuses
		}
		w.nextKey++
		w.db.put(k)
	case n < 6 && !row.IsRevoked:
		k := row.Key
		k.NotAfter++
		if w.chance(50) {
			k.MaxSessions = 0
		}
		w.db.put(k)
	case n < 9 && !row.IsRevoked:
		w.db.revoke(pick)
	default:
		w.db.compact(min(w.db.rev-int64(w.rng.IntN(10)), w.backup.rev)) // no backup is older
	}
	w.note("db %d", w.db.rev)
	if w.chance(80) { // the rest is another process, of whose changes only the comparison tells
		w.wake()
	}
}

func (w *world) traffic() {
	for _, id := range slices.Sorted(maps.Keys(w.planes)) {
		if w.chance(30) {
			n := 1 + w.rng.Int64N(1000)
			r := w.counted[id]
			w.counted[id] = Reading{KeyID: id, Up: r.Up + n, Down: r.Down + 2*n}
			w.truth[id] += 3 * n
			w.unsaved[id] += 3 * n
		}
	}
}

// disaster is a fault that people have to do with.
func (w *world) disaster() {
	switch w.rng.IntN(7) {
	case 0:
		w.cutLink()
	case 1:
		if w.node != nil {
			w.kill()
		}
	case 2:
		w.isFull = !w.isFull
	case 3:
		w.backup = w.db.clone()
	case 4:
		w.oldDisk = w.disk.clone()
	case 5:
		w.restoreDB()
	case 6:
		w.restoreDisk()
	}
}

// restoreDB puts a backup back, as the restore command does: the epoch rises.
func (w *world) restoreDB() {
	if w.chance(50) {
		return
	}
	w.note("restore db")
	epoch := w.db.epoch
	w.db = w.backup.clone()
	w.db.epoch = epoch + 1
	clear(w.confirmed)
	w.q = Quarantine{}
	w.cutLink()
}

// restoreDisk starts the node from an older disk: it cannot know what it was told since, and reports are gone.
func (w *world) restoreDisk() {
	if w.chance(50) {
		return
	}
	w.note("restore disk")
	if w.node != nil {
		w.kill()
	}
	for id, reports := range w.disk.reports {
		for _, u := range reports[min(len(w.oldDisk.reports[id]), len(reports)):] {
			for _, e := range u.Entries {
				w.uncertain[e.KeyID] += e.Up + e.Down
			}
		}
	}
	w.disk = w.oldDisk.clone()
	clear(w.confirmed)
	clear(w.dead)
}

func (w *world) tick(step int64) {
	w.now += step
	w.stepNode(Ticked{Now: w.now, Wall: w.now})
	w.stepServer(Ticked{Now: w.now, Wall: w.now})
	w.compareRevs()
}

func (w *world) act() {
	switch n := w.rng.IntN(100); {
	case n < 12:
		w.changeDB()
	case n < 40:
		w.deliverDown()
	case n < 68:
		w.deliverUp()
	case n < 74:
		w.finishRead()
	case n < 80:
		w.traffic()
	case n < 85:
		w.report()
	case n < 96:
		w.tick(w.rng.Int64N(3000))
		if w.node == nil && w.chance(50) {
			w.boot()
		}
		if w.node != nil && w.server == nil && w.chance(60) {
			w.connect()
		}
	case n < 97:
		w.tick(60_000) // a partition, or a machine that slept
	default:
		w.disaster()
	}
}

// settle lets everything have its time without faults.
func (w *world) settle() {
	w.isCalm, w.isFull = true, false
	for range 120 {
		if w.node == nil {
			w.boot()
		}
		if w.server == nil {
			w.connect()
		}
		w.finishRead()
		w.report()
		for len(w.down)+len(w.up) > 0 && w.node != nil && w.server != nil {
			w.deliverUp()
			w.deliverDown()
		}
		w.tick(2000)
	}
}

// simulate runs one seed and returns what it found wrong and a hash of all that happened.
func simulate(seed uint64, bug string, log io.Writer) (failure string, trace uint64) {
	w := newWorld(seed, bug)
	w.log = log
	for range 300 {
		if w.act(); w.failure != "" {
			return w.failure, w.trace
		}
	}
	if w.settle(); w.failure == "" {
		w.checkRest()
	}
	return w.failure, w.trace
}

// each runs seeds 1 to n on all processors until f returns false.
func each(n uint64, f func(seed uint64) bool) {
	var next atomic.Uint64
	var stop atomic.Bool
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := next.Add(1); seed <= n && !stop.Load(); seed = next.Add(1) {
				if !f(seed) {
					stop.Store(true)
				}
			}
		})
	}
	workers.Wait()
}

func TestSimulator(t *testing.T) {
	if *simReplay > 0 {
		if failure, _ := simulate(*simReplay, "", t.Output()); failure != "" {
			t.Errorf("seed %d: %s", *simReplay, failure)
		}
		return
	}
	var failed atomic.Int64
	each(*simSeeds, func(seed uint64) bool {
		if failure, _ := simulate(seed, "", nil); failure != "" {
			t.Errorf("seed %d: %s", seed, failure)
			return failed.Add(1) < 10
		}
		return true
	})
}

func TestASeedReplaysToTheSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		_, first := simulate(seed, "", nil)
		if _, second := simulate(seed, "", nil); first != second {
			t.Errorf("seed %d: %x, then %x", seed, first, second)
		}
	}
}

// mutations are bugs planted around the machines, each a rule of the protocol broken.
var mutations = []string{
	"the ack goes out before the disk is written",
	"a failed write counts as done",
	"a key is acknowledged before the planes have it",
	"sessions of removed keys go on",
	"a snapshot removes nothing",
	"an empty set means no change",
	"revocations are forgotten",
	"the planes stay empty after a restart",
	"the digest of a change is not checked",
	"changes without their revocations",
	"acks of earlier streams count",
	"refusals are ignored",
	"the quarantine is forgotten",
	"lost wakes stay lost",
	"duplicates are booked",
	"gaps are booked",
	"a report is sent before it is saved",
	"a report that was not saved counts as saved",
	"what was reported is reported again",
	"a restarted process goes on with the old stream",
	"reports are deleted with their ack",
}

func TestTheSimulatorFindsPlantedBugs(t *testing.T) {
	for _, bug := range mutations {
		var found atomic.Pointer[string]
		each(20_000, func(seed uint64) bool {
			if failure, _ := simulate(seed, bug, nil); failure != "" {
				s := fmt.Sprintf("seed %d: %s", seed, failure)
				found.Store(&s)
			}
			return found.Load() == nil
		})
		if found.Load() == nil {
			t.Errorf("%q goes unnoticed", bug)
			continue
		}
		t.Logf("%s: %s", bug, *found.Load())
	}
}
