package feed

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"stile/vpn"
	"stile/wire"
)

// fleetDB is the database, as package store keeps it.
type fleetDB struct {
	epoch, head int64
	rollouts    []vpn.Rollout // the newest last
	nodes       map[int64]*vpn.ConfiguredNode
	named       map[int64]wire.Ports // that keys name, by node
	refused     map[int64]bool       // revisions of which a refusal is written down
}

func (db *fleetDB) clone() *fleetDB {
	c := *db
	c.rollouts, c.named, c.refused, c.nodes = slices.Clone(db.rollouts), maps.Clone(db.named), maps.Clone(db.refused), map[int64]*vpn.ConfiguredNode{}
	for id, n := range db.nodes {
		kept := *n
		c.nodes[id] = &kept
	}
	return &c
}

func (db *fleetDB) wanted(id int64) wire.Config {
	n := db.nodes[id]
	if n == nil {
		return wire.Config{}
	}
	return wire.Config{Rev: n.Wanted.Rev, Ports: wirePorts(n.Wanted.NodePorts), KeepSeconds: int64(n.KeepOld.Seconds())}
}

func (db *fleetDB) list() []vpn.ConfiguredNode {
	all := make([]vpn.ConfiguredNode, 0, len(db.nodes))
	for _, id := range slices.Sorted(maps.Keys(db.nodes)) {
		all = append(all, *db.nodes[id])
	}
	return all
}

// fleetStore is a control plane's way to the database.
type fleetStore struct {
	vpn.Store // what configurations do not need
	fleet     *fleet
}

var errNoRoom = errors.New("no room")

func (s *fleetStore) NodeStreams(context.Context) ([]vpn.NodeStream, error) { return nil, nil }

func (s *fleetStore) ConfiguredNodes(context.Context) ([]vpn.ConfiguredNode, error) {
	return s.fleet.db.list(), nil
}

func (s *fleetStore) Rollouts(_ context.Context, _ int64, limit int) ([]vpn.Rollout, error) {
	all := slices.Clone(s.fleet.db.rollouts)
	slices.Reverse(all)
	return all[:min(limit, len(all))], nil
}

func (s *fleetStore) NoteServing(_ context.Context, id int64, said vpn.NodeServing, _ vpn.Audit) (vpn.ConfiguredNode, int64, error) {
	f := s.fleet
	if f.isFull {
		return vpn.ConfiguredNode{}, 0, errNoRoom
	}
	db := f.db
	n := db.nodes[id]
	if n == nil {
		n = &vpn.ConfiguredNode{NodeID: id}
		db.nodes[id] = n
	}
	if n.NodeConfig != said.NodeConfig {
		n.ServedAt = f.clock()
	}
	n.NodeServing = said
	if n.Wanted.Rev <= n.Rev {
		n.Wanted = n.NodeConfig
	}
	db.named[id] = wirePorts(said.NodePorts)
	f.note("node %d noted at %d, refused %d", id, said.Rev, said.RefusedRev)
	if said.RefusedRev == 0 {
		return *n, 0, nil
	}
	if said.RefusedRev != n.Wanted.Rev {
		return *n, 0, nil
	}
	db.refused[said.RefusedRev] = true
	if f.bug == "a refusal stops nothing" {
		return *n, 0, nil
	}
	for i := range db.rollouts {
		if r := &db.rollouts[i]; r.Rev == said.RefusedRev && r.State == vpn.RolloutRunning {
			r.State, r.Why = vpn.RolloutStopped, said.Refusal
		}
	}
	return *n, 0, nil
}

