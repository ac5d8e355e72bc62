package hub

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stile/accesskey"
	"stile/vpn"
	"stile/wire"
)

// flood is a store in which each revision of a node brings a key; it computes what it is asked for.
type flood struct {
	vpn.NodeStore // what the hub does not call

	mu  sync.Mutex
	pos map[int64]vpn.NodePosition
}

func (f *flood) NoteStreams(context.Context, []vpn.NodeStream) error { return nil }

func floodKey(rev int64) vpn.NodeKey {
	return vpn.NodeKey{ID: rev, Rev: rev, Seed: accesskey.Seed{byte(rev)}}
}

// change adds a key and returns the new revision.
func (f *flood) change(id int64) vpn.NodeRev {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pos[id]
	p.Epoch, p.Rev, p.Count = 1, p.Rev+1, p.Count+1
	k := floodKey(p.Rev)
	w := wireKey(&k)
	digest := wire.Digest(p.Digest)
	digest.Add(w.Sum())
	p.Digest = digest
	f.pos[id] = p
	return vpn.NodeRev{NodeID: id, Rev: p.Rev}
}

func (f *flood) NodePosition(_ context.Context, id int64) (vpn.NodePosition, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pos[id], nil
}

func (f *flood) NodeChanges(ctx context.Context, id, after int64, limit int) (keys []vpn.NodeKey, p vpn.NodePosition, err error) {
	p, err = f.NodePosition(ctx, id)
	for rev := after + 1; rev <= min(p.Rev, after+int64(limit)); rev++ {
		keys = append(keys, floodKey(rev))
	}
	return keys, p, err
}

func (f *flood) NodeSnapshot(ctx context.Context, id int64, yield func(vpn.NodeKey) error) (p vpn.NodePosition, err error) {
	p, err = f.NodePosition(ctx, id)
	for rev := int64(1); rev <= p.Rev && err == nil; rev++ {
		err = yield(floodKey(rev))
	}
	return p, err
}

func (f *flood) NodeRevs(ctx context.Context) (revs []vpn.NodeRev, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, p := range f.pos {
		revs = append(revs, vpn.NodeRev{NodeID: id, Rev: p.Rev})
	}
	return revs, nil
}

func (f *flood) UsageCursor(context.Context, int64) (map[uint64]uint64, error) { return nil, nil }

// valve is a link that takes nothing but a welcome once it is shut.
type valve struct {
	wire.Link
	isShut *atomic.Bool
}

func (v valve) Send(ctx context.Context, f wire.Frame) error {
	if f.Type() != wire.TypeWelcome && v.isShut.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return v.Link.Send(ctx, f)
}

// A node takes no frames for five minutes, however often it connects, while 100,000 of its keys change. That costs the
// control side no memory, and the other node nothing.
func TestAStuckNodeCostsNothing(t *testing.T) {
	const growth = 20 << 20
	synctest.Test(t, func(t *testing.T) {
		store := &flood{pos: make(map[int64]vpn.NodePosition)}
		h, err := New(Config{Store: store, RecordUsage: func(context.Context, vpn.UsageReport) (uint64, error) { return 0, nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var parts sync.WaitGroup
		defer parts.Wait()
		defer cancel()
		parts.Go(func() { _ = h.Run(ctx) })
		store.change(1)
		store.change(2)
		var isShut atomic.Bool
		connect := func(id int64) {
			for ; ctx.Err() == nil; time.Sleep(time.Second) {
				here, there := wire.Pipe()
				parts.Go(func() { acknowledge(ctx, here, id, store.at(id)) })
				if id == 1 {
					there = valve{there, &isShut}
				}
				_ = h.Serve(ctx, id, there)
			}
		}
		parts.Go(func() { connect(1) })
		parts.Go(func() { connect(2) })
		time.Sleep(3 * time.Second)
		if !h.WaitApplied(ctx, 1, 1) || !h.WaitApplied(ctx, 2, 1) {
			t.Fatal("the nodes are not in step")
		}
		before := heap()
		isShut.Store(true)
		peak := before
		for second := range 300 {
			for range 333 {
				h.Wake(store.change(1))
			}
			rev := store.change(2)
			h.Wake(rev)
			waiting, done := context.WithTimeout(ctx, time.Second)
			if !h.WaitApplied(waiting, 2, rev.Rev) {
				t.Fatal("the other node waits")
			}
			done()
			time.Sleep(time.Second)
			if second%7 == 0 {
				peak = max(peak, heap())
			}
		}
		t.Logf("the heap grew by up to %d KiB", (peak-before)>>10)
		if peak-before > growth {
			t.Errorf("the heap grew by %d bytes", peak-before)
		}
		isShut.Store(false)
		time.Sleep(time.Minute)
		if rev := store.change(1); !h.WaitApplied(ctx, 1, rev.Rev-1) {
			t.Error("the node never caught up")
		}
	})
}

// at is where a node stood before the flood.
func (f *flood) at(id int64) wire.Hello {
	k := floodKey(1)
	w := wireKey(&k)
	hello := wire.Hello{Proto: wire.Protocol, NodeID: id, Epoch: 1, Rev: 1, Count: 1}
	hello.Digest.Add(w.Sum())
	return hello
}

// acknowledge is a node that holds what hello says and takes what comes.
func acknowledge(ctx context.Context, link wire.Link, id int64, hello wire.Hello) {
	defer link.Close()
	_ = link.Send(ctx, &hello)
	var session uint64
	for {
		f, err := link.Receive(ctx)
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *wire.Welcome:
			session = f.Session
		case *wire.ServerBeat:
			_ = link.Send(ctx, &wire.NodeBeat{Session: session, Epoch: 1})
		case *wire.Delta:
			_ = link.Send(ctx, &wire.Ack{Session: session, Epoch: 1, Rev: f.ToRev})
		case *wire.SnapshotEnd:
			_ = link.Send(ctx, &wire.Ack{Session: session, Epoch: 1, Rev: f.Rev})
		}
	}
}

// heap is what is in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
