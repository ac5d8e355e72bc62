package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A program that opens a connection and does not come to the point is sent away, whichever way it began.
func TestProxyDoesNotWaitForever(t *testing.T) {
	for _, beginning := range []string{"", "\x05", "\x05\x01\x00", "G", "GET / HTTP/1.1\r\nHost"} {
		synctest.Test(t, func(t *testing.T) {
			p := NewProxy(noWay{errors.New("dialled")})
			listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.Serve(ctx, listener) }()
			near, far := net.Pipe()
			listener.conns <- far
			if _, err := near.Write([]byte(beginning)); err != nil {
				t.Fatal(err)
			}
			from := time.Now()
			if _, err := io.Copy(io.Discard, near); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(from); took < handshakeLimit || took > handshakeLimit+time.Second {
				t.Errorf("after %q the proxy waited %v, want %v", beginning, took, handshakeLimit)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// pipes is a listener in memory, which synctest can wait for.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	gone   bool
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	if !p.gone {
		p.gone = true
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1080} }

// strict is a dialer that fails the test when it is asked for what no tunnel could carry.
type strict struct{ t *testing.T }

func (d strict) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" || !isDestination(address) {
		d.t.Errorf("dialled %s %q", network, address)
	}
	near, far := net.Pipe()
	far.Close()
	return near, nil
}

func (d strict) ListenPacket(context.Context) (net.PacketConn, error) {
	return nil, errors.New("no datagrams here")
}

// Whatever a program says first, the proxy survives, closes the connection, and dials only what is a destination.
func FuzzProxy(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50hello"))
	f.Add([]byte("\x05\x02\x00\x02\x05\x01\x00\x03\x09site.test\x01\xbb"))
	f.Add([]byte("\x05\x01\x00\x05\x03\x00\x04" + string(make([]byte, 18))))
	f.Add([]byte("CONNECT site.test:443 HTTP/1.1\r\nHost: site.test:443\r\n\r\n\x16\x03\x01"))
	f.Add([]byte("GET http://site.test/ HTTP/1.1\r\nHost: site.test\r\n\r\n"))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	f.Add([]byte("\x04\x01"))
	f.Fuzz(func(t *testing.T, said []byte) {
		p := NewProxy(strict{t})
		listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- p.Serve(ctx, listener) }()
		near, far := net.Pipe()
		listener.conns <- far
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = io.Copy(io.Discard, near)
		}()
		_ = near.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = near.Write(said)
		near.Close()
		<-answered
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

// A datagram that is accepted has a destination and is written the same way again.
func FuzzDatagram(f *testing.F) {
	f.Add(append(socksHeader("127.0.0.1", 53), "query"...))
	f.Add(append(socksHeader("site.test", 443), 0))
	f.Add(append([]byte{0, 0, 0, 4}, make([]byte, 30)...))
	f.Add([]byte{0, 0, 1, 1, 127, 0, 0, 1, 0, 53, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, to, ok := parseDatagram(b)
		if !ok {
			return
		}
		if !isDestination(to.String()) || !bytes.HasSuffix(b, payload) || b[2] != 0 {
			t.Fatalf("% x is accepted as %q with % x", b, to, payload)
		}
	})
}
