package client

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// silenceLimit is how long a server may leave the first bytes of a connection unanswered before its key is suspected.
const silenceLimit = 10 * time.Second

// vigil decides whether one connection looks as if the server did not honour its key.
type vigil struct {
	suspect func()
	spoke   sync.Once
	timer   atomic.Pointer[time.Timer]
	heard   atomic.Bool
	closed  atomic.Bool
}

// sent notes that something went to the server: from the first time on it has silenceLimit to answer.
func (v *vigil) sent() {
	v.spoke.Do(func() {
		v.timer.Store(time.AfterFunc(silenceLimit, func() {
			if !v.heard.Load() && !v.closed.Load() {
				v.suspect()
			}
		}))
	})
}

// received notes the outcome of a read. An end before the first byte is suspicious, and so is any end that is not clean.
func (v *vigil) received(n int, err error) {
	if n > 0 && !v.heard.Swap(true) {
		v.rest()
	}
	if err != nil && !v.closed.Load() && (!v.heard.Load() || !errors.Is(err, io.EOF)) {
		v.suspect()
	}
}

// close ends the vigil; it reports false when it had ended before.
func (v *vigil) close() bool {
	first := !v.closed.Swap(true)
	v.rest()
	return first
}

func (v *vigil) rest() {
	if timer := v.timer.Load(); timer != nil {
		timer.Stop()
	}
}

// stream is a watched connection of a line.
type stream struct {
	net.Conn
	vigil vigil
	line  *Line
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.vigil.received(n, err)
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	s.vigil.sent()
	return s.Conn.Write(p)
}

// CloseWrite ends the sending half.
func (s *stream) CloseWrite() error { return closeWrite(s.Conn) }

func (s *stream) Close() error {
	if s.vigil.close() {
		s.line.leave(s)
	}
	return s.Conn.Close()
}

// socket is a watched packet connection of a line. Unanswered datagrams are common, so errors alone mean nothing: only
// a socket that never got an answer is suspicious.
type socket struct {
	net.PacketConn
	vigil vigil
	line  *Line
}

func (s *socket) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(p)
	if err == nil {
		s.vigil.received(1, nil)
	}
	return n, from, err
}

func (s *socket) WriteTo(p []byte, to net.Addr) (int, error) {
	s.vigil.sent()
	return s.PacketConn.WriteTo(p, to)
}

func (s *socket) Close() error {
	if s.vigil.close() {
		s.line.leave(s)
	}
	return s.PacketConn.Close()
}

// closeWrite ends the sending half of a connection that can, and the whole of one that cannot.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}
