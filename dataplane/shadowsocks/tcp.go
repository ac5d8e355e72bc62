package shadowsocks

import (
	"errors"
	"net"
	"net/netip"
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
		if errors.Is(err, net.ErrClosed) {
			return
		}
		p.log.Warn("shadowsocks: accept", "error", errors.Unwrap(err)) // out of file descriptors, mostly
		time.Sleep(acceptPause)
	}
}

// start serves a connection on a goroutine of its own, unless too many are waiting already or the plane is closing.
func (p *server) start(conn *net.TCPConn, bucket int) {
	from := p.sources.id(sourceAddr(conn))
	if !p.waiting.enter(from) {
		p.ledger.Refuse()
		_ = conn.Close()
		return
	}
	l := p.links.Open(p.ctx)
	if l == nil {
		p.waiting.leave(from)
		dataplane.Reset(conn)
		return
	}
	l.Attach(func() { dataplane.Reset(conn) })
	go func() {
		defer p.links.Leave(l)
		p.serveLink(l, conn, from, bucket)
	}()
}

func sourceAddr(conn *net.TCPConn) netip.Addr {
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return addr.AddrPort().Addr()
	}
	return netip.Addr{}
}

// serveLink carries one connection from its first byte to its last.
func (p *server) serveLink(l *dataplane.Link, conn *net.TCPConn, from sourceID, bucket int) {
	_ = conn.SetReadDeadline(time.Now().Add(p.times.handshake))
	g, err := p.edition.handshake(conn, from, bucket)
	p.waiting.leave(from)
	if err == nil {
		if err = l.Admit(p.ledger, g.keyID); err != nil {
			g.stream.close()
		}
	}
	switch {
	case err == nil:
		p.forward(l, conn, g)
	case errors.Is(err, dataplane.ErrTooManySessions):
		p.ledger.Refuse()
		dataplane.Reset(conn) // only the key's owner can come here, so there is nothing to hide
	default:
		p.ledger.Refuse()
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
// nothing from when or how the connection ends. Holds are bounded; beyond that connections close at once.
func (p *server) hold(conn *net.TCPConn, from sourceID) {
	defer func() { _ = conn.Close() }()
	if !p.refused.enter(from) {
		return
	}
	defer p.refused.leave(from)
	source, err := dataplane.NewSource(conn, p.buffers)
	for err == nil {
		var taken *dataplane.Buffer
		taken, _, err = source.Read(holdRead)
		p.buffers.Return(taken)
	}
}
