// Package shadowsocks is the data plane for Shadowsocks AEAD-2018 over TCP and UDP, with aes-256-gcm and
// chacha20-ietf-poly1305 under the same password (https://shadowsocks.org/doc/aead.html, SIP004).
//
// A connection's key is found in constant time when its salt carries the key's prefix, and else among the keys that
// share its port. To whoever has no key, a server here is a port that reads and never answers. The package holds no
// state beyond memory and logs no address.
package shadowsocks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"stile/dataplane"
)

// Config is what a plane needs; all fields but Host, Port and Log are required.
type Config struct {
	// Host is the address to listen on; empty means all.
	Host string
	// Port is the first of Ports ports, TCP and UDP; 0 takes any free range. A key uses accesskey.Port of them.
	Port  int
	Ports int
	// Ledger admits sessions and Egress reaches targets.
	Ledger *dataplane.Ledger
	Egress *dataplane.Egress
	// Log gets the failures of the listening sockets, never a client's; nil is slog's default.
	Log *slog.Logger
}

// times are the waits of a plane; tests shorten them.
type times struct {
	handshake time.Duration // from accept to the target header, and how long refused connections are held
	udp, dns  time.Duration // how long a UDP association outlives the last packet that the client sent
	relay     dataplane.Relay
}

func defaultTimes() times {
	return times{handshake: 59 * time.Second, udp: 5 * time.Minute, dns: 17 * time.Second, relay: dataplane.DefaultRelay()}
}

// Bounds of connections that have not authenticated (waiting) and of those that failed to (refused).
const (
	maxWaiting          = 16384
	maxWaitingPerSource = 1024
	maxRefused          = 4096
	maxRefusedPerSource = 64
	holdRead            = 4096
	acceptPause         = 50 * time.Millisecond
)

// maxPorts bounds a plane's range.
const maxPorts = 4096

// Plane serves Shadowsocks. It implements dataplane.Plane.
type Plane struct {
	ledger  *dataplane.Ledger
	egress  *dataplane.Egress
	log     *slog.Logger
	times   times
	relay   dataplane.Relay
	buffers *dataplane.Buffers

	ring      *keyring
	sources   *sources
	tcp, udp  *finder
	waiting   *holds
	refused   *holds
	ports     []port
	datagrams *associations

	ctx     context.Context // of everything that Run started, set before anything is accepted
	cancel  context.CancelFunc
	servers sync.WaitGroup
	finish  sync.Once

	mu      sync.Mutex
	links   map[*link]struct{}
	closing bool
	closed  chan struct{} // closing began
	idle    chan struct{} // closing, and no link is left
}

// New listens and returns a plane that Run serves. It fails if a port of the range is busy.
func New(ctx context.Context, c Config) (*Plane, error) { return newPlane(ctx, c, defaultTimes()) }

func newPlane(ctx context.Context, c Config, t times) (*Plane, error) {
	if c.Ports < 1 || c.Ports > maxPorts || c.Port < 0 || c.Port+c.Ports > 1<<16 {
		return nil, fmt.Errorf("shadowsocks: %d ports from %d on is not a range", c.Ports, c.Port)
	}
	if c.Ledger == nil || c.Egress == nil {
		return nil, errors.New("shadowsocks: a ledger and an egress are required")
	}
	ports, err := listen(ctx, c.Host, c.Port, c.Ports)
	if err != nil {
		return nil, err
	}
	p := &Plane{
		ledger: c.Ledger, egress: c.Egress, log: c.Log, times: t, relay: t.relay,
		buffers: dataplane.NewBuffers(), ring: newKeyring(len(ports)), sources: newSources(time.Now),
		waiting: newHolds(maxWaiting, maxWaitingPerSource), refused: newHolds(maxRefused, maxRefusedPerSource),
		ports: ports, links: make(map[*link]struct{}),
		closed: make(chan struct{}), idle: make(chan struct{}),
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	salts := newSaltMaker()
	p.tcp = &finder{
		ring: p.ring, sources: p.sources, replays: newReplayFilter(tcpSalts), salts: salts, now: time.Now, plausible: isLengthStart,
	}
	p.udp = &finder{
		ring: p.ring, sources: p.sources, replays: newReplayFilter(udpSalts), salts: salts, now: time.Now, plausible: isTargetStart,
	}
	p.datagrams = newAssociations(p)
	return p, nil
}

// Protocol is "shadowsocks".
func (p *Plane) Protocol() string { return "shadowsocks" }

// Ports returns the first port and how many there are.
func (p *Plane) Ports() (first, count int) { return p.ports[0].number(), len(p.ports) }

// Apply learns and forgets keys, as dataplane.Plane says.
func (p *Plane) Apply(put []dataplane.Key, remove []int64, full bool) error {
	p.ring.apply(put, remove, full)
	return nil
}

// Run serves, as dataplane.Plane says. It may be called once.
func (p *Plane) Run(ctx context.Context) error {
	p.mu.Lock()
	p.ctx, p.cancel = context.WithCancel(ctx)
	defer p.cancel()
	if !p.closing {
		for i, one := range p.ports {
			p.servers.Go(func() { p.serveTCP(one.tcp, i) })
			p.servers.Go(func() { p.serveUDP(one.udp, i) })
		}
	}
	p.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-p.closed:
	}
	_ = p.Close(ctx)
	return nil
}

// Close ends the plane, as dataplane.Plane says. UDP is served until the last TCP session has ended.
func (p *Plane) Close(ctx context.Context) error {
	p.stopAccepting()
	var err error
	select {
	case <-p.idle:
	case <-ctx.Done():
		err = context.Cause(ctx)
		p.cutAll()
		<-p.idle
	}
	p.finish.Do(func() {
		for _, one := range p.ports {
			_ = one.udp.Close()
		}
		p.servers.Wait()
		p.datagrams.close()
	})
	return err
}

func (p *Plane) stopAccepting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return
	}
	p.closing = true
	close(p.closed)
	for _, one := range p.ports {
		_ = one.tcp.Close()
	}
	if len(p.links) == 0 {
		close(p.idle)
	}
}

func (p *Plane) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// add registers a connection, unless the plane is closing.
func (p *Plane) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// drop forgets a connection that has ended.
func (p *Plane) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	if p.closing && len(p.links) == 0 {
		close(p.idle)
	}
}

var _ dataplane.Plane = (*Plane)(nil)
