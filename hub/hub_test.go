package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stile/accesskey"
	"stile/vpn"
	"stile/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// set is a store with one key for each of nodes 1 and 2.
type set struct {
	cursors       map[uint64]uint64
	vpn.NodeStore // what the hub does not call

	rev    atomic.Int64
	epoch  atomic.Int64 // less 1
	key    vpn.NodeKey
	isDown atomic.Bool
	// isFaulty makes the reading of cursors panic.
	isFaulty atomic.Bool

	mu        sync.Mutex
	entombed  []int64
	held      []uint64
	compacted map[int64]int64 // node → confirmed revision
	before    time.Time
	noted     map[int64]vpn.NodeStream
}

func (s *set) NoteStreams(_ context.Context, streams []vpn.NodeStream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noted == nil {
		s.noted = map[int64]vpn.NodeStream{}
	}
	for _, n := range streams {
		s.noted[n.NodeID] = n
	}
	return nil
}

// isOnline reports what is written of a node.
func (s *set) isOnline(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noted[id].IsOnline
}

func newSet() *set {
	s := &set{key: vpn.NodeKey{ID: 5, Seed: accesskey.Seed{9}, Rev: 1}}
	s.rev.Store(1)
	return s
}

func (s *set) position() vpn.NodePosition {
	k := wireKey(&s.key)
	var d wire.Digest
	d.Add(k.Sum())
	return vpn.NodePosition{Epoch: 1 + s.epoch.Load(), Rev: s.rev.Load(), Count: 1, Digest: d}
}

func (s *set) NodePosition(_ context.Context, id int64) (vpn.NodePosition, error) {
	if id > 2 {
		return vpn.NodePosition{}, vpn.ErrNotFound
	}
	return s.position(), nil
}

func (s *set) NodeSnapshot(_ context.Context, _ int64, yield func(vpn.NodeKey) error) (vpn.NodePosition, error) {
	if s.isDown.Load() {
		return vpn.NodePosition{}, errors.New("no database")
	}
	return s.position(), yield(s.key)
}

func (s *set) NodeChanges(context.Context, int64, int64, int) ([]vpn.NodeKey, vpn.NodePosition, error) {
	return nil, s.position(), nil
}

func (s *set) NodeRevs(context.Context) ([]vpn.NodeRev, error) {
	return []vpn.NodeRev{{NodeID: 1, Rev: s.rev.Load()}, {NodeID: 2, Rev: s.rev.Load()}}, nil
}

func (s *set) RaiseEpoch(_ context.Context, above int64, _ vpn.Audit) (int64, error) {
	s.epoch.Store(above)
	return above + 1, nil
}

func (s *set) EntombKeys(_ context.Context, _ int64, ids []int64, _ vpn.Audit) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entombed = append(s.entombed, ids...)
	return 1, nil
}

func (s *set) CompactTombstones(_ context.Context, nodeID, acked int64, before time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compacted == nil {
		s.compacted = map[int64]int64{}
	}
	s.compacted[nodeID], s.before = acked, before
	return 0, nil
}

func (s *set) CompactCursors(_ context.Context, nodeID int64, held []uint64, _ time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, held...)
	return 0, nil
}

func (*set) ForgetCursors(context.Context, time.Time) error { return nil }

func (s *set) UsageCursor(context.Context, int64) (map[uint64]uint64, error) {
	if s.isFaulty.Load() {
		panic("a fault")
	}
	return s.cursors, nil
}

// peer is the node's end of a link, driven by hand.
type peer struct {
	t       *testing.T
	link    wire.Link
	session uint64
	ended   chan error
}

