package shadowsocks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"stile/dataplane"
)

// times are the waits of a plane; tests shorten them.
type times struct {
	handshake time.Duration // from accept to the target header, and how long refused connections are held
	udp, dns  time.Duration // how long a UDP association outlives the last packet that the client sent
	relay     dataplane.Relay
	// remember is how long a UDP association must be kept after its last packet, so that the packet cannot be replayed.
	remember time.Duration
}

func defaultTimes() times {
	return times{handshake: 59 * time.Second, udp: 5 * time.Minute, dns: 17 * time.Second, relay: dataplane.DefaultRelay()}
}

// Bounds of connections that have not authenticated (waiting) and of those that failed to (refused).
const (
	maxWaiting          = 16384
	maxWaitingPerOrigin = 1024
	maxRefused          = 4096
	maxRefusedPerOrigin = 64
	holdRead            = 4096
)

// maxPorts bounds a plane's range.
const maxPorts = 4096

// edition is what differs between the protocols that a server speaks.
type edition interface {
	// handshake reads a connection as far as its target and returns the key and the client's side of the relay. Every
	// failure leaves the connection open, and its deadline in force.
	handshake(conn *net.TCPConn, from dataplane.Origin, bucket int) (greeting, error)
	// receive takes one packet of a client; whatever is wrong with it, it is dropped in silence. dst is room for what it
	// says.
	receive(conn *net.UDPConn, client clientKey, packet, dst []byte)
}

// greeting is what a handshake yields.
type greeting struct {
	keyID  int64
	stream *stream
	target dataplane.Target
}

// server is what both editions share: listening, holding what was refused, relaying, and ending in order.
type server struct {
	edition  edition
	ledger   *dataplane.Ledger
	egress   *dataplane.Egress
	failures *dataplane.Failures
	times    times
	relay    dataplane.Relay
	buffers  *dataplane.Buffers

	origins   dataplane.Origins
	waiting   *dataplane.Strangers
	refused   *dataplane.Strangers
	host      string
	began     Range // where it listened at first
	datagrams *associations

	links   *dataplane.Links
	ctx     context.Context // of everything that Run starts
	cancel  context.CancelFunc
	servers sync.WaitGroup
	finish  sync.Once

	mu        sync.Mutex
	ports     []port
	slots     int     // given out
	ranges    []Range // that are served, in the order of ranged's; changed by Serve and Leave, which one goroutine calls
	ranged    ranged  // the ring; nil = every key works on every port
	isRunning bool
	isClosed  bool
}

// listen opens the ports of a server that is zero otherwise.
func (p *server) listen(ctx context.Context, c Config, t times, e edition) error {
	if c.IsIdle {
		c.Port, c.Ports = 0, 0
	} else if c.Ports < 1 || c.Ports > maxPorts || c.Port < 0 || c.Port > 1<<16-c.Ports {
		return fmt.Errorf("shadowsocks: %d ports from %d on is not a range", c.Ports, c.Port)
	}
	if c.Ledger == nil || c.Egress == nil {
		return errors.New("shadowsocks: a ledger and an egress are required")
	}
	p.host = c.Host
	if !c.IsIdle {
		var err error
		if p.ports, err = listen(ctx, c.Host, c.Port, c.Ports); err != nil {
			return err
		}
		for i := range p.ports {
			p.ports[i].slot = i
		}
		p.slots, p.began = len(p.ports), Range{p.ports[0].number(), len(p.ports)}
		p.ranges = []Range{p.began}
	}
	p.edition, p.ledger, p.egress, p.failures, p.times, p.relay = e, c.Ledger, c.Egress, dataplane.NewFailures(c.Log), t, t.relay
	p.buffers, p.origins = dataplane.NewBuffers(), dataplane.NewOrigins()
	p.waiting = dataplane.NewStrangers(maxWaiting, maxWaitingPerOrigin)
	p.refused = dataplane.NewStrangers(maxRefused, maxRefusedPerOrigin)
	p.links = dataplane.NewLinks()
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.datagrams = newAssociations(p)
	return nil
}

// Ports returns the first port and how many there were when the plane began to listen.
func (p *server) Ports() (first, count int) { return p.began.First, p.began.Count }

// Run serves, as dataplane.Plane says. It may be called once.
func (p *server) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, p.cancel)()
	p.links.Serve(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.isRunning = true
		p.serve(p.ports)
	})
	_ = p.Close(ctx)
	return nil
}

// serve starts ports; the caller holds the lock.
func (p *server) serve(ports []port) {
	for _, one := range ports {
		one.loops.Add(2)
		p.servers.Go(func() { defer one.loops.Done(); p.serveTCP(one.tcp, one.slot) })
		p.servers.Go(func() { defer one.loops.Done(); p.serveUDP(one.udp, one.slot) })
	}
}

// Close ends the plane, as dataplane.Plane says. UDP is served until the last TCP session has ended.
func (p *server) Close(ctx context.Context) error {
	err := p.links.Close(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.isClosed = true
		for _, one := range p.ports {
			_ = one.tcp.Close()
		}
	})
	p.finish.Do(func() {
		for _, one := range p.ports { // nobody changes them now
			_ = one.udp.Close()
		}
		p.servers.Wait()
		p.datagrams.close()
		p.cancel()
	})
	return err
}
