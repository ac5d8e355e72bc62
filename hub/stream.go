package hub

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"stile/feed"
	"stile/vpn"
	"stile/wire"
)

var (
	errDraining = errors.New("hub: the control plane hands its nodes over")
	errReplaced = errors.New("hub: the node opened another stream")
	errPanicked = errors.New("hub: a panic")
)

// outlet is the sending half of a link.
type outlet interface {
	Send(ctx context.Context, f wire.Frame) error
	Close() error
}

// stream is one link of one node. One goroutine drives its machine.
type stream struct {
	hub     *Hub
	id      int64
	node    *node
	session int64 // its number among the node's streams, guarded by node.mu; 0 before it has one
	link    outlet
	inbox   *inbox
	machine *feed.Server

	// wake has one slot: it says that there may be a change, not which.
	wake    chan struct{}
	sentRev atomic.Int64
	// configWake is the same for the node's configuration, wantedConfig the revision that is known to be wanted.
	configWake   chan struct{}
	wantedConfig atomic.Int64

	version string   // of the node's program
	held    []uint64 // the usage streams of the node, guarded by node.mu
	// usageStreams is how many usage streams of the node are in the database, begun those that began here.
	usageStreams int
	begun        map[uint64]bool
	cancel       context.CancelCauseFunc
	ended        chan struct{}
}

// Serve drives the stream of a node, whose identity is proven, until the link or ctx ends. A newer stream of the same
// node, here or at another replica, ends it too.
func (h *Hub) Serve(ctx context.Context, nodeID int64, link wire.Link) error {
	in := newInbox()
	receiving, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { in.end(receive(receiving, link, in)) })
	err := h.serve(ctx, nodeID, link, in)
	stop()
	parts.Wait()
	return err
}

// receive hands over what comes until the link or ctx ends.
func receive(ctx context.Context, link wire.Link, in *inbox) error {
	for {
		if err := in.room(ctx); err != nil {
			return err
		}
		f, err := link.Receive(ctx)
		if err == nil {
			err = in.put(f)
		}
		if err != nil {
			return err
		}
	}
}

// serve is Serve for a link whose frames are put into the inbox.
func (h *Hub) serve(ctx context.Context, nodeID int64, link outlet, in *inbox) error {
	defer link.Close()
	if h.isDraining.Load() {
		return errDraining
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	n := h.node(nodeID)
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &stream{hub: h, id: nodeID, node: n, link: link, inbox: in, wake: make(chan struct{}, 1), configWake: make(chan struct{}, 1),
		cancel: cancel, ended: make(chan struct{}),
		machine: feed.NewServer(feed.ServerConfig{NodeID: nodeID, Session: binary.BigEndian.Uint64(random[:]),
			Quarantine: n.quarantine, Allowance: &n.allowance, HasPeers: h.replica != nil})}
	if err := n.attach(ctx, s); err != nil {
		return err
	}
	in.onEnd(cancel)
	if err := h.begin(working, s); err != nil {
		cancel(err)
	}
	if h.isDraining.Load() { // since before Drain looked for streams, or this one is among them
		cancel(errDraining)
	}
	s.drive(working)
	cancel(nil)
	h.end(ctx, s, errors.Is(context.Cause(working), errDraining))
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("hub: stream of node %d: %w", nodeID, context.Cause(working))
}

// poke says that there may be a change. It never blocks.
func (s *stream) poke() { poke(s.wake) }

func (s *stream) stop() { s.cancel(errReplaced) }

// drive runs the machine until ctx ends, or until it panics: that ends this stream, which its node can open again, and nothing
// else.
func (s *stream) drive(ctx context.Context) {
	defer func() {
		if cause := recover(); cause != nil {
			s.tell(s.hub.cfg.Log.Error, "a node's stream panicked", "error", fmt.Errorf("%v\n%s", cause, debug.Stack()))
			s.cancel(errPanicked)
		}
	}()
	s.loop(ctx)
}

func (s *stream) loop(ctx context.Context) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	if ctx.Err() == nil {
		s.tick(ctx)
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			s.tick(ctx)
		case <-s.wake:
			s.step(ctx, feed.Woken{})
		case <-s.configWake:
			s.step(ctx, feed.ConfigWoken{})
		case <-s.inbox.arrived:
			s.receive(ctx)
		}
	}
}

// receive gives the machine what came.
func (s *stream) receive(ctx context.Context) {
	for _, f := range s.inbox.take() {
		if ctx.Err() != nil {
			return
		}
		if hello, ok := f.(*wire.Hello); ok {
			s.note(hello)
		}
		s.step(ctx, feed.Received{Frame: f})
	}
}

// note keeps what a node says of itself.
func (s *stream) note(hello *wire.Hello) {
	s.version = printable(hello.Version, maxVersion)
	for _, u := range hello.Streams {
		s.hold(u.Stream)
	}
}

// hold notes that the node has reports of a usage stream, or may still make some.
func (s *stream) hold(usage uint64) {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	if len(s.held) < wire.MaxItems && !slices.Contains(s.held, usage) {
		s.held = append(s.held, usage)
	}
}

// maxVersion bounds what is kept of a node's version, in bytes.
const maxVersion = 64

// printable is a text of a node, cut to so many bytes, as it can be kept and shown: databases take no zero bytes.
func printable(text string, limit int) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), limit)], ""))
}

func (s *stream) tick(ctx context.Context) {
	s.step(ctx, feed.Ticked{Now: s.hub.millis(), Wall: s.hub.cfg.Now().UnixMilli()})
}

// step gives the machine an event and does what it wants.
func (s *stream) step(ctx context.Context, e feed.Event) {
	effects := s.machine.Step(e)
	s.sentRev.Store(s.machine.SentRev())
	s.wantedConfig.Store(s.machine.WantedConfig())
	s.hub.counts.see(e, effects)
	for _, f := range effects {
		if ctx.Err() != nil {
			return
		}
		s.perform(ctx, f)
	}
}