func start(t *testing.T, s *set) (*Hub, context.Context, *bytes.Buffer) {
	log := new(bytes.Buffer)
	h, err := New(Config{Store: s, Log: slog.New(slog.NewTextHandler(log, nil)),
		RecordUsage: func(_ context.Context, r vpn.UsageReport) (uint64, error) {
			if r.Seq == 13 {
				return 0, errors.New("the disk is full")
			}
			return r.Seq, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return h, ctx, log
}

func join(ctx context.Context, t *testing.T, h *Hub, id int64) *peer {
	return joinAs(ctx, t, h, &wire.Hello{NodeID: id})
}

func joinAs(ctx context.Context, t *testing.T, h *Hub, hello *wire.Hello) *peer {
	here, there := wire.Pipe()
	p := &peer{t: t, link: here, ended: make(chan error, 1)}
	go func() { p.ended <- h.Serve(ctx, hello.NodeID, there) }()
	hello.Proto = wire.Protocol
	p.send(hello)
	return p
}

func (p *peer) send(f wire.Frame) {
	p.t.Helper()
	if err := p.link.Send(context.Background(), f); err != nil {
		p.t.Errorf("send %T: %v", f, err)
	}
}

// take returns the next frame of a type, skipping others.
func take[T wire.Frame](p *peer) T {
	p.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		f, err := p.link.Receive(ctx)
		cancel()
		if err != nil {
			var none T
			p.t.Fatalf("no %T came: %v", none, err)
		}
		if w, ok := f.(*wire.Welcome); ok {
			p.session = w.Session
		}
		if f, ok := f.(T); ok {
			return f
		}
	}
}

// sync takes the set and acknowledges it.
func (p *peer) sync() {
	p.t.Helper()
	end := take[*wire.SnapshotEnd](p)
	p.send(&wire.Ack{Session: p.session, Epoch: 1, Rev: end.Rev})
	synctest.Wait()
}

func TestOnlyAnAcknowledgedRevisionIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, _ := start(t, newSet())
		if h.WaitApplied(ctx, 1, 0) {
			t.Error("applied by a node that never came")
		}
		p := join(ctx, t, h, 1)
		end := take[*wire.SnapshotEnd](p)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if h.WaitApplied(short, 1, 1) {
			t.Error("applied before the ack")
		}
		p.send(&wire.Ack{Session: p.session, Epoch: 1, Rev: end.Rev})
		if !h.WaitApplied(ctx, 1, 1) {
			t.Error("not applied after the ack")
		}
		waiting := make(chan bool)
		go func() { waiting <- h.WaitApplied(ctx, 1, 2) }()
		synctest.Wait()
		p.link.Close()
		if <-waiting || h.WaitApplied(ctx, 1, 1) || h.Live(1).IsOnline {
			t.Error("applied by a node that is gone")
		}
		if err := <-p.ended; err == nil {
			t.Error("Serve reports no reason")
		}
	})
}

func TestANewStreamTakesTheOldOnesPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, _ := start(t, newSet())
		first := join(ctx, t, h, 1)
		first.sync()
		other := join(ctx, t, h, 2)
		other.sync()
		second := join(ctx, t, h, 1)
		if err := <-first.ended; !errors.Is(err, errReplaced) {
			t.Errorf("the first ended with %v", err)
		}
		second.sync()
		if !h.WaitApplied(ctx, 1, 1) || !h.WaitApplied(ctx, 2, 1) {
			t.Error("a node is not in step")
		}
	})
}

func TestNodesTellHowTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, _ := start(t, newSet())
		p := join(ctx, t, h, 1)
		p.sync()
		time.Sleep(10 * time.Second)
		p.send(&wire.NodeBeat{Session: p.session, Epoch: 1, Rev: 1, ActiveKeys: 3, Sessions: 8})
		synctest.Wait()
		if live := h.Live(1); live != (vpn.NodeLive{IsOnline: true, ActiveDevices: 3, At: time.Now()}) {
			t.Errorf("live: %+v", live)
		}
		time.Sleep(46 * time.Second)
		synctest.Wait()
		if live := h.Live(1); live.IsOnline || live.ActiveDevices != 0 {
			t.Errorf("after 46 s of silence: %+v", live)
		}
	})
}

// That a node came or went is written down at once, and that none is linked any more when the process ends.
func TestComingAndGoingIsWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		h, ctx, _ := start(t, s)
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- h.Run(running) }()
		time.Sleep(time.Second)
		first, second := join(ctx, t, h, 1), join(ctx, t, h, 2)
		first.sync()
		second.sync()
		time.Sleep(noteGather)
		synctest.Wait()
		if !s.isOnline(1) || !s.isOnline(2) {
			t.Errorf("nodes that came: %+v", s.noted)
		}
		_ = first.link.Close()
		synctest.Wait()
		time.Sleep(noteGather)
		synctest.Wait()
		if s.isOnline(1) || !s.isOnline(2) {
			t.Errorf("one that went: %+v", s.noted)
		}
		stop()
		if err := <-ended; err != nil || s.isOnline(2) || s.noted[2].At.IsZero() {
			t.Errorf("at the end: %+v, %v", s.noted, err)
		}
	})
}

func TestUsageIsAnsweredWhenItIsBooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, _ := start(t, newSet())
		p := join(ctx, t, h, 1)
		p.sync()
		p.send(&wire.Usage{Stream: 3, Seq: 13})
		p.send(&wire.Usage{Stream: 3, Seq: 4})
		if ack := take[*wire.UsageAck](p); *ack != (wire.UsageAck{Stream: 3, Seq: 4}) {
			t.Errorf("answered %+v", ack)
		}
	})
}

func TestStreamsThatDoNotBehaveEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, _ := start(t, newSet())
		unknown := join(ctx, t, h, 3)
		if err := <-unknown.ended; err == nil {
			t.Error("an unknown node is served")
		}
		stuck := join(ctx, t, h, 1)
		stuck.sync()
		for seq := range uint64(200) { // it reports and never reads the answers
			stuck.send(&wire.Usage{Stream: 1, Seq: 100 + seq})
		}
		if err := <-stuck.ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a node that reads nothing ends with %v", err)
		}
	})
}

func TestAStoreThatIsDownIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		s.isDown.Store(true)
		h, ctx, log := start(t, s)
		p := join(ctx, t, h, 1)
		synctest.Wait()
		s.isDown.Store(false)
		p.sync()
		if !h.WaitApplied(ctx, 1, 1) {
			t.Error("not applied")
		}
		if !strings.Contains(log.String(), "no database") {
			t.Errorf("the log says nothing of it: %s", log)
		}
	})
}

func TestAKeyThatNoNodeCanHoldIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		s.key.Limits.MaxSessions = -1
		h, ctx, log := start(t, s)
		p := join(ctx, t, h, 1)
		end := take[*wire.SnapshotEnd](p)
		k := wireKey(&s.key)
		p.send(&wire.Nack{Session: p.session, RefusedRev: end.Rev, Why: wire.WhyKey, Bad: []wire.BadKey{{KeyID: 5, Sum: k.Sum()}}})
		if begin := take[*wire.SnapshotBegin](p); begin.Count != 0 || begin.Digest != (wire.Digest{}) {
			t.Errorf("sent again: %+v", begin)
		}
		p.sync()
		if !h.WaitApplied(ctx, 1, 1) || !strings.Contains(log.String(), "keys=[5]") {
			t.Errorf("not applied, or not told: %s", log)
		}
		if !h.Refuses(1, 5) {
			t.Error("a key that was left out counts as being there")
		}
		if secret := fmt.Sprintf("%v", [32]byte(s.key.Seed)); strings.Contains(log.String(), secret[1:20]) {
			t.Error("the log holds a seed")
		}
		again := join(ctx, t, h, 1) // the next stream knows
		if begin := take[*wire.SnapshotBegin](again); begin.Count != 0 {
			t.Errorf("the next stream sends %+v", begin)
		}
	})
}

// A node begins a usage stream when its process starts. One in foreign hands that begins more and more of them fills no disk.
func TestUsageStreamsOfANodeAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		s.cursors = make(map[uint64]uint64)
		for stream := range uint64(maxUsageStreams - 1) {
			s.cursors[stream+1] = 1
		}
		h, ctx, log := start(t, s)
		p := join(ctx, t, h, 1)
		p.sync()
		report := func(stream, seq uint64) { p.send(&wire.Usage{Stream: stream, Seq: seq}) }
		report(1<<40, 1)
		report(1<<41, 1) // one past the bound
		report(1<<42, 1)
		report(1<<40, 2)
		for _, want := range []wire.UsageAck{{Stream: 1 << 40, Seq: 1}, {Stream: 1 << 40, Seq: 2}} {
			if ack := take[*wire.UsageAck](p); *ack != want {
				t.Errorf("booked %+v, want %+v", *ack, want)
			}
		}
		if n := strings.Count(log.String(), "more usage streams"); n != 1 {
			t.Errorf("the log tells of it %d times: %s", n, log)
		}
	})
}

