package hub

import (
	"context"
	"sync"

	"stile/wire"
)

const (
	// inboxFrames and inboxBytes are more than an honest node has under way: two windows of the largest usage reports, as all
	// are sent again that were not answered for seconds, take 6.3 MB. The last body may go beyond them.
	inboxFrames = 256
	inboxBytes  = 8 << 20
	// earlyBytes is for a link whose stream has not begun, before which a node has nothing to send but a Hello.
	earlyBytes = 128 << 10
	// frameBytes is what a frame takes besides its lists.
	frameBytes = 128
)

// inbox is what came from a node and waits for its stream. Empty, as it nearly always is, it holds no memory. When it is full, the
// link takes nothing more off the node until the stream has taken what is there. Neither side then waits for the other to take
// a frame: a node whose answers are late has less under way than an inbox holds.
type inbox struct {
	arrived chan struct{} // one slot: there is something to take
	taken   chan struct{} // one slot: there may be room

	mu     sync.Mutex
	frames []wire.Frame
	bytes  int         // of the frames, about
	err    error       // why nothing comes any more
	tell   func(error) // is told err; nil before the stream begins
}

func newInbox() *inbox { return &inbox{arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1)} }

// weigh is about how many bytes of memory a frame of a node takes, 0 for one that only a control plane sends.
func weigh(f wire.Frame) int {
	switch f := f.(type) {
	case *wire.Usage:
		return frameBytes + 24*len(f.Entries)
	case *wire.Hello:
		return 2*frameBytes + wire.MaxText + 16*len(f.Streams) + 8*len(f.Refused)
	case *wire.Nack:
		return frameBytes + 40*len(f.Bad)
	case *wire.Revoked:
		return frameBytes + 8*len(f.KeyIDs)
	case *wire.Ack:
		return frameBytes + 8*len(f.Refused)
	case *wire.NodeBeat:
		return frameBytes + 8*len(f.Refused)
	case *wire.BucketPrints:
		return frameBytes + 8*wire.Buckets
	case *wire.ConfigReport:
		return frameBytes + 2*wire.MaxText
	case *wire.Unknown:
		return frameBytes
	}
	return 0
}

// put adds a frame, or says why no more are taken. It never waits: room does.
func (b *inbox) put(f wire.Frame) error {
	weight := weigh(f)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || weight == 0 {
		return b.err
	}
	b.frames, b.bytes = append(b.frames, f), b.bytes+weight
	poke(b.arrived)
	return nil
}

// room waits until there is some, or nothing comes any more, or returns the error of ctx. One at a time may wait.
func (b *inbox) room(ctx context.Context) error {
	for !b.hasRoom() {
		select {
		case <-b.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// hasRoom reports whether nobody need wait.
func (b *inbox) hasRoom() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := inboxBytes
	if b.tell == nil {
		most = earlyBytes
	}
	return b.err != nil || len(b.frames) < inboxFrames && b.bytes < most
}

// take returns what waits, and leaves nothing.
func (b *inbox) take() []wire.Frame {
	b.mu.Lock()
	defer b.mu.Unlock()
	frames := b.frames
	b.frames, b.bytes = nil, 0
	poke(b.taken)
	return frames
}

// end says that nothing comes any more, and why.
func (b *inbox) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close(err)
}

// close ends the inbox, once. The caller holds mu.
func (b *inbox) close(err error) {
	if b.err != nil {
		return
	}
	b.err = err
	poke(b.taken)
	if b.tell != nil {
		b.tell(err)
	}
}

// onEnd has a function told of the end, also when that has come already.
func (b *inbox) onEnd(tell func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	poke(b.taken)
	if b.tell = tell; b.err != nil {
		tell(b.err)
	}
}
