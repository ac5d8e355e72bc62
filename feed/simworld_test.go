package feed

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"slices"

	"stile/wire"
)

// world is one node, one database and the link between them, under faults, all drawn from one seed.
type world struct {
	rng     *rand.Rand
	bug     string
	isCalm  bool // no more faults
	now     int64
	keys    int64 // ever made
	trace   uint64
	log     io.Writer // nil: nobody reads along
	failure string

	// hasPeers: the database has replicas, and old is a primary from before a failover, which still answers.
	hasPeers bool
	db       *simDB
	old      *simDB
	backup   *simDB
	high     int64 // the highest epoch that there was
	// isUnnoticed: a backup was put back and the epoch did not rise above all before. wasUnnoticed: that happened once.
	isUnnoticed          bool
	wasUnnoticed         bool
	made                 map[int64]bool // key ids
	isDBFull             bool
	serverSkew, nodeSkew int64 // of the wall clocks

	serving *simDB  // the stream's
	server  *Server // nil: no stream
	acked   int64   // by the present stream
	reading Event   // the answer of a read, on its way
	q       Quarantine
	allows  *Allowance

	disk    *simDisk
	oldDisk *simDisk
	node    *Node // nil: the process is down
	planes  map[int64]wire.Key
	counted map[int64]Reading
	meter   *Meter
	stream  uint64
	seq     uint64
	isFull  bool // the disk refuses writes
	// isPatching: a planted bug swallows a patch.
	isPatching bool

	down, up, late []wire.Frame // late: frames of earlier streams that are still on their way up

	// What must be: bytes per key that the database must hold in the end, give or take those that an old disk lost;
	// bytes that no saved report holds; ids whose revocation the node acknowledged; keys that it has had since.
	truth, uncertain, unsaved map[int64]int64
	dead                      map[int64]bool
	confirmed                 map[int64]wire.Key
}

func newWorld(seed uint64, bug string) *world {
	w := &world{made: map[int64]bool{}, rng: rand.New(rand.NewPCG(seed, 77)), bug: bug, now: 1000, db: newSimDB(), high: 1, hasPeers: seed%3 == 0, q: Quarantine{}, allows: new(Allowance),
		disk:  &simDisk{state: NewState(), reports: map[uint64][]*wire.Usage{}},
		truth: map[int64]int64{}, uncertain: map[int64]int64{}, dead: map[int64]bool{}, confirmed: map[int64]wire.Key{}}
	w.backup, w.oldDisk = w.db.clone(), w.disk.clone()
	w.boot()
	return w
}

func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *world) note(format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, format+"\n", args...)
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%x ", w.trace)
	fmt.Fprintf(h, format, args...)
	w.trace = h.Sum64()
}

