package feed

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"stile/vpn"
	"stile/wire"
)

// operate is what an operator does to configurations.
func (f *fleet) operate() {
	ctx, shell, s := context.Background(), vpn.Shell(), f.services[f.rng.IntN(2)]
	some := func() []int64 {
		var ids []int64
		for _, n := range f.nodes {
			if f.chance(20) {
				ids = append(ids, n.id)
			}
		}
		return ids
	}
	var err error
	switch what := f.rng.IntN(10); {
	case what < 5:
		p := vpn.Publication{Change: vpn.ConfigChange{ShadowsocksPort: 9000 + f.rng.IntN(4), ShadowsocksPorts: 1}, Hold: 2 * time.Second, KeepOld: 24 * time.Hour}
		if f.chance(30) {
			p.ServerIDs = some()
		}
		_, err = s.PublishConfig(ctx, shell, p)
	case what < 7:
		var leave []int64
		if f.chance(50) {
			leave = some()
		}
		_, err = s.ResumeConfig(ctx, shell, leave)
	case what < 8:
		_, err = s.AbortConfig(ctx, shell)
	default:
		_, err = s.RollBackConfig(ctx, shell)
	}
	f.note("operator: %v", err)
}

func (f *fleet) advance() {
	if err := f.services[f.rng.IntN(2)].AdvanceConfig(context.Background()); err != nil {
		f.note("advance: %v", err)
	}
}

// anyone does one thing.
func (f *fleet) anyone() {
	n := f.nodes[f.rng.IntN(len(f.nodes))]
	switch what := f.rng.IntN(100); {
	case what < 4:
		f.operate()
	case what < 30:
		f.deliverDown(n)
	case what < 56:
		f.deliverUp(n)
	case what < 62:
		f.finish(n)
	case what < 72:
		f.advance()
	case what < 93:
		f.tick(f.rng.Int64N(2000))
	default:
		f.disaster(n)
	}
	for _, n := range f.nodes {
		f.checkNamed(n)
	}
}

// tick lets time pass. Control planes look each second at who waits.
func (f *fleet) tick(step int64) {
	f.now += step
	for _, n := range f.nodes {
		f.stepNode(n, Ticked{Now: f.now, Wall: f.now})
		f.stepServer(n, Ticked{Now: f.now, Wall: f.now})
		if n.server != nil && f.db.nodes[n.id] != nil && f.db.nodes[n.id].IsPending() && n.server.WantedConfig() != f.db.nodes[n.id].Wanted.Rev {
			f.stepServer(n, ConfigWoken{})
		}
		if n.node == nil && (f.isCalm || f.chance(50)) {
			f.boot(n)
		}
		if n.node != nil && n.server == nil && (f.isCalm || f.chance(60)) {
			f.connect(n)
		}
	}
}

func (f *fleet) disaster(n *fleetNode) {
	switch f.rng.IntN(10) {
	case 0:
		f.cut(n)
	case 1:
		if n.node != nil {
			f.kill(n)
		}
	case 2:
		n.isFull = !n.isFull
	case 3:
		if port := 9000 + f.rng.Int64N(4); n.current.Shadowsocks != port {
			n.taken[port] = !n.taken[port]
		}
	case 4:
		n.oldDisk = n.disk
	case 5:
		if f.chance(30) { // the disk is put back
			f.note("restore disk %d", n.id)
			if n.node != nil {
				f.kill(n)
			}
			n.disk, n.acked, n.wasRestored = n.oldDisk, 0, true
		}
	case 6:
		f.backup = f.db.clone()
	case 7:
		if f.chance(20) {
			f.restoreDB()
		}
	case 8:
		f.isFull = !f.isFull
	case 9:
		f.tick(50_000)
	}
}

// restoreDB puts a backup back; mostly the epoch rises above all there were.
func (f *fleet) restoreDB() {
	f.note("restore db")
	f.db = f.backup.clone()
	if f.chance(80) {
		f.high++
		f.db.epoch = f.high
	} else {
		f.wasUnnoticed = true
	}
	for _, n := range f.nodes {
		f.cut(n)
	}
}

func (f *fleet) deliverDown(n *fleetNode) {
	if len(n.down) == 0 || n.node == nil {
		return
	}
	frame := n.down[0]
	n.down = n.down[1:]
	_, isConfig := frame.(*wire.Config)
	if !f.isCalm && f.chance(4) && isConfig {
		f.note("lost %T", frame)
		return
	}
	if !f.isCalm && f.chance(4) && isConfig {
		n.down = append(n.down, frame) // twice, and late
	}
	if f.bug == "a node takes any revision" && isConfig {
		n.node.config.serving.Rev, n.node.config.serving.RefusedRev = 0, 0
	}
	f.note("down %d %T", n.id, frame)
	f.stepNode(n, Received{recode(frame)})
}

