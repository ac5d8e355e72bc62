package wire

import (
	"context"
	"io"
	"sync"
)

// Link carries frames between a node and its control plane, in order, until it breaks. One goroutine may send while
// another receives.
type Link interface {
	// Send waits for room, not for delivery.
	Send(ctx context.Context, f Frame) error
	// Receive returns the next frame; io.EOF when the link is closed.
	Receive(ctx context.Context) (Frame, error)
	// Close breaks the link for both ends. It may be called more than once.
	Close() error
}

// pipeRoom is how many frames wait in each direction of a Pipe.
const pipeRoom = 64

// Pipe returns the two ends of a link inside one process. Frames go through the codec as on a network, so the ends
// share no memory.
func Pipe() (Link, Link) {
	there, back := make(chan []byte, pipeRoom), make(chan []byte, pipeRoom)
	closed := make(chan struct{})
	once := new(sync.Once)
	return &pipe{out: there, in: back, closed: closed, once: once}, &pipe{out: back, in: there, closed: closed, once: once}
}

type pipe struct {
	out    chan<- []byte
	in     <-chan []byte
	closed chan struct{}
	once   *sync.Once
}

func (p *pipe) Send(ctx context.Context, f Frame) error {
	body := Encode(f)
	if len(body) > MaxFrame {
		return ErrFrameTooLarge
	}
	select {
	case <-p.closed:
		return io.ErrClosedPipe
	default:
	}
	select {
	case p.out <- body:
		return nil
	case <-p.closed:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pipe) Receive(ctx context.Context) (Frame, error) {
	select {
	case body := <-p.in:
		return Decode(body)
	case <-p.closed:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}