// A node that begins usage streams all the time leaves room for those of the machine that takes its place.
func TestUsageStreamsBeginSoOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, log := start(t, newSet())
		p := join(ctx, t, h, 1)
		p.sync()
		booked := func(from, to int) (n int) {
			for stream := from; stream < to; stream++ {
				p.send(&wire.Usage{Stream: uint64(stream), Seq: 1})
				synctest.Wait()
				short, stop := context.WithTimeout(ctx, time.Millisecond)
				f, err := p.link.Receive(short)
				stop()
				if _, isAck := f.(*wire.UsageAck); err == nil && isAck {
					n++
				}
			}
			return n
		}
		if n := booked(1, 1+beginRate.Most); n != beginRate.Most {
			t.Fatalf("%d of %d are booked", n, beginRate.Most)
		}
		if n := booked(1, 10); n != 9 { // the answers were lost
			t.Errorf("of 9 reports that come twice %d are answered", n)
		}
		if n := booked(5000, 5010); n > 1 { // a millisecond passes with each that is not answered
			t.Errorf("%d are booked past the bound", n)
		}
		time.Sleep(time.Duration(beginRate.Every) * time.Millisecond)
		<-p.ended // of its silence
		if n := strings.Count(log.String(), "more often than nodes do"); n != 1 {
			t.Errorf("told %d times: %s", n, log)
		}
		again := join(ctx, t, h, 1)
		again.sync()
		again.send(&wire.Usage{Stream: 5001, Seq: 1})
		if ack := take[*wire.UsageAck](again); ack.Stream != 5001 {
			t.Errorf("in time: %+v", ack)
		}
	})
}

// A node may name as many refused keys as a frame holds, again and again: looking what is new among them costs no more than reading
// them.
func TestRefusedKeysCostLittle(t *testing.T) {
	n := newNode(1)
	ids := make([]int64, wire.MaxItems)
	for i := range ids {
		ids[i] = -1<<63 + int64(i)
	}
	n.state.Refused = vpn.NewKeyIDs(ids[1:]...)
	if news := n.newlyRefused(ids); len(news) != 1 || news[0] != ids[0] {
		t.Errorf("new: %v", news)
	}
	if n := testing.AllocsPerRun(1, func() { n.newlyRefused(ids) }); n > 100 {
		t.Errorf("%.0f allocations", n)
	}
}

func TestABeatIsTakenWithinReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, _ := start(t, newSet())
		p := join(ctx, t, h, 1)
		p.sync()
		for _, c := range []struct{ sent, load, count int64 }{
			{-1 << 63, 0, 0}, {-1, 0, 0}, {7, 7, 7}, {100, 100, 100}, {101, 100, 101}, {1<<63 - 1, 100, maxCount},
		} {
			p.send(&wire.NodeBeat{Session: p.session, Load: c.sent, ActiveKeys: c.sent, Sessions: c.sent})
			synctest.Wait()
			if n := h.node(1).now(); int64(n.Load) != c.load || int64(n.ActiveDevices) != c.count || int64(n.Sessions) != c.count {
				t.Errorf("of %d was kept %+v", c.sent, n)
			}
		}
	})
}

// A fault over one node's stream ends that stream. The node comes back, and the others go on.
func TestAPanicEndsItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		h, ctx, log := start(t, s)
		other := join(ctx, t, h, 2)
		other.sync()
		s.isFaulty.Store(true)
		p := join(ctx, t, h, 1)
		if err := <-p.ended; err == nil || !strings.Contains(log.String(), "readPosition") {
			t.Errorf("ended with %v; the log, which should say where: %s", err, log)
		}
		s.isFaulty.Store(false)
		again := join(ctx, t, h, 1)
		again.sync()
		if !h.WaitApplied(ctx, 1, 1) || !h.Live(2).IsOnline {
			t.Error("the node does not come back, or another one is offline")
		}
	})
}

func TestNewChecksItsConfig(t *testing.T) {
	if _, err := New(Config{Store: newSet()}); err == nil {
		t.Error("a hub without RecordUsage")
	}
	if _, err := New(Config{RecordUsage: func(context.Context, vpn.UsageReport) (uint64, error) { return 0, nil }}); err == nil {
		t.Error("a hub without Store")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		h, ctx, _ := start(t, s)
		p := join(ctx, t, h, 1)
		p.sync()
		working, cancel := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { ended <- h.Run(working) }()
		s.rev.Store(7) // without a wake
		if d := take[*wire.Delta](p); d.ToRev != 7 {
			t.Errorf("sent %+v", d)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
