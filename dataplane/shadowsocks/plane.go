// Package shadowsocks is the data plane for Shadowsocks over TCP and UDP, in two editions that share their server:
// AEAD-2018 with aes-256-gcm and chacha20-ietf-poly1305 under the same password (https://shadowsocks.org/doc/aead.html,
// SIP004), and AEAD-2022 with identity headers (SIP022, SIP023).
//
// A connection's key is found in constant time: in 2022 by its identity header; in 2018 when its salt carries the key's
// prefix, and else among the keys that share its port. To whoever has no key, a server here is a port that reads and
// never answers. The package holds no state beyond memory and logs no address.
package shadowsocks

import (
	"context"
	"io"
	"log/slog"
	"net"
	"time"

	"stile/dataplane"
)

// Config is what a plane of AEAD-2018 needs; all fields but Host, Port and Log are required.
type Config struct {
	// Host is the address to listen on; empty means all.
	Host string
	// Port is the first of Ports ports, TCP and UDP; 0 takes any free range. A key uses accesskey.Port of them.
	Port  int
	Ports int
	// IsIdle makes a plane that listens nowhere until it is told to; Port and Ports say nothing then.
	IsIdle bool
	// Ledger admits sessions and Egress reaches targets.
	Ledger *dataplane.Ledger
	Egress *dataplane.Egress
	// Log gets the failures of the listening sockets, never a client's; nil is slog's default.
	Log *slog.Logger
}

// Plane serves Shadowsocks AEAD-2018. It implements dataplane.Plane.
type Plane struct {
	server
	ring     *keyring
	tcp, udp *finder
}

// New listens and returns a plane that Run serves. It fails if a port of the range is busy.
func New(ctx context.Context, c Config) (*Plane, error) { return newPlane(ctx, c, defaultTimes()) }

func newPlane(ctx context.Context, c Config, t times) (*Plane, error) {
	p := new(Plane)
	if err := p.listen(ctx, c, t, p); err != nil {
		return nil, err
	}
	p.ring = newKeyring(len(p.ports))
	p.ranged = p.ring
	salts, sources := newSaltMaker(), newSources(time.Now)
	p.tcp = &finder{
		ring: p.ring, sources: sources, trials: newTrials(time.Now), replays: newReplayFilter(tcpSalts), salts: salts, plausible: isLengthStart,
	}
	p.udp = &finder{
		ring: p.ring, sources: sources, trials: newTrials(time.Now), replays: newReplayFilter(udpSalts), salts: salts, plausible: isTargetStart,
	}
	return p, nil
}

// Protocol is "shadowsocks".
func (p *Plane) Protocol() string { return "shadowsocks" }

// Apply learns and forgets keys, as dataplane.Plane says.
func (p *Plane) Apply(put []dataplane.Key, remove []int64, full bool) error {
	p.ring.apply(put, remove, full)
	return nil
}

// handshake reads as far as the target header.
func (p *Plane) handshake(conn *net.TCPConn, from dataplane.Origin, bucket int) (greeting, error) {
	var head [saltSize + lengthSize]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return greeting{}, err
	}
	var length [lengthSize]byte
	m, ok := p.tcp.find(head[:saltSize], head[saltSize:], length[:0], from, bucket)
	if !ok {
		return greeting{}, errRefused
	}
	size, err := chunkSize(m.plain, maxChunk)
	if err != nil {
		return greeting{}, err
	}
	s, err := newStream(conn, m.aead, size, p.buffers)
	if err != nil {
		return greeting{}, err
	}
	s.maxChunk, s.writeChunk, s.begin = maxChunk, writeChunk, p.opening(m)
	to, err := s.target()
	if err != nil {
		s.close()
		return greeting{}, err
	}
	return greeting{m.credential.id, s, to}, nil
}

// opening begins the direction to a client: with a salt and the first length.
func (p *Plane) opening(m match) opening {
	return func(out []byte, size int) ([]byte, chain) {
		out = out[:saltSize]
		p.tcp.salts.fill(out)
		var subkey [keySize]byte
		newKDF(out).derive(&m.credential.master, &subkey)
		outgoing := chain{aead: m.method.newAEAD(&subkey)}
		return outgoing.sealSize(out, size), outgoing
	}
}

var _ dataplane.Plane = (*Plane)(nil)
