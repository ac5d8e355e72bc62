package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of the connections to the listener. Whoever wants may open one, and only the handshake tells who it is.
const (
	// handshakesAtOnce is how many connections may be in the handshake, and handshakeTimeout for how long: it takes a round
	// trip and a half, and others wait.
	handshakesAtOnce = 256
	handshakeTimeout = 10 * time.Second
	// waitingAtOnce is how many connections may wait for it. They cost a socket each.
	waitingAtOnce = 4096
	// strangersAtOnce is how many connections may be open without a certificate, as for joining, and strangerLife for how long.
	strangersAtOnce = 512
	strangerLife    = time.Minute
	// connectionsEach is how many connections a node may have, dead ones included that were not noticed yet.
	connectionsEach = 16
	// acceptPause is waited after a connection could not be accepted, and acceptSilence until that is told of again.
	acceptPause   = 50 * time.Millisecond
	acceptSilence = time.Minute
)

// gate is a listener that gives out connections whose handshake is over. It bounds what those can hold who are not known,
// and what a node can. When all nodes come back at once they wait in line here, which is cheaper than to be sent away.
//
// A handshake has a goroutine of its own, and not that of the connection, for another reason too: its stack would be kept
// as large as that took for as long as the connection lives.
type gate struct {
	net.Listener
	ctx    context.Context //nolint:containedctx // ends the handshakes under way, which no caller waits for
	config *tls.Config
	log    *slog.Logger
	shook  chan net.Conn
	closed chan struct{}
	once   sync.Once
	parts  sync.WaitGroup

	waiting, handshakes, strangers, nodes *tally
	line                                  line
}

// newGate returns a gate that lets in who comes to inner, until ctx ends or it is closed. log gets the failures of inner.
func newGate(ctx context.Context, inner net.Listener, config *tls.Config, log *slog.Logger) *gate {
	g := &gate{
		Listener: inner, ctx: ctx, config: config, log: log, shook: make(chan net.Conn), closed: make(chan struct{}),
		waiting: newTally(waitingAtOnce, waitingAtOnce), handshakes: newTally(handshakesAtOnce, handshakesAtOnce),
		strangers: newTally(strangersAtOnce, strangersAtOnce), nodes: newTally(math.MaxInt, connectionsEach),
		line: line{of: make(map[any][]net.Conn)},
	}
	g.parts.Go(g.admit)
	return g
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case conn := <-g.shook:
		return conn, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that were given out stay.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// wait returns when it is closed, ctx has ended, and all handshakes with it.
func (g *gate) wait() {
	g.parts.Wait()
	for conn, _ := g.line.next(g.waiting.leave); conn != nil; conn, _ = g.line.next(g.waiting.leave) {
		_ = conn.Close()
	}
}

// admit accepts connections, and puts them in line.
func (g *gate) admit() {
	var toldAt time.Time
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			select {
			case <-g.closed:
				return
			default:
			}
			if now := time.Now(); now.Sub(toldAt) >= acceptSilence {
				toldAt = now
				g.log.Error("nodes cannot connect", "error", err) // out of descriptors, most likely
			}
			select {
			case <-g.closed:
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		from := source(conn.RemoteAddr())
		if !g.waiting.enter(from) {
			_ = conn.Close()
			continue
		}
		g.line.add(from, conn)
		g.proceed()
	}
}

// proceed begins handshakes while there is room.
func (g *gate) proceed() {
	for g.handshakes.hasRoom() {
		conn, from := g.line.next(func(from any) bool {
			if g.ctx.Err() != nil || !g.handshakes.enter(from) {
				return false
			}
			g.waiting.leave(from)
			return true
		})
		if conn == nil {
			return
		}
		g.parts.Go(func() {
			g.receive(conn, from)
			g.handshakes.leave(from)
			g.proceed()
		})
	}
}

// receive makes the handshake, and gives the connection out unless it is one too many.
func (g *gate) receive(conn net.Conn, from any) {
	shaking, cancel := context.WithTimeout(g.ctx, handshakeTimeout)
	defer cancel()
	v := &visit{Conn: conn}
	secured := tls.Server(v, g.config)
	if secured.HandshakeContext(shaking) != nil || !g.count(v, secured.ConnectionState().VerifiedChains, from) {
		_ = v.Close()
		return
	}
	select {
	case g.shook <- secured:
	case <-g.closed:
		_ = v.Close()
	}
}

// count counts a connection for its node, or as a stranger's, until it is closed.
func (g *gate) count(v *visit, chains [][]*x509.Certificate, from any) bool {
	if len(chains) == 0 {
		return v.enter(g.strangers, from, strangerLife)
	}
	id, _, err := nodeOf(chains[0][0])
	return err == nil && v.enter(g.nodes, id, 0)
}

// visit is a connection that is counted until it is closed.
type visit struct {
	net.Conn
	mu    sync.Mutex
	tally *tally
	by    any
	life  *time.Timer
}

// enter counts the connection, if there is room, and closes it after so long, if that is not 0.
func (v *visit) enter(t *tally, by any, life time.Duration) bool {
	if !t.enter(by) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tally, v.by = t, by
	if life > 0 {
		v.life = time.AfterFunc(life, func() { _ = v.Close() })
	}
	return true
}

// Close implements net.Conn.
func (v *visit) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tally != nil {
		v.tally.leave(v.by)
		v.tally = nil
	}
	if v.life != nil {
		v.life.Stop()
	}
	return v.Conn.Close()
}

// source is what counts as one address: hosts of IPv6 have a whole /64.
func source(a net.Addr) any {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String()
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	if address.Is4() {
		return address
	}
	return netip.PrefixFrom(address, 64).Masked()
}