func (s *fleetStore) ChangeRollout(_ context.Context, rule vpn.RolloutRule, _ vpn.Audit) error {
	f := s.fleet
	if f.isFull {
		return errNoRoom
	}
	before := f.db.clone()
	if !f.isCalm && !f.interposing && (f.chance(30) || f.bug == "a replica goes on by what it saw before") { // the other control plane, or a node, was faster
		f.interposing = true
		f.anyone()
		f.interposing = false
	}
	seen := f.db
	if f.bug == "a replica goes on by what it saw before" {
		seen = before
	}
	var last *vpn.Rollout
	if n := len(seen.rollouts); n > 0 {
		r := seen.rollouts[n-1]
		last = &r
	}
	nodes := seen.list()
	if f.bug == "a stage does not wait" {
		for i := range nodes {
			nodes[i].NodeConfig = nodes[i].Wanted
		}
	}
	change, err := rule(last, nodes, f.nextRev(), time.UnixMilli(f.now))
	if err != nil {
		return err
	}
	f.commit(&change)
	return nil
}

// nextRev is the revision for another roll-out, as the store finds it.
func (f *fleet) nextRev() int64 {
	first := func(epoch int64) int64 {
		if epoch <= 1 {
			return 1
		}
		return epoch << 32
	}
	if f.bug == "revisions are given out again" {
		return f.db.head + 1
	}
	next := max(f.db.head+1, first(f.db.epoch))
	for _, n := range f.db.nodes {
		for _, rev := range []int64{n.Rev, n.RefusedRev} {
			if rev < first(f.db.epoch+1) {
				next = max(next, rev+1)
			}
		}
	}
	return next
}

// commit writes what a rule says, and checks it.
func (f *fleet) commit(c *vpn.RolloutChange) {
	db := f.db
	var old vpn.Rollout
	if n := len(db.rollouts); n > 0 {
		old = db.rollouts[n-1]
	}
	for _, r := range c.Rollouts {
		if r.State == vpn.RolloutRunning && (r.Rev < old.Rev || r.Rev == old.Rev && old.State != vpn.RolloutRunning) {
			f.fail("roll-out %d goes on after it ended", r.Rev)
		}
		i := slices.IndexFunc(db.rollouts, func(o vpn.Rollout) bool { return o.Rev == r.Rev })
		if i < 0 {
			db.rollouts = append(db.rollouts, r)
			db.head = max(db.head, r.Rev)
			i = len(db.rollouts) - 1
		}
		db.rollouts[i] = r
		f.note("roll-out %d is %s in %d", r.Rev, r.State, r.Stage)
		if isStep := r.Rev == old.Rev && r.Stage > old.Stage; isStep {
			f.checkStep(&old)
		}
	}
	for i := range c.Nodes {
		n := c.Nodes[i]
		known := db.nodes[n.NodeID]
		if known == nil {
			continue
		}
		if n.Wanted.Rev > known.Wanted.Rev && db.refused[n.Wanted.Rev] {
			f.fail("revision %d was refused, and goes on to node %d", n.Wanted.Rev, n.NodeID)
		}
		n.NodeServing, n.ServedAt = known.NodeServing, known.ServedAt // its own word
		db.nodes[n.NodeID] = &n
	}
}

// checkStep holds when a stage begins: every node of those before serves the revision, by its own disk, and nobody refused it.
func (f *fleet) checkStep(r *vpn.Rollout) {
	if f.db.refused[r.Rev] {
		f.fail("roll-out %d goes on after it was refused", r.Rev)
	}
	for _, n := range f.nodes {
		c := f.db.nodes[n.id]
		if c == nil || !r.Has(c) {
			continue
		}
		if n.acked < r.Rev && !f.wasUnnoticed && !n.wasRestored {
			f.fail("roll-out %d goes on, and node %d never served it", r.Rev, n.id)
		}
	}
}

// fleetNodes is what a control plane knows of the nodes now.
type fleetNodes struct {
	vpn.Nodes
	fleet *fleet
}

func (l fleetNodes) Live(id int64) vpn.NodeLive {
	for _, n := range l.fleet.nodes {
		if n.id == id && n.isOnline() {
			return vpn.NodeLive{IsOnline: true, At: l.fleet.clock(), ActiveDevices: int(id % 3)}
		}
	}
	return vpn.NodeLive{}
}
