package shadowsocks

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"stile/dataplane"
)

// errRefused stands for everything that a stranger could cause; all of it looks the same from outside.
var errRefused = errors.New("shadowsocks: refused")

// link is one accepted connection with what hangs on it. Cutting it ends both sides at once, whatever they are doing.
type link struct {
	client *net.TCPConn
	ctx    context.Context // ends with the cut, and with it a dial
	cancel context.CancelFunc

	mu     sync.Mutex
	target *net.TCPConn
	isCut  bool
}

// cut resets both connections: bytes that wait in the kernel are dropped, so nothing arrives after a revocation.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return
	}
	l.isCut = true
	l.cancel()
	reset(l.client)
	reset(l.target)
}

// attach hands the target's connection to the link, or resets it if the link was cut while it was dialled.
func (l *link) attach(target *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		reset(target)
		return false
	}
	l.target = target
	return true
}

func reset(conn *net.TCPConn) {
	if conn != nil {
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
}

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
	l := &link{client: conn}
	l.ctx, l.cancel = context.WithCancel(p.ctx)
	if !p.add(l) {
		p.waiting.leave(from)
		l.cut()
		return
	}
	go func() {
		defer p.drop(l)
		p.serveLink(l, from, bucket)
	}()
}

func sourceAddr(conn *net.TCPConn) netip.Addr {
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return addr.AddrPort().Addr()
	}
	return netip.Addr{}
}

// serveLink carries one connection from its first byte to its last.
func (p *server) serveLink(l *link, from sourceID, bucket int) {
	defer l.cancel()
	deadline := time.Now().Add(p.times.handshake)
	_ = l.client.SetReadDeadline(deadline)
	g, err := p.edition.handshake(l.client, from, bucket)
	p.waiting.leave(from)
	var session *dataplane.Session
	if err == nil {
		session, err = p.ledger.Admit(g.keyID, l.cut)
	}
	if err != nil && g.stream != nil {
		g.stream.close()
	}
	if err != nil {
		p.ledger.Refuse()
	}
	switch {
	case errors.Is(err, dataplane.ErrTooManySessions):
		reset(l.client) // only the key's owner can come here, so there is nothing to hide
		return
	case err != nil:
		p.hold(l.client, from)
		return
	}
	defer session.Done()
	p.forward(l, session, g)
}

// forward dials the target and relays.
func (p *server) forward(l *link, session *dataplane.Session, g greeting) {
	defer g.stream.close()
	conn, err := p.egress.DialTCP(l.ctx, g.target)
	if err != nil {
		reset(l.client)
		return
	}
	if !l.attach(conn) {
		return
	}
	target, err := dataplane.NewTCPStream(conn, p.buffers)
	if err != nil {
		l.cut()
		return
	}
	p.relay.Run(session, g.stream, target)
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
