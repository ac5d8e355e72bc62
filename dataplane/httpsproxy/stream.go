package httpsproxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"stile/dataplane"
)

// tunnelStream serves a CONNECT in HTTP/2, on a stream of a connection that others use.
func (p *Plane) tunnelStream(w http.ResponseWriter, r *http.Request, l *dataplane.Link, to dataplane.Target) {
	conn, err := l.Dial(p.egress, to)
	if err != nil {
		refuse(w, l, err)
		return
	}
	control := http.NewResponseController(w)
	if !l.Attach(func() { abort(control) }) {
		return
	}
	target, err := dataplane.NewTCPStream(conn, p.buffers)
	if err != nil {
		dataplane.Reset(conn)
		refuse(w, l, err)
		return
	}
	w.WriteHeader(http.StatusOK)
	if err := control.Flush(); err != nil {
		dataplane.Reset(conn)
		return
	}
	client := &stream{writer: w, body: r.Body, control: control, buffers: p.buffers, pulse: dataplane.NewPulse()}
	p.relay.Run(l.Session(), client, target)
	client.rest()
}

// past returns a deadline that has passed.
func past() time.Time { return time.Unix(1, 0) }

// abort ends a request of net/http: in HTTP/2 its stream alone.
func abort(control *http.ResponseController) {
	_ = control.SetReadDeadline(past())
	_ = control.SetWriteDeadline(past())
}

// stream is one HTTP/2 stream as a dataplane.Stream. net/http's read deadline ends a stream for good when it passes, so
// the stream keeps its own time: one in which nothing moved for as long as SetReadDeadline asked ends.
type stream struct {
	writer  http.ResponseWriter
	body    io.Reader
	control *http.ResponseController
	buffers *dataplane.Buffers
	chunk   *dataplane.Buffer
	slices  [1][]byte
	pulse   *dataplane.Pulse
	ended   atomic.Bool // the target has finished, so the stream has
	aborted atomic.Bool

	mu       sync.Mutex // holds timer and patience, and net/http's writer against use when the request is over
	timer    *time.Timer
	patience time.Duration
	over     bool
}

// errIdle ends a stream that nobody uses.
var errIdle = errors.New("httpsproxy: nothing moved for too long")

// Next reads once. A read of nothing waits until there is something, and only then a buffer is taken.
func (s *stream) Next() (net.Buffers, error) {
	if _, err := s.body.Read(nil); err != nil {
		return nil, s.reason(err)
	}
	s.chunk = s.buffers.Take()
	n, err := s.body.Read(s.chunk[:dataplane.PayloadSize])
	if n == 0 {
		s.Release()
		return nil, s.reason(err)
	}
	s.pulse.Beat(time.Now())
	s.slices[0] = s.chunk[:n]
	return s.slices[:], nil
}

// reason hides a deadline's error, which would say that the stream may be read again.
func (s *stream) reason(err error) error {
	if errors.Is(err, io.EOF) || s.ended.Load() {
		return io.EOF
	}
	return errIdle
}

// Release returns the buffer.
func (s *stream) Release() {
	s.buffers.Return(s.chunk)
	s.chunk = nil
}

// Write sends the payload and waits while the client's window is full.
func (s *stream) Write(payload net.Buffers) error {
	for _, part := range payload {
		if _, err := s.writer.Write(part); err != nil {
			return err
		}
	}
	s.pulse.Beat(time.Now())
	return s.control.Flush()
}

// CloseWrite ends the stream, because net/http can't end one direction alone: that of the client ends, too. What was
// written arrives.
func (s *stream) CloseWrite() error {
	s.ended.Store(true)
	return s.control.SetReadDeadline(past())
}

// SetReadDeadline ends the stream when nothing moved for the time from now to at.
func (s *stream) SetReadDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patience = time.Until(at)
	s.pulse.Beat(time.Now())
	switch {
	case s.over:
	case s.timer == nil:
		s.timer = time.AfterFunc(s.patience, s.check)
	default:
		s.timer.Reset(s.patience)
	}
	return nil
}

// check ends the stream if nothing moved, or looks again later.
func (s *stream) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if left := time.Until(s.pulse.Last().Add(s.patience)); left > 0 {
		s.timer.Reset(left)
		return
	}
	abort(s.control)
}

// SetWriteDeadline bounds Write.
func (s *stream) SetWriteDeadline(at time.Time) error { return s.control.SetWriteDeadline(at) }

// Close ends both directions; a stream that has ended well already is left alone, so that its end arrives.
func (s *stream) Close() error {
	if !s.ended.Load() && !s.aborted.Swap(true) {
		abort(s.control)
	}
	return nil
}

// rest stops the stream's time; after it nothing touches the request any more.
func (s *stream) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
