package feed

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"stile/vpn"
	"stile/wire"
)

// fleet is several nodes, a database with what they are configured to, and two control planes that roll configurations out by
// the rules of package vpn, under faults, all drawn from one seed.
type fleet struct {
	rng     *rand.Rand
	bug     string
	isCalm  bool
	now     int64 // milliseconds
	trace   uint64
	log     io.Writer // nil: nobody reads along
	failure string

	db       *fleetDB
	backup   *fleetDB
	high     int64 // the highest epoch that there was
	services [2]*vpn.Service
	nodes    []*fleetNode
	isFull   bool // the database refuses writes
	// wasUnnoticed: a backup was put back and nobody took notice.
	wasUnnoticed bool
	interposing  bool
}

// fleetNode is a machine with its link.
type fleetNode struct {
	id      int64
	disk    simConfig
	oldDisk simConfig
	isFull  bool
	taken   map[int64]bool // ports that others have
	node    *Node          // nil: the process is down
	// current and old are what takes connections, opened what OpenPorts opened.
	current, opened wire.Ports
	old             []wire.Ports
	server          *Server // nil: no stream
	down, up, late  []wire.Frame
	reading         Event

	wasRestored bool                 // its disk was put back once
	acked       int64                // the highest revision that it said it serves, since its disk was put back
	given       map[int64]wire.Ports // by revision
}

// simConfig is what a node's disk holds.
type simConfig struct {
	serving wire.Serving
	old     []wire.Ports
}

func firstPorts(id int64) wire.Ports {
	return wire.Ports{Shadowsocks: 8000 + id, Count: 1, Method: "aes-256-gcm"}
}

func newFleet(seed uint64, bug string) *fleet {
	f := &fleet{rng: rand.New(rand.NewPCG(seed, 99)), bug: bug, now: 1_000_000, high: 1}
	f.db = &fleetDB{epoch: 1, nodes: map[int64]*vpn.ConfiguredNode{}, named: map[int64]wire.Ports{}, refused: map[int64]bool{}}
	for i := range f.services {
		f.services[i] = vpn.NewService(&fleetStore{fleet: f}, fleetNodes{fleet: f}, nil,
			vpn.Config{Now: f.clock, Log: slog.New(slog.DiscardHandler)})
	}
	for id := range int64(1 + f.rng.IntN(24)) {
		n := &fleetNode{id: id + 1, taken: map[int64]bool{}, given: map[int64]wire.Ports{}}
		n.disk.serving.Ports = firstPorts(n.id)
		n.oldDisk = n.disk
		f.db.named[n.id] = n.disk.serving.Ports
		f.nodes = append(f.nodes, n)
		f.boot(n)
	}
	f.backup = f.db.clone()
	return f
}

func (f *fleet) clock() time.Time { return time.UnixMilli(f.now) }

func (f *fleet) fail(format string, args ...any) {
	if f.failure == "" {
		f.failure = fmt.Sprintf(format, args...)
	}
}

