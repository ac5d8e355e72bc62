package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"stile/wire"
)

const (
	// outRoom is how many frames wait to be sent.
	outRoom = 64
	// maxBatch is the size in bytes from which on a request takes no further frame.
	maxBatch = 64 << 10
)

// link is the node's end of a link over HTTP/2: frames come as the answer to one long request, or as the answers to
// polls, and go as the bodies of small ones, one after the other.
type link struct {
	control *control
	name    string
	// ctx ends with the link.
	ctx    context.Context //nolint:containedctx // a link outlives the call that made it
	cancel context.CancelCauseFunc
	out    chan wire.Frame
	// next returns the next frame.
	next    func() (wire.Frame, error)
	body    io.Closer // of the stream
	sending sync.WaitGroup
	once    sync.Once
	// ended is told how the link went.
	ended func(lived time.Duration)
	began time.Time
}

// openStream opens a stream of frames.
func openStream(ctx context.Context, c *control) (*link, error) {
	l := newLink(ctx, c)
	answer, err := c.do(l.ctx, http.MethodPost, wire.PathStream, "", nil) //nolint:bodyclose,contextcheck // closed with the link, whose context comes of ctx
	if err != nil {
		l.cancel(err)
		return nil, err
	}
	l.body, l.name = answer.Body, answer.Header.Get(wire.StreamHeader)
	frames := bufio.NewReader(answer.Body)
	l.next = func() (wire.Frame, error) { return wire.Read(frames) }
	l.start()
	return l, nil
}

// openPolls opens a stream whose frames are fetched.
func openPolls(ctx context.Context, c *control) (*link, error) {
	l := newLink(ctx, c)
	answer, err := c.do(l.ctx, http.MethodPost, wire.PathPoll, "", nil) //nolint:contextcheck // the link's, which comes of ctx
	if err != nil {
		l.cancel(err)
		return nil, err
	}
	_ = answer.Body.Close()
	l.name = answer.Header.Get(wire.StreamHeader)
	var waiting []wire.Frame
	l.next = func() (wire.Frame, error) {
		for len(waiting) == 0 {
			if waiting, err = l.poll(); err != nil {
				return nil, err
			}
		}
		f := waiting[0]
		waiting = waiting[1:]
		return f, nil
	}
	l.start()
	return l, nil
}

// newLink makes a link that ends with ctx.
func newLink(ctx context.Context, c *control) *link {
	l := &link{control: c, out: make(chan wire.Frame, outRoom), began: time.Now()}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	return l
}

func (l *link) start() { l.sending.Go(l.send) }

// poll fetches what there is, or nothing.
func (l *link) poll() ([]wire.Frame, error) {
	answer, err := l.control.do(l.ctx, http.MethodPost, wire.PathPoll, l.name, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	var frames []wire.Frame
	for r := bufio.NewReader(http.MaxBytesReader(nil, answer.Body, wire.MaxNodeBody)); ; {
		f, err := wire.Read(r)
		switch {
		case err == nil:
			frames = append(frames, f)
		case errors.Is(err, io.EOF) && len(frames) > 0 && !errors.Is(err, wire.ErrTruncated):
			return frames, nil
		default:
			return nil, err
		}
	}
}

// send carries frames up, as many in one request as wait.
func (l *link) send() {
	for {
		var batch []byte
		select {
		case f := <-l.out:
			batch = wire.Append(nil, f)
		case <-l.ctx.Done():
			return
		}
		for frames := 1; frames < wire.MaxNodeFrames && len(batch) < maxBatch; frames++ {
			select {
			case f := <-l.out:
				next := wire.Append(nil, f)
				if len(batch)+len(next) > wire.MaxNodeBody {
					if !l.post(batch) {
						return
					}
					batch = nil
				}
				batch = append(batch, next...)
				continue
			default:
			}
			break
		}
		if !l.post(batch) {
			return
		}
	}
}

// post reports whether the link goes on.
func (l *link) post(batch []byte) bool {
	ctx, cancel := context.WithTimeout(l.ctx, requestTimeout)
	defer cancel()
	answer, err := l.control.do(ctx, http.MethodPost, wire.PathFrames, l.name, bytes.NewReader(batch))
	if err != nil {
		l.cancel(err)
		return false
	}
	_ = answer.Body.Close()
	return true
}

// Send implements wire.Link.
func (l *link) Send(ctx context.Context, f wire.Frame) error {
	if len(wire.Encode(f)) > wire.MaxFrame {
		return wire.ErrFrameTooLarge
	}
	select {
	case l.out <- f:
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx) //nolint:contextcheck // why the link ended
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Receive implements wire.Link. ctx is that of the link.
func (l *link) Receive(context.Context) (wire.Frame, error) {
	f, err := l.next()
	if err != nil && l.ctx.Err() != nil {
		err = context.Cause(l.ctx) //nolint:contextcheck // why the link ended
	}
	return f, err
}

// Close implements wire.Link.
func (l *link) Close() error {
	l.once.Do(func() {
		l.cancel(io.EOF)
		if l.body != nil {
			_ = l.body.Close()
		}
		l.sending.Wait()
		l.control.close()
		if l.ended != nil {
			l.ended(time.Since(l.began))
		}
	})
	return nil
}