func (s *stream) perform(ctx context.Context, f feed.Effect) {
	switch f := f.(type) {
	case feed.Send:
		s.send(ctx, f.Frame)
	case feed.Close:
		s.cancel(errors.New(f.Why))
	case feed.Alarm:
		s.tell(s.hub.cfg.Log.Error, "a node needs attention", "reason", f.Why)
	case feed.Quarantined:
		s.tell(s.hub.cfg.Log.Error, "a node cannot hold keys, which are left out until they change", "count", len(f.KeyIDs), "keys", few(f.KeyIDs))
	case feed.ReadPosition:
		s.step(ctx, s.readPosition(ctx))
	case feed.ReadChanges:
		s.step(ctx, s.readChanges(ctx, f))
	case feed.ReadSnapshot:
		s.step(ctx, s.readSnapshot(ctx))
	case feed.Entomb:
		s.step(ctx, s.entomb(ctx, f.KeyIDs))
	case feed.RaiseEpoch:
		s.step(ctx, s.raiseEpoch(ctx, f.Above))
	case feed.NoteServing:
		s.step(ctx, s.noteServing(ctx, &f.Serving))
	case feed.ReadConfig:
		s.step(ctx, s.readConfig(ctx))
	case feed.BookUsage:
		s.bookUsage(ctx, f.Report)
	case feed.Welcomed:
		s.tell(s.hub.cfg.Log.Info, "a node is online")
		s.update(true, func(n *vpn.NodeStream) {
			n.IsOnline, n.Version, n.Load, n.ActiveDevices, n.Sessions, n.At = true, s.version, 0, 0, 0, s.hub.cfg.Now()
		})
		poke(s.hub.notes.soon)
	case feed.Acked:
		if ids := s.node.newlyRefused(f.Refused); len(ids) > 0 {
			s.tell(s.hub.cfg.Log.Error, "a node refuses keys", "count", len(ids), "keys", few(ids))
		}
		s.update(true, func(n *vpn.NodeStream) {
			n.Epoch, n.Applied = s.machine.Epoch(), f.Rev
			n.Refused = vpn.NewKeyIDs(slices.AppendSeq(f.Refused, maps.Keys(s.node.quarantine))...)
		})
	case feed.Alive:
		s.update(false, func(n *vpn.NodeStream) {
			n.Load, n.ActiveDevices, n.Sessions, n.At = within(f.Load, 100), within(f.ActiveKeys, maxCount), within(f.Sessions, maxCount), s.hub.cfg.Now()
		})
	}
}

// maxCount is the most that is believed when a node counts something.
const maxCount = math.MaxInt32

// within is a number of a node, as far as it can be true.
func within(number, most int64) int { return int(min(max(number, 0), most)) }

// few is what a log line names of many keys: a node says how many they are.
func few(ids []int64) []int64 { return ids[:min(len(ids), 16)] }

// tell logs something of the stream's node.
func (s *stream) tell(log func(string, ...any), message string, args ...any) {
	s.hub.tell(s.node, log, message, args...)
}

// update changes what is known of the node; others who wait for such a change are told at once, or within a second.
func (s *stream) update(isAwaited bool, change func(*vpn.NodeStream)) {
	if s.node.update(s, change) {
		s.hub.share(s.id, isAwaited)
	}
}

func (s *stream) send(ctx context.Context, f wire.Frame) {
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := s.link.Send(sending, f); err != nil {
		s.cancel(fmt.Errorf("send: %w", err))
	}
}

// maxUsageStreams bounds the usage streams of a node whose cursors are kept, for 30 days: one for each time that its process
// started and carried something. beginRate is how often it may begin one: so seldom that in 30 days there is always room for the
// machine that takes a node's place.
const maxUsageStreams = 1 << 16

var beginRate = feed.Rate{Most: 1024, Every: 60_000}

// mayBegin counts a usage stream with its first report, which the node sends again until it is booked.
func (s *stream) mayBegin(usage uint64) bool {
	if s.begun[usage] {
		return true
	}
	if s.usageStreams >= maxUsageStreams {
		if s.usageStreams == maxUsageStreams {
			s.tell(s.hub.cfg.Log.Error, "a node has more usage streams than it may; their reports are not booked")
			s.usageStreams++
		}
		return false
	}
	wait, isNews := s.node.begins.Take(s.hub.millis(), beginRate)
	if isNews {
		s.tell(s.hub.cfg.Log.Error, "a node begins usage streams more often than nodes do; their reports have to wait; it may be in foreign hands")
	}
	if wait > 0 {
		return false
	}
	s.usageStreams++
	if s.begun == nil {
		s.begun = make(map[uint64]bool)
	}
	s.begun[usage] = true
	return true
}

func (s *stream) bookUsage(ctx context.Context, u *wire.Usage) {
	if u.Seq == 1 && !s.mayBegin(u.Stream) {
		return
	}
	s.hold(u.Stream)
	r := vpn.UsageReport{NodeID: s.id, Stream: u.Stream, Seq: u.Seq, To: time.UnixMilli(u.To), Entries: make([]vpn.UsageEntry, len(u.Entries))}
	for i, e := range u.Entries {
		r.Entries[i] = vpn.UsageEntry(e)
	}
	cursor, err := s.hub.cfg.RecordUsage(ctx, r)
	if err != nil { // the node sends it again
		if ctx.Err() == nil {
			s.tell(s.hub.cfg.Log.Error, "usage cannot be booked", "error", err)
		}
		return
	}
	s.step(ctx, feed.UsageBooked{Stream: u.Stream, Cursor: cursor})
}
