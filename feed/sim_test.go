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
	if w.isDBFull {
		return
	}
	ids := slices.Sorted(maps.Keys(w.db.rows))
	pick := int64(0)
	if len(ids) > 0 {
		pick = ids[w.rng.IntN(len(ids))]
	}
	row, ok := w.db.rows[pick]
	switch n := w.rng.IntN(10); {
	case n < 4 || !ok:
		w.keys++
		k := wire.Key{ID: w.db.nextID, Seed: wire.Seed{byte(w.keys), byte(w.keys >> 8), 1}, NotAfter: w.rng.Int64N(1000)}
		if w.chance(5) {
			k.MaxSessions = -1 // no node can hold it
		} else if w.chance(5) {
			k.MaxSessions = planeRefuses
		}
		if w.db.nextID++; w.made[k.ID] && !w.wasUnnoticed {
			w.fail("key id %d is handed out twice", k.ID)
		}
		w.made[k.ID] = true
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
		w.compact()
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

// compact forgets tombstones that the node has and no backup lacks.
func (w *world) compact() {
	floor := min(w.db.rev-int64(w.rng.IntN(10)), w.backup.rev)
	if w.bug == "tombstones are compacted while a backup lacks them" {
		floor = w.db.rev
	}
	w.db.compact(min(floor, w.acked))
}

// disaster is a fault that people have to do with.
func (w *world) disaster() {
	switch w.rng.IntN(11) {
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
		w.restoreDisk(w.oldDisk)
	case 7:
		w.isDBFull = !w.isDBFull
	case 8:
		w.failOver()
	case 9:
		w.serverSkew, w.nodeSkew = w.years(), w.years()
	case 10:
		if w.chance(30) { // a new machine
			w.restoreDisk(&simDisk{state: NewState(), reports: map[uint64][]*wire.Usage{}})
		}
	}
}

// years is how wrong a wall clock is, in milliseconds.
func (w *world) years() int64 { return w.rng.Int64N(9) * 31_557_600_000 * (w.rng.Int64N(3) - 1) }

// raise is the epoch's rise that a restored database should have.
func (w *world) raise(above int64) {
	w.db.raise(above, w.bug)
	w.high = max(w.high, w.db.epoch)
}

// restoreDB puts a backup back. Mostly the high-water file, the timeline or the operator makes the epoch rise above all
// there were; else it rises by one, or nobody takes notice.
func (w *world) restoreDB() {
	if w.chance(40) {
		return
	}
	w.db, w.old, w.isDBFull = w.backup.clone(), nil, false
	switch n := w.rng.IntN(10); {
	case n < 6:
		w.raise(w.high)
		w.isUnnoticed = false
	case n < 8 && w.hasPeers:
		w.isUnnoticed, w.wasUnnoticed = true, true
		w.raise(w.db.epoch)
	default:
		w.isUnnoticed, w.wasUnnoticed = true, true
	}
	w.note("restore db: epoch %d", w.db.epoch)
	clear(w.confirmed)
	w.q = Quarantine{}
	w.cutLink()
}

// failOver makes another machine the primary. The old one may go on to answer.
func (w *world) failOver() {
	if !w.hasPeers || w.isUnnoticed {
		return
	}
	w.old = w.db
	w.db = w.db.clone()
	w.raise(w.high)
	w.note("fail over: epoch %d", w.db.epoch)
	if w.chance(50) {
		w.cutLink()
	}
}

// operate is what an operator does about the alarms: whoever put a backup back says so, with the epoch that the nodes
// follow.
func (w *world) operate() {
	if w.isUnnoticed || w.hasPeers && w.node != nil && w.node.state.Epoch > w.db.epoch {
		w.isUnnoticed = false
		w.raise(0)
		if w.hasPeers && w.node != nil && w.node.state.Epoch >= w.db.epoch {
			w.raise(w.node.state.Epoch)
		}
		w.note("operator: epoch %d", w.db.epoch)
	}
}

// restoreDisk starts the node from another disk: it cannot know what it was told since, and reports are gone.
func (w *world) restoreDisk(from *simDisk) {
	if w.chance(50) {
		return
	}
	w.note("restore disk")
	if w.node != nil {
		w.kill()
	}
	for id, reports := range w.disk.reports {
		for _, u := range reports {
			if slices.ContainsFunc(from.reports[id], func(kept *wire.Usage) bool { return kept.Seq == u.Seq }) {
				continue
			}
			for _, e := range u.Entries {
				w.uncertain[e.KeyID] += e.Up + e.Down
			}
		}
	}
	w.disk = from.clone()
	clear(w.confirmed)
	clear(w.dead)
}

func (w *world) tick(step int64) {
	w.now += step
	w.stepNode(Ticked{Now: w.now, Wall: w.now + w.nodeSkew})
	w.stepServer(Ticked{Now: w.now, Wall: w.now + w.serverSkew})
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
	case n < 94:
		w.tick(w.rng.Int64N(3000))
		if w.node == nil && w.chance(50) {
			w.boot()
		}
		if w.node != nil && w.server == nil && w.chance(60) {
			w.connect()
		}
	case n < 95:
		w.tick(60_000) // a partition, or a machine that slept
		w.prune()
		if w.chance(20) {
			w.operate()
		}
	default:
		w.disaster()
	}
}

// settle lets everything have its time without faults.
func (w *world) settle() {
	w.isCalm, w.isFull, w.isDBFull, w.old = true, false, false, nil
	if w.serving != w.db {
		w.cutLink()
	}
	for range 120 {
		w.operate()
		if w.node == nil {
			w.boot()
		}
		if w.server == nil {
			w.connect()
		}
		w.finishRead()
		w.report()
		for n := 0; len(w.down)+len(w.up) > 0 && w.node != nil && w.server != nil && w.failure == ""; n++ {
			if n == 1000 {
				w.fail("they talk without end")
			}
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
	for range 600 {
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
	"what is given back is dropped",
	"an epoch change forgets revocations",
	"tombstones do not travel with sets",
	"tombstones are compacted while a backup lacks them",
	"key ids are handed out again",
	"a set is read of another moment",
	"patches change nothing",
	"what a restored database lacks is not sent again",
	"an old primary raises its epoch",
	"an old primary is believed",
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