func (f *fleet) deliverUp(n *fleetNode) {
	if n.server == nil {
		return
	}
	from := &n.up
	if len(n.late) > 0 && f.chance(30) && n.server.phase == serverLive {
		from = &n.late
	}
	if len(*from) == 0 {
		return
	}
	i := 0
	if _, first := (*from)[0].(*wire.Hello); !first && !f.isCalm && f.chance(20) {
		i = f.rng.IntN(len(*from))
	}
	frame := (*from)[i]
	_, isReport := frame.(*wire.ConfigReport)
	if f.isCalm || !isReport || !f.chance(5) {
		*from = slices.Delete(*from, i, i+1)
	}
	if _, isHello := frame.(*wire.Hello); isHello && from == &n.late || isReport && !f.isCalm && f.chance(4) {
		return // lost
	}
	frame = recode(frame)
	if r, ok := frame.(*wire.ConfigReport); ok && f.bug == "reports of earlier streams count" {
		r.Session = n.server.session
	}
	f.note("up %d %T", n.id, frame)
	f.stepServer(n, Received{frame})
}

// settle lets everything have its time without faults.
func (f *fleet) settle() {
	f.isCalm, f.isFull = true, false
	for _, n := range f.nodes {
		n.isFull = false
	}
	for range 150 {
		for _, n := range f.nodes {
			f.finish(n)
			for i := 0; len(n.down)+len(n.up) > 0 && n.node != nil && n.server != nil && f.failure == ""; i++ {
				if i == 1000 {
					f.fail("they talk without end")
				}
				f.deliverUp(n)
				f.deliverDown(n)
			}
			f.checkNamed(n)
		}
		f.advance()
		f.tick(2000)
	}
}

// checkRest holds when no fault happens any more and everything had its time.
func (f *fleet) checkRest() {
	for _, n := range f.nodes {
		c := f.db.nodes[n.id]
		switch {
		case c == nil || n.node == nil:
			f.fail("at rest node %d is not known", n.id)
		case c.IsPending():
			f.fail("at rest node %d neither serves nor refuses %d", n.id, c.Wanted.Rev)
		case c.Rev != n.node.config.serving.Rev || wirePorts(c.NodePorts) != n.current:
			f.fail("at rest node %d serves %+v, and %+v is written down", n.id, n.node.config.serving, c.NodeServing)
		case n.current != n.disk.serving.Ports:
			f.fail("at rest node %d serves what its disk does not hold", n.id)
		case f.db.named[n.id] != n.current:
			f.fail("at rest keys on node %d name other ports", n.id)
		}
	}
	if len(f.db.rollouts) == 0 || f.wasUnnoticed {
		return
	}
	r := &f.db.rollouts[len(f.db.rollouts)-1]
	if r.State == vpn.RolloutRunning && !f.isHeldUp(r) {
		f.fail("at rest roll-out %d runs", r.Rev)
	}
	for _, n := range f.db.list() {
		if r.State == vpn.RolloutDone && r.Has(&n) && n.Rev == r.Rev && !r.IsServed(&n) {
			f.fail("at rest node %d serves other ports than roll-out %d wants", n.NodeID, r.Rev)
		}
	}
}

// isHeldUp reports whether a roll-out waits for a node that went on to something else, as after its disk or the database was put
// back: an operator resumes it.
func (f *fleet) isHeldUp(r *vpn.Rollout) bool {
	for _, n := range f.db.list() {
		if r.Has(&n) && n.Wanted.Rev != r.Rev {
			return true
		}
	}
	return false
}

// simulateFleet runs one seed and returns what it found wrong and a hash of all that happened.
func simulateFleet(seed uint64, bug string, log io.Writer) (failure string, trace uint64) {
	f := newFleet(seed, bug)
	f.log = log
	for range 900 {
		if f.anyone(); f.failure != "" {
			return f.failure, f.trace
		}
	}
	if f.settle(); f.failure == "" {
		f.checkRest()
	}
	return f.failure, f.trace
}

func TestFleetSimulator(t *testing.T) {
	if *simReplay > 0 {
		if failure, _ := simulateFleet(*simReplay, "", t.Output()); failure != "" {
			t.Errorf("seed %d: %s", *simReplay, failure)
		}
		return
	}
	var failed atomic.Int64
	each(*simSeeds/10, func(seed uint64) bool {
		if failure, _ := simulateFleet(seed, "", nil); failure != "" {
			t.Errorf("seed %d: %s", seed, failure)
			return failed.Add(1) < 10
		}
		return true
	})
	for seed := uint64(1); seed <= 5; seed++ {
		_, first := simulateFleet(seed, "", nil)
		if _, second := simulateFleet(seed, "", nil); first != second {
			t.Errorf("seed %d: %x, then %x", seed, first, second)
		}
	}
}

// fleetMutations are bugs planted around the machines and the rules, each a promise broken.
var fleetMutations = []string{
	"the report goes out before the disk is written",
	"a failed write counts as done",
	"a restart forgets the configuration",
	"ports stay open when the disk is full",
	"ports of before close at once",
	"a node takes any revision",
	"a configuration is sent once",
	"a node is online before its ports are known",
	"refusals are not written down",
	"a refusal stops nothing",
	"reports of earlier streams count",
	"a stage does not wait",
	"a replica goes on by what it saw before",
	"revisions are given out again",
}

func TestTheFleetSimulatorFindsPlantedBugs(t *testing.T) {
	for _, bug := range fleetMutations {
		var found atomic.Pointer[string]
		each(5_000, func(seed uint64) bool {
			if failure, _ := simulateFleet(seed, bug, nil); failure != "" {
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