func (w *world) noteEffect(who string, f Effect) {
	if s, ok := f.(Send); ok {
		w.note("%s sends %T", who, s.Frame)
		if w.log != nil {
			fmt.Fprintf(w.log, "\t%+v\n", s.Frame)
		}
		return
	}
	w.note("%s wants %T", who, f)
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// crashes says whether the machine dies here.
func (w *world) crashes() bool { return !w.isCalm && w.rng.IntN(150) == 0 }

func (w *world) boot() {
	var held []wire.StreamSeq
	for _, id := range w.disk.streams {
		if r := w.disk.reports[id]; len(r) > 0 {
			held = append(held, wire.StreamSeq{Stream: id, Seq: r[len(r)-1].Seq})
		}
	}
	w.node = NewNode(NodeConfig{ID: 1, BootID: w.rng.Uint64()}, cloneState(w.disk.state), held)
	w.planes, w.counted, w.meter = map[int64]wire.Key{}, map[int64]Reading{}, NewMeter()
	w.unsaved, w.seq = map[int64]int64{}, 0
	if w.bug != "a restarted process goes on with the old stream" || w.stream == 0 {
		w.stream = w.rng.Uint64() | 1
	}
	if w.bug != "the planes stay empty after a restart" {
		var refused []int64
		for _, k := range w.node.Valid() {
			if !w.put(k) {
				refused = append(refused, k.ID)
			}
		}
		w.stepNode(Applied{refused})
	}
	w.stepNode(Ticked{Now: w.now, Wall: w.now + w.nodeSkew})
	w.note("boot with %d keys", len(w.planes))
}

// kill ends the process; what it had counted since its last report is gone with it.
func (w *world) kill() {
	w.note("kill")
	for id, bytes := range w.unsaved {
		w.truth[id] -= bytes
	}
	w.node, w.planes = nil, nil
	w.cutLink()
}

func (w *world) cutLink() {
	if w.server != nil {
		w.note("cut")
		w.late = append(w.late, w.up...)
		w.down, w.up, w.server, w.reading, w.acked = nil, nil, nil, nil, 0
	}
	if w.node != nil {
		w.stepNode(Disconnected{})
	}
}

func (w *world) stepNode(e Event) {
	if w.node == nil {
		return
	}
	effects := w.node.Step(e)
	if w.bug == "the ack goes out before the disk is written" {
		effects = w.ackEarly(effects)
	}
	for _, f := range effects {
		if w.crashes() {
			w.kill()
		}
		if w.node == nil {
			return
		}
		w.noteEffect("node", f)
		w.performNode(f)
	}
	w.checkNode()
}

func (w *world) ackEarly(effects []Effect) []Effect {
	for i, f := range effects {
		if p, ok := f.(Persist); ok && p.Delta != nil {
			ack := Send{&wire.Ack{Session: w.node.session, Epoch: p.Epoch, Rev: p.Delta.ToRev}}
			return slices.Insert(slices.Clone(effects), i, Effect(ack))
		}
	}
	return effects
}

func (w *world) performNode(f Effect) {
	switch f := f.(type) {
	case Send:
		if w.server != nil {
			w.up = append(w.up, f.Frame)
		}
	case Close:
		w.cutLink()
	case Cut:
		if w.bug == "sessions of removed keys go on" || w.bug == "a snapshot removes nothing" && w.node.pending.next != nil {
			return
		}
		for _, id := range f.KeyIDs {
			delete(w.planes, id)
		}
	case Persist:
		w.stepNode(Persisted{w.persist(f)})
	case Apply:
		var refused []int64
		for _, k := range f.Put {
			if w.bug == "a key is acknowledged before the planes have it" {
				continue
			}
			if !w.put(k) {
				refused = append(refused, k.ID)
			}
		}
		w.stepNode(Applied{refused})
	case Measure:
		w.stepNode(Measured{Load: 1})
	case SendReport:
		w.sendReport(f)
	case ReportsAcked:
		if w.bug == "reports are deleted with their ack" {
			r := w.disk.reports[f.Stream]
			w.disk.reports[f.Stream] = slices.DeleteFunc(r, func(u *wire.Usage) bool { return u.Seq <= f.Seq && u.Seq < r[len(r)-1].Seq })
		}
	case NewStream:
		w.stream, w.seq = w.rng.Uint64()|1, 0
	}
}

// put gives a key to the data planes, which do not take every one.
func (w *world) put(k wire.Key) bool {
	if w.planes[k.ID] = k; k.MaxSessions == planeRefuses {
		delete(w.planes, k.ID)
	}
	return k.MaxSessions != planeRefuses
}

func (w *world) persist(p Persist) bool {
	switch {
	case w.bug == "a failed write counts as done" && (w.isFull || w.chance(20)):
		return true
	case w.isFull:
		return false
	}
	if p.Epoch < w.disk.state.Epoch {
		w.fail("the node went from epoch %d back to %d", w.disk.state.Epoch, p.Epoch)
	}
	if p.Next != nil {
		if w.bug == "an epoch change forgets revocations" && p.Epoch != w.disk.state.Epoch {
			clear(p.Next.Revoked)
		}
		w.disk.state = cloneState(p.Next)
	} else if err := w.disk.state.Follow(p.Delta); err != nil {
		w.fail("the change does not fit the disk: %v", err)
	}
	if w.bug == "revocations are forgotten" {
		clear(w.disk.state.Revoked)
		clear(w.node.state.Revoked)
		if p.Next != nil {
			clear(p.Next.Revoked)
		}
	}
	if w.crashes() {
		w.kill()
	}
	return true
}

func (w *world) report() {
	if w.node == nil {
		return
	}
	readings := slices.SortedFunc(maps.Values(w.counted), func(a, b Reading) int { return cmp.Compare(a.KeyID, b.KeyID) })
	entries, _ := w.meter.Draft(readings)
	if len(entries) == 0 {
		return
	}
	u := &wire.Usage{Stream: w.stream, Seq: w.seq + 1, To: w.now + w.nodeSkew, Entries: entries}
	switch {
	case w.bug == "a report is sent before it is saved":
		if w.isFull || w.chance(20) {
			w.up = append(w.up, u)
			return
		}
	case w.bug == "a report that was not saved counts as saved" && (w.isFull || w.chance(20)):
		w.meter.Saved()
		return
	case w.isFull:
		return
	}
	if w.seq++; w.seq == 1 {
		w.disk.streams = append(w.disk.streams, w.stream)
	}
	w.disk.reports[w.stream] = append(w.disk.reports[w.stream], u)
	clear(w.unsaved)
	if w.crashes() {
		w.kill()
		return
	}
	if w.bug != "what was reported is reported again" || !w.chance(20) {
		w.meter.Saved()
	}
	w.stepNode(ReportSaved{w.stream, u.Seq})
}

func (w *world) sendReport(f SendReport) {
	for _, u := range w.disk.reports[f.Stream] {
		if u.Seq == f.Seq {
			w.up = append(w.up, u)
			return
		}
	}
	w.stepNode(ReportMissing{f.Stream})
}

// prune removes reports that even the oldest database has booked.
func (w *world) prune() {
	for _, id := range slices.Clone(w.disk.streams) {
		booked := min(w.backup.cursors[id], w.db.cursors[id])
		w.disk.reports[id] = slices.DeleteFunc(slices.Clone(w.disk.reports[id]), func(u *wire.Usage) bool { return u.Seq <= booked })
		if len(w.disk.reports[id]) == 0 && id != w.stream {
			delete(w.disk.reports, id)
			w.disk.streams = slices.DeleteFunc(w.disk.streams, func(s uint64) bool { return s == id })
			w.stepNode(StreamPruned{id})
		}
	}
}
