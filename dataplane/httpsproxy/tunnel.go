package httpsproxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"stile/dataplane"
)

// smallRead is what a tunnel holds while it waits for its client; a larger buffer is taken when this one fills.
const smallRead = 4 << 10

// tunnel serves a CONNECT in HTTP/1.1. The connection leaves net/http, whose buffers and goroutine end with the request; the
// link goes on then, in a goroutine that ends it.
func (p *Plane) tunnel(w http.ResponseWriter, l *dataplane.Link, to dataplane.Target) (goesOn bool) {
	target, err := l.Dial(p.egress, to)
	if err != nil {
		refuse(w, l, err)
		return false
	}
	conn, ahead, err := http.NewResponseController(w).Hijack()
	client, isTLS := conn.(*tls.Conn)
	if err != nil || !isTLS {
		dataplane.Reset(target)
		return false
	}
	stream := newTLSStream(client, ahead.Reader, p.buffers)
	if !l.Attach(func() { dataplane.Reset(stream.wire.TCPConn) }) {
		return false
	}
	go func() {
		defer p.links.Leave(l)
		defer p.failures.Contain(l.Cut)
		p.run(l, stream, target)
	}()
	return true
}

// run answers the CONNECT and moves bytes until the tunnel ends.
func (p *Plane) run(l *dataplane.Link, client *tlsStream, target *net.TCPConn) {
	far, err := dataplane.NewTCPStream(target, p.buffers)
	if err == nil {
		_ = client.SetWriteDeadline(time.Now().Add(headerTimeout))
		_, err = io.WriteString(client.Conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	}
	if err != nil {
		dataplane.Reset(client.wire.TCPConn)
		dataplane.Reset(target)
		return
	}
	p.relay.Run(l.Session(), client, far)
}

// tlsStream is a client's TLS connection as a dataplane.Stream.
type tlsStream struct {
	*tls.Conn
	wire    *wire
	buffers *dataplane.Buffers
	small   []byte
	early   []byte // what the client sent right after its CONNECT
	chunk   *dataplane.Buffer
	slices  [1][]byte
}

func newTLSStream(conn *tls.Conn, ahead *bufio.Reader, buffers *dataplane.Buffers) *tlsStream {
	s := &tlsStream{Conn: conn, wire: wireOf(conn), buffers: buffers, small: make([]byte, smallRead)}
	if n := ahead.Buffered(); n > 0 {
		s.early = make([]byte, n)
		_, _ = io.ReadFull(ahead, s.early)
	}
	return s
}

// Next waits for bytes. When they fill the small buffer, it takes in all that has arrived, as far as it fits a large one.
func (s *tlsStream) Next() (net.Buffers, error) {
	if s.early != nil {
		s.slices[0], s.early = s.early, nil
		return s.slices[:], nil
	}
	n, err := s.Read(s.small)
	if n == 0 {
		return nil, err
	}
	if s.slices[0] = s.small[:n]; n < len(s.small) {
		return s.slices[:], nil
	}
	s.chunk = s.buffers.Take()
	copy(s.chunk[:], s.small)
	s.wire.impatient = true
	for n < dataplane.PayloadSize {
		var more int
		if more, err = s.Read(s.chunk[n:dataplane.PayloadSize]); more == 0 || err != nil {
			n += more
			break // a failure that lasts comes again with the next read
		}
		n += more
	}
	s.wire.impatient = false
	s.slices[0] = s.chunk[:n]
	return s.slices[:], nil
}

// Release returns the large buffer.
func (s *tlsStream) Release() {
	s.buffers.Return(s.chunk)
	s.chunk = nil
}

// Write sends the payload's records with one system call.
func (s *tlsStream) Write(payload net.Buffers) (err error) {
	buffer := s.buffers.Take()
	defer s.buffers.Return(buffer)
	s.wire.cork(buffer)
	for _, part := range payload {
		if _, err = s.Conn.Write(part); err != nil {
			break
		}
	}
	return errors.Join(err, s.wire.uncork())
}

// Close ends both directions at once: an alert could wait behind bytes that the client does not take.
func (s *tlsStream) Close() error { return s.wire.TCPConn.Close() }
