package hub

import (
	"errors"
	"sync"

	"stile/wire"
)

// inboxRoom is more frames than a node has under way: its usage window, an answer and some beats.
const inboxRoom = 256

var errOverrun = errors.New("hub: the node sends more than it may")

// inbox is what came from a node and waits for its stream. It never lets the link wait, so that neither side waits for the
// other to take a frame. Empty, as it nearly always is, it holds no memory.
type inbox struct {
	arrived chan struct{} // one slot: there is something to take

	mu     sync.Mutex
	frames []wire.Frame
	err    error       // why nothing comes any more
	tell   func(error) // is told err; nil before the stream begins
}

func newInbox() *inbox { return &inbox{arrived: make(chan struct{}, 1)} }

// put adds a frame, or says why no more are taken. A frame too many ends the inbox.
func (b *inbox) put(f wire.Frame) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	if len(b.frames) >= inboxRoom {
		b.close(errOverrun)
		return errOverrun
	}
	b.frames = append(b.frames, f)
	poke(b.arrived)
	return nil
}

// take returns what waits, and leaves nothing.
func (b *inbox) take() []wire.Frame {
	b.mu.Lock()
	defer b.mu.Unlock()
	frames := b.frames
	b.frames = nil
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
	if b.tell != nil {
		b.tell(err)
	}
}

// onEnd has a function told of the end, also when that has come already.
func (b *inbox) onEnd(tell func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tell = tell; b.err != nil {
		tell(b.err)
	}
}
