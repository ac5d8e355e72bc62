package node

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stile/accesskey"
	"stile/dataplane"
	"stile/hub"
	"stile/vpn"
	"stile/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nodeID = 10

// memory is the store of one node, in memory.
type memory struct {
	vpn.NodeStore // what the hub does not call

	mu        sync.Mutex
	pos       vpn.NodePosition
	rows      map[int64]vpn.NodeKey
	cursors   map[uint64]uint64
	used      map[int64]int64
	snapshots int
	answers   int
	loseEach  int // of so many reports one is booked and its answer lost; 0: none
}

func newMemory() *memory {
	return &memory{pos: vpn.NodePosition{Epoch: 1}, rows: map[int64]vpn.NodeKey{}, cursors: map[uint64]uint64{}, used: map[int64]int64{}}
}

func sum(k vpn.NodeKey) wire.Sum {
	w := wire.Key{ID: k.ID, Seed: wire.Seed(k.Seed), UpBytesPerSecond: k.Limits.UpBytesPerSecond,
		DownBytesPerSecond: k.Limits.DownBytesPerSecond, MaxSessions: int64(k.Limits.MaxSessions)}
	if !k.NotAfter.IsZero() {
		w.NotAfter = k.NotAfter.UnixMilli()
	}
	return w.Sum()
}

func (m *memory) change(k vpn.NodeKey) vpn.NodeRev {
	m.mu.Lock()
	defer m.mu.Unlock()
	digest := wire.Digest(m.pos.Digest)
	if old, ok := m.rows[k.ID]; ok && !old.IsRemoved {
		digest.Sub(sum(old))
		m.pos.Count--
	}
	if !k.IsRemoved {
		digest.Add(sum(k))
		m.pos.Count++
	}
	m.pos.Digest = digest
	m.pos.Rev++
	k.Rev = m.pos.Rev
	m.rows[k.ID] = k
	return vpn.NodeRev{NodeID: nodeID, Rev: k.Rev}
}

func (m *memory) put(id int64, notAfter time.Time) vpn.NodeRev {
	return m.change(vpn.NodeKey{ID: id, Seed: accesskey.Seed{byte(id), byte(id >> 8), 7}, NotAfter: notAfter})
}

func (m *memory) revoke(id int64) vpn.NodeRev { return m.change(vpn.NodeKey{ID: id, IsRemoved: true}) }

func (m *memory) NodePosition(_ context.Context, id int64) (vpn.NodePosition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id != nodeID {
		return vpn.NodePosition{}, vpn.ErrNotFound
	}
	return m.pos, nil
}

func (m *memory) NodeChanges(_ context.Context, _, after int64, limit int) ([]vpn.NodeKey, vpn.NodePosition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []vpn.NodeKey
	for _, k := range m.rows {
		if k.Rev > after {
			rows = append(rows, k)
		}
	}
	slices.SortFunc(rows, func(a, b vpn.NodeKey) int { return int(a.Rev - b.Rev) })
	return rows[:min(limit, len(rows))], m.pos, nil
}

func (m *memory) NodeSnapshot(_ context.Context, _ int64, yield func(vpn.NodeKey) error) (vpn.NodePosition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snapshots++
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		if err := yield(m.rows[id]); err != nil {
			return vpn.NodePosition{}, err
		}
	}
	return m.pos, nil
}

func (m *memory) NodeRevs(context.Context) ([]vpn.NodeRev, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []vpn.NodeRev{{NodeID: nodeID, Rev: m.pos.Rev}}, nil
}

func (m *memory) UsageCursor(context.Context, int64) (map[uint64]uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.cursors), nil
}

func (m *memory) record(_ context.Context, r vpn.UsageReport) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Seq == m.cursors[r.Stream]+1 {
		m.cursors[r.Stream] = r.Seq
		for _, e := range r.Entries {
			m.used[e.KeyID] += e.Up + e.Down
		}
	}
	if m.answers++; m.loseEach > 0 && m.answers%m.loseEach == 0 {
		return 0, errors.New("the answer is lost")
	}
	return m.cursors[r.Stream], nil
}

func (m *memory) usage() map[int64]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.used)
}

// plane is a data plane without a protocol: a client names its key.
type plane struct {
	ledger *dataplane.Ledger
	done   chan struct{}

	mu   sync.Mutex
	keys map[int64]bool
	bad  int64 // the key that it cannot take
}

