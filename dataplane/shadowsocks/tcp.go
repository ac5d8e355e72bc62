package shadowsocks

import (
	"errors"
	"net"
	"os"
	"time"

	"stile/dataplane"
)

// errRefused stands for everything that a stranger could cause; all of it looks the same from outside.
var errRefused = errors.New("shadowsocks: refused")

// serveTCP accepts until the listener closes.
func (p *server) serveTCP(listener *net.TCPListener, bucket int) {
	for {
		conn, err := listener.AcceptTCP()
		if err == nil {
			p.start(conn, bucket)
			continue
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) { // handed over
			return
		}
		p.failures.Wait("shadowsocks: accept", err)
	}
}

// start serves a connection on a goroutine of its own, unless the plane is closing.
func (p *server) start(conn *net.TCPConn, bucket int) {
	l := p.links.Open(p.ctx)
	if l == nil {
		dataplane.Reset(conn)
		return
	}
	l.Attach(func() { dataplane.Reset(conn) })
	go func() {
		defer p.links.Leave(l)
		defer p.failures.Contain(l.Cut)
		p.serveLink(l, conn, bucket)
	}()
}

// serveLink carries one connection from its first byte to its last.
func (p *server) serveLink(l *dataplane.Link, conn *net.TCPConn, bucket int) {
	from := p.origins.OfPeer(conn)
	stranger := p.waiting.Enter(from, func() { _ = conn.Close() })
	defer stranger.Leave()
	_ = conn.SetReadDeadline(time.Now().Add(p.times.handshake))
	g, err := p.edition.handshake(conn, from, bucket)
	stranger.Leave()
	if err == nil {
		if err = l.Admit(p.ledger, g.keyID); err != nil {
			g.stream.close()
		}
	}
	if err == nil {
		p.forward(l, conn, g)
		return
	}
	p.ledger.Refuse()
	switch {
	case errors.Is(err, net.ErrClosed): // it made room
	case errors.Is(err, dataplane.ErrTooManySessions):
		dataplane.Reset(conn) // only the key's owner can come here, so there is nothing to hide
	default:
		p.hold(conn, from)
	}
}

// forward dials the target and relays.
func (p *server) forward(l *dataplane.Link, client *net.TCPConn, g greeting) {
	defer g.stream.close()
	conn, err := l.Dial(p.egress, g.target)
	if err != nil {
		dataplane.Reset(client)
		return
	}
	target, err := dataplane.NewTCPStream(conn, p.buffers)
	if err != nil {
		l.Cut()
		return
	}
	p.relay.Run(l.Session(), g.stream, target)
}

// hold reads and discards until the deadline of the handshake or until the client gives up, so that a stranger learns
// nothing from when or how the connection ends.
func (p *server) hold(conn *net.TCPConn, from dataplane.Origin) {
	end := func() { _ = conn.Close() }
	defer end()
	defer p.refused.Enter(from, end).Leave()
	source, err := dataplane.NewSource(conn, p.buffers)
	for err == nil {
		var taken *dataplane.Buffer
		taken, _, err = source.Read(holdRead)
		p.buffers.Return(taken)
	}
}