func (f *fleet) note(format string, args ...any) {
	if f.log != nil {
		fmt.Fprintf(f.log, format+"\n", args...)
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%x ", f.trace)
	fmt.Fprintf(h, format, args...)
	f.trace = h.Sum64()
}

func (f *fleet) chance(percent int) bool { return f.rng.IntN(100) < percent }

func (f *fleet) crashes() bool { return !f.isCalm && f.rng.IntN(150) == 0 }

// boot starts a node's process with what its disk holds. Ports of before are opened again as far as they can be.
func (f *fleet) boot(n *fleetNode) {
	if f.bug == "a restart forgets the configuration" {
		n.disk.serving = wire.Serving{Ports: firstPorts(n.id)}
	}
	serving := n.disk.serving
	n.current, n.old = serving.Ports, slices.Clone(n.disk.old)
	n.node = NewNode(NodeConfig{ID: n.id, BootID: f.rng.Uint64(), Serving: &serving}, NewState(), nil)
	f.note("boot %d at %d", n.id, serving.Rev)
	if serving.Rev < n.acked {
		f.fail("node %d serves revision %d after it said %d", n.id, serving.Rev, n.acked)
	}
	f.stepNode(n, Ticked{Now: f.now, Wall: f.now})
}

func (f *fleet) kill(n *fleetNode) {
	f.note("kill %d", n.id)
	n.node, n.opened = nil, wire.Ports{}
	f.cut(n)
}

func (f *fleet) cut(n *fleetNode) {
	if n.server != nil {
		f.note("cut %d", n.id)
		n.late = append(n.late, n.up...)
		n.down, n.up, n.server, n.reading = nil, nil, nil, nil
	}
	f.stepNode(n, Disconnected{})
}

func (f *fleet) connect(n *fleetNode) {
	n.server = NewServer(ServerConfig{NodeID: n.id, Session: f.rng.Uint64(), Quarantine: Quarantine{}})
	f.stepServer(n, Ticked{Now: f.now, Wall: f.now})
	f.stepNode(n, Connected{})
}

func (f *fleet) stepNode(n *fleetNode, e Event) {
	if n.node == nil {
		return
	}
	for _, effect := range n.node.Step(e) {
		if f.crashes() {
			f.kill(n)
		}
		if n.node == nil {
			return
		}
		f.performNode(n, effect)
	}
	if n.node != nil && n.opened != (wire.Ports{}) && n.node.config.pending == nil {
		f.fail("node %d leaves ports open that it does not serve", n.id)
	}
}

func (f *fleet) performNode(n *fleetNode, e Effect) {
	switch e := e.(type) {
	case Send:
		switch said := e.Frame.(type) {
		case *wire.Hello:
			n.acked = max(n.acked, said.Serving.Rev)
		case *wire.ConfigReport:
			n.acked = max(n.acked, said.Serving.Rev)
		}
		if n.server != nil {
			n.up = append(n.up, e.Frame)
		}
	case Close:
		f.cut(n)
	case Persist:
		f.stepNode(n, Persisted{true})
	case Apply:
		f.stepNode(n, Applied{})
	case Measure:
		f.stepNode(n, Measured{})
	case OpenPorts:
		f.openPorts(n, &e.Config)
	case KeepConfig:
		f.keepConfig(n, &e)
	case ServePorts:
		f.servePorts(n, &e.Config)
	case DropPorts:
		if f.bug != "ports stay open when the disk is full" {
			n.opened = wire.Ports{}
		}
	}
}

func (f *fleet) openPorts(n *fleetNode, c *wire.Config) {
	if was, ok := n.given[c.Rev]; ok && was != c.Ports && !f.wasUnnoticed {
		f.fail("node %d gets revision %d with two contents", n.id, c.Rev)
	}
	n.given[c.Rev] = c.Ports
	if n.taken[c.Shadowsocks] {
		f.stepNode(n, PortsOpened{Why: wire.ConfigPorts, Detail: "taken"})
		return
	}
	n.opened = c.Ports
	f.stepNode(n, PortsOpened{})
}

func (f *fleet) keepConfig(n *fleetNode, e *KeepConfig) {
	if e.Config != nil && f.bug == "the report goes out before the disk is written" && n.server != nil {
		n.acked = max(n.acked, e.Serving.Rev)
		n.up = append(n.up, &wire.ConfigReport{Session: n.node.session, Serving: e.Serving})
		if f.chance(30) {
			f.kill(n)
			return
		}
	}
	isDone := !n.isFull
	switch {
	case isDone:
		if n.disk.serving = e.Serving; e.Config != nil {
			n.disk.old = append(slices.Clone(n.disk.old), n.current)
		}
	case f.bug == "a failed write counts as done":
		isDone = true
	}
	if f.crashes() {
		f.kill(n)
		return
	}
	f.stepNode(n, ConfigKept{isDone})
}

func (f *fleet) servePorts(n *fleetNode, c *wire.Config) {
	if c.Rev <= n.acked {
		f.fail("node %d goes from revision %d back to %d", n.id, n.acked, c.Rev)
	}
	if f.bug != "ports of before close at once" {
		n.old = append(n.old, n.current)
	}
	n.current, n.opened = c.Ports, wire.Ports{}
	f.note("node %d serves %d", n.id, c.Rev)
}

func (f *fleet) stepServer(n *fleetNode, e Event) {
	if n.server == nil {
		return
	}
	for _, effect := range n.server.Step(e) {
		if f.crashes() {
			f.cut(n)
		}
		if n.server == nil {
			return
		}
		f.performServer(n, effect)
	}
}

func (f *fleet) performServer(n *fleetNode, e Effect) {
	switch e := e.(type) {
	case Send:
		if f.bug == "a configuration is sent once" {
			if _, ok := e.Frame.(*wire.Config); ok && n.server.config.tries > 1 {
				return
			}
		}
		n.down = append(n.down, e.Frame)
	case Close:
		f.cut(n)
	case ReadPosition:
		f.stepServer(n, PositionRead{Position{Epoch: f.db.epoch, Rev: 1}, nil})
	case ReadChanges:
		f.stepServer(n, ChangesRead{Position: Position{Epoch: f.db.epoch, Rev: 1}})
	case ReadSnapshot:
		f.stepServer(n, SnapshotRead{Position: Position{Epoch: f.db.epoch, Rev: 1}})
	case Entomb:
		f.stepServer(n, Entombed{})
	case RaiseEpoch:
		f.db.epoch = max(f.db.epoch, e.Above) + 1
		f.high = max(f.high, f.db.epoch)
		f.stepServer(n, PositionRead{Position{Epoch: f.db.epoch, Rev: 1}, nil})
	case NoteServing:
		f.answer(n, f.noteServing(n, e.Serving))
	case ReadConfig:
		f.answer(n, ConfigRead{f.db.wanted(n.id)})
	case Welcomed:
		f.note("online %d", n.id)
		f.checkNamed(n)
	}
}

// noteServing is what the hub does, by the service.
func (f *fleet) noteServing(n *fleetNode, s wire.Serving) Event {
	if f.bug == "a node is online before its ports are known" && n.server.phase == serverPlaces {
		return ConfigRead{f.db.wanted(n.id)}
	}
	serving := vpn.NodeServing{NodeConfig: vpn.NodeConfig{Rev: s.Rev, NodePorts: nodePorts(s.Ports)}, RefusedRev: s.RefusedRev, Refusal: WhyRefused(&s)}
	if f.bug == "refusals are not written down" {
		serving.RefusedRev = 0
	}
	_, err := f.services[f.rng.IntN(2)].NoteServing(context.Background(), n.id, serving)
	if err != nil {
		return ConfigFailed{}
	}
	if f.crashes() {
		f.cut(n)
	}
	return ConfigRead{f.db.wanted(n.id)}
}

func nodePorts(p wire.Ports) vpn.NodePorts {
	return vpn.NodePorts{Shadowsocks: int(p.Shadowsocks), Count: int(p.Count), Method: p.Method, HTTPS: int(p.HTTPS)}
}

func wirePorts(p vpn.NodePorts) wire.Ports {
	return wire.Ports{Shadowsocks: int64(p.Shadowsocks), Count: int64(p.Count), Method: p.Method, HTTPS: int64(p.HTTPS)}
}

func (f *fleet) answer(n *fleetNode, e Event) {
	if !f.isCalm && f.chance(3) {
		e = ConfigFailed{}
	}
	if f.isCalm || f.chance(60) {
		f.stepServer(n, e)
		return
	}
	n.reading = e
}

func (f *fleet) finish(n *fleetNode) {
	if e := n.reading; e != nil {
		n.reading = nil
		f.stepServer(n, e)
	}
}

// isOnline reports whether clients get keys on a node.
func (n *fleetNode) isOnline() bool {
	return n.node != nil && n.server != nil && n.server.phase == serverLive
}

// checkNamed holds whenever a node is online: keys name a port that takes connections.
func (f *fleet) checkNamed(n *fleetNode) {
	named := f.db.named[n.id]
	if n.isOnline() && named != n.current && !slices.Contains(n.old, named) {
		f.fail("keys on node %d name %+v, which is not open", n.id, named)
	}
}
