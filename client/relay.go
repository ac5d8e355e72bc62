package client

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// relay carries bytes both ways until both directions have ended, or one has failed, and closes both connections.
// ahead reads what the program sends. A clean end is passed on as a half-close; a failure cuts both, the program's by a
// reset, so that it does not take a broken stream for a whole one.
func relay(near *local, ahead io.Reader, far net.Conn) {
	defer near.Close()
	defer far.Close()
	cut := func() {
		_ = far.Close()
		near.reset()
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := io.Copy(far, ahead); err != nil || closeWrite(far) != nil {
			cut()
		}
	})
	if _, err := io.Copy(near, far); err != nil || near.CloseWrite() != nil {
		cut()
	}
	wait.Wait()
}

// meter is a dialer that counts what its connections carry.
type meter struct {
	Dialer
	up, down, open atomic.Int64
}

func (m *meter) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := m.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	m.open.Add(1)
	return &meteredStream{Conn: conn, meter: m}, nil
}

func (m *meter) ListenPacket(ctx context.Context) (net.PacketConn, error) {
	conn, err := m.Dialer.ListenPacket(ctx)
	if err != nil {
		return nil, err
	}
	m.open.Add(1)
	return &meteredSocket{PacketConn: conn, meter: m}, nil
}

type meteredStream struct {
	net.Conn
	meter *meter
	once  sync.Once
}

func (s *meteredStream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.meter.down.Add(int64(n))
	return n, err
}

func (s *meteredStream) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.meter.up.Add(int64(n))
	return n, err
}

// CloseWrite ends the sending half.
func (s *meteredStream) CloseWrite() error { return closeWrite(s.Conn) }

func (s *meteredStream) Close() error {
	s.once.Do(func() { s.meter.open.Add(-1) })
	return s.Conn.Close()
}

type meteredSocket struct {
	net.PacketConn
	meter *meter
	once  sync.Once
}

func (s *meteredSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(p)
	if err == nil {
		s.meter.down.Add(int64(n))
	}
	return n, from, err
}

func (s *meteredSocket) WriteTo(p []byte, to net.Addr) (int, error) {
	n, err := s.PacketConn.WriteTo(p, to)
	if err == nil {
		s.meter.up.Add(int64(n))
	}
	return n, err
}

func (s *meteredSocket) Close() error {
	s.once.Do(func() { s.meter.open.Add(-1) })
	return s.PacketConn.Close()
}
