package client

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	sessionSize = 8
	// separateSize is the header of a packet that stands before its cipher: a session's number and the packet's.
	separateSize = aes.BlockSize
)

// packets2022 is a session of datagrams under AEAD-2022 (SIP022, section 3.2). It is a net.PacketConn whose addresses are
// those of destinations.
type packets2022 struct {
	*net.UDPConn
	tunnel   *tunnel2022
	identity cipher.Block
	user     cipher.Block

	mu       sync.Mutex // of what WriteTo uses
	session  [sessionSize]byte
	outgoing cipher.AEAD
	sent     uint64

	room   []byte // of ReadFrom, which one goroutine calls
	server serverSession
	// former is the server's session before: what came in it would be new again, were it forgotten while it is fresh.
	former serverSession
}

// formerFor is how long after it came a packet may be fresh, of a server whose clock is ahead.
const formerFor = 2*maxSkew + time.Second

// serverSession is what of the server's packets came already.
type serverSession struct {
	id       [sessionSize]byte
	last     time.Time // when a packet of it came
	incoming cipher.AEAD
	highest  uint64
	seen     uint64 // a bit for each of the 64 numbers up to highest
}

// ListenPacket opens a socket for datagrams, as Dialer says.
func (t *tunnel2022) ListenPacket(ctx context.Context) (net.PacketConn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "udp", t.address)
	if err != nil {
		return nil, fmt.Errorf("client: tunnel by way of %s: %w", t.address, err)
	}
	p := &packets2022{
		UDPConn: conn.(*net.UDPConn), tunnel: t, identity: newBlock(t.identity), user: newBlock(t.user), //nolint:forcetypeassert // "udp"
		room: make([]byte, datagramLimit),
	}
	_, _ = rand.Read(p.session[:]) // never fails: the program would crash instead
	p.outgoing = sessionCipher(t.user, p.session[:])
	return p, nil
}

// WriteTo implements net.PacketConn; to is a destination, possibly a name.
func (p *packets2022) WriteTo(b []byte, to net.Addr) (int, error) {
	plain := binary.BigEndian.AppendUint16(p.tunnel.appendStamp([]byte{fromClient}), 0) // no padding
	plain, err := appendTarget(plain, to.String())
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	separate := binary.BigEndian.AppendUint64(append(make([]byte, 0, separateSize), p.session[:]...), p.sent)
	p.sent++
	p.mu.Unlock()
	packet := make([]byte, 2*separateSize, 2*separateSize+len(plain)+len(b)+tagSize)
	p.identity.Encrypt(packet, separate)
	name := packet[separateSize:]
	subtle.XORBytes(name, p.tunnel.hash[:], separate)
	p.identity.Encrypt(name, name)
	if _, err := p.Write(p.outgoing.Seal(packet, separate[4:], append(plain, b...), nil)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ReadFrom implements net.PacketConn. A datagram that is not the server's is an error after which it may be called again.
func (p *packets2022) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(p.room)
	if err != nil {
		return 0, nil, err
	}
	payload, from, err := p.open(p.room[:n])
	if err != nil {
		return 0, nil, err
	}
	return copy(b, payload), from, nil
}

// open checks a packet of the server and returns what it says.
func (p *packets2022) open(packet []byte) ([]byte, net.Addr, error) {
	const head = 1 + stampSize + sessionSize + 2
	if len(packet) < separateSize+head+tagSize {
		return nil, nil, errNotForUs
	}
	separate := packet[:separateSize]
	p.user.Decrypt(separate, separate)
	s, ok := p.heard([sessionSize]byte(separate))
	if !ok {
		return nil, nil, errNotForUs
	}
	plain, err := s.incoming.Open(packet[separateSize:separateSize], separate[4:], packet[separateSize:], nil)
	if err != nil || plain[0] != fromServer || !p.tunnel.isFresh(plain[1:]) || string(plain[1+stampSize:head-2]) != string(p.session[:]) {
		return nil, nil, errNotForUs
	}
	if !s.accept(binary.BigEndian.Uint64(separate[sessionSize:])) {
		return nil, nil, errNotForUs
	}
	padding := int(binary.BigEndian.Uint16(plain[head-2:]))
	if len(plain) < head+padding {
		return nil, nil, errNotForUs
	}
	from, payload, ok := cutSource(plain[head+padding:])
	if !ok {
		return nil, nil, errNotForUs
	}
	p.keep(s)
	return payload, net.UDPAddrFromAddrPort(from), nil
}

// heard returns what came of a session of the server; false for one too many.
func (p *packets2022) heard(id [sessionSize]byte) (serverSession, bool) {
	switch {
	case p.server.incoming != nil && p.server.id == id:
		return p.server, true
	case p.former.incoming != nil && p.former.id == id:
		return p.former, true
	case p.former.incoming != nil && p.tunnel.now().Sub(p.former.last) < formerFor:
		return serverSession{}, false
	}
	return serverSession{id: id, incoming: sessionCipher(p.tunnel.user, id[:])}, true // the server has begun anew
}

// keep remembers what came of a session now.
func (p *packets2022) keep(s serverSession) {
	s.last = p.tunnel.now()
	switch {
	case p.former.incoming != nil && p.former.id == s.id:
		p.former = s
	case p.server.id == s.id:
		p.server = s
	default:
		p.server, p.former = s, p.server
	}
}

// accept notes a packet's number and reports whether it is new.
func (s *serverSession) accept(number uint64) bool {
	if number > s.highest || s.seen == 0 {
		s.highest, s.seen = number, s.seen<<(number-s.highest)|1
		return true
	}
	behind := s.highest - number
	if behind > 63 || s.seen&(1<<behind) != 0 {
		return false
	}
	s.seen |= 1 << behind
	return true
}