func newPlane(l *dataplane.Ledger) *plane {
	return &plane{ledger: l, done: make(chan struct{}), keys: map[int64]bool{}}
}

func (p *plane) Protocol() string { return "fake" }

func (p *plane) Apply(put []dataplane.Key, remove []int64, full bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if full {
		clear(p.keys)
	}
	for _, k := range put {
		if k.ID == p.bad {
			return errors.New("not this key")
		}
		p.keys[k.ID] = true
	}
	for _, id := range remove {
		delete(p.keys, id)
	}
	return nil
}

func (p *plane) Run(context.Context) error { <-p.done; return nil }

func (p *plane) Close(context.Context) error { close(p.done); return nil }

// connect opens a session of a key, as a client's connection does.
func (p *plane) connect(id int64) (*dataplane.Session, <-chan struct{}, error) {
	p.mu.Lock()
	known := p.keys[id]
	p.mu.Unlock()
	if !known {
		return nil, nil, dataplane.ErrUnknownKey
	}
	cut := make(chan struct{})
	s, err := p.ledger.Admit(id, func() { close(cut) })
	return s, cut, err
}

func (m *memory) NoteStreams(context.Context, []vpn.NodeStream) error { return nil }

func (m *memory) ForgetCursors(context.Context, time.Time) error { return nil }

// setup is a control plane and what it takes to start nodes that link to it.
type setup struct {
	t     testing.TB
	ctx   context.Context
	store *memory
	hub   *hub.Hub
	dir   string
	// isCut: no new link comes about.
	isCut atomic.Bool
	// isFull: the node's disk takes no more keys.
	isFull atomic.Bool
}

func newSetup(t testing.TB) *setup {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := &setup{t: t, ctx: ctx, store: newMemory(), dir: t.TempDir()}
	s.startHub()
	return s
}

func (s *setup) startHub() {
	h, err := hub.New(hub.Config{Store: s.store, RecordUsage: s.store.record, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.hub = h
	go h.Run(s.ctx)
}

func (s *setup) dial(ctx context.Context) (wire.Link, error) {
	if s.isCut.Load() {
		return nil, errors.New("no route to the control plane")
	}
	here, there := wire.Pipe()
	h := s.hub
	go h.Serve(s.ctx, nodeID, there)
	return here, nil
}

// process is one run of a node.
type process struct {
	*plane
	agent *Agent
	stop  func()
	kill  func()
}

// start runs a node. Its stop is a clean shutdown; its kill leaves the files as they are at that moment.
func (s *setup) start() *process {
	s.t.Helper()
	ledger := dataplane.NewLedger(time.Now)
	p := &process{plane: newPlane(ledger)}
	a, err := Open(Config{Dir: s.dir, ID: nodeID, Ledger: ledger, Planes: []dataplane.Plane{p.plane}, Dial: s.dial,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	p.agent = a
	a.disk.sync = func(f *os.File) error {
		if s.isFull.Load() {
			return errors.New("no space left")
		}
		return fsync(f)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan struct{})
	killed := false
	go func() {
		defer close(ended)
		defer ledger.Close()
		up := &uplink{dial: s.dial, events: make(chan linkEvent), log: a.cfg.Log}
		linked := make(chan struct{})
		go func() { defer close(linked); up.run(ctx) }()
		a.loop(ctx, up.events)
		<-linked
		if !killed {
			a.report(ctx)
		}
		_ = a.journal.close()
		_ = a.disk.close()
	}()
	p.stop = func() { cancel(); <-ended }
	p.kill = func() { killed = true; cancel(); <-ended }
	return p
}

// apply makes a change known and waits until the node has it.
func (s *setup) apply(r vpn.NodeRev) {
	s.t.Helper()
	s.hub.Wake(r)
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
	defer cancel()
	if !s.hub.WaitApplied(ctx, nodeID, r.Rev) {
		s.t.Fatalf("revision %d was not applied", r.Rev)
	}
}

// online waits until the node is.
func (s *setup) online() {
	s.t.Helper()
	for range 100 {
		if s.hub.Live(nodeID).IsOnline {
			return
		}
		time.Sleep(time.Second)
	}
	s.t.Fatal("the node did not come online")
}
