package shadowsocks

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"stile/dataplane"
)

// Sizes of packets in bytes. The separate header is a session's number and a packet's, one block of AES.
const (
	sessionSize   = 8
	separateSize  = 16
	replyHead2022 = separateSize + 1 + stampSize + sessionSize + 2
)

// packets2022 is one client session: both ciphers, and the numbers of what came and went.
type packets2022 struct {
	user     *user
	salts    *saltPool
	incoming cipher.AEAD
	mu       sync.Mutex // holds came and newest: a session's packets may come by several ports
	came     window
	newest   uint64 // timestamp of what came

	clientID [sessionSize]byte
	ownID    [sessionSize]byte
	outgoing cipher.AEAD
	separate cipher.Block // encrypts the separate headers of replies
	sent     uint64
	now      func() time.Time
}

// accept notes a packet's number and timestamp and reports whether it is new.
func (s *packets2022) accept(number, stamp uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = max(s.newest, stamp)
	return s.came.accept(number)
}

// forget implements packets.
func (s *packets2022) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.salts.forget(s.user, s.newest)
}

// receive takes one packet of a client. Each port has a goroutine that calls it.
func (p *Plane2022) receive(conn *net.UDPConn, client clientKey, packet, dst []byte) {
	if len(packet) < separateSize+identitySize+tagSize {
		return
	}
	var separate [separateSize]byte
	var name identity
	p.identityBlock.Decrypt(separate[:], packet)
	p.identityBlock.Decrypt(name[:], packet[separateSize:])
	subtle.XORBytes(name[:], name[:], separate[:])
	u := p.users.find(name)
	if u == nil {
		return
	}
	flow := flowName{keyID: u.id, sessionID: [sessionSize]byte(separate[:])}
	a := p.datagrams.find(flow)
	var of *packets2022
	if a != nil {
		of = a.packets.(*packets2022)
	} else {
		of = &packets2022{user: u, salts: p.salts, incoming: sessionCipher(u.psk, flow.sessionID[:]), clientID: flow.sessionID, now: p.now}
	}
	plain, err := of.incoming.Open(dst, separate[4:], packet[separateSize+identitySize:], nil)
	if err != nil {
		return
	}
	to, payload, err := parsePacket(plain, p.now())
	if err != nil {
		return
	}
	from, stamp := peer{client.addr, conn}, binary.BigEndian.Uint64(plain[1:])
	if a == nil {
		if p.salts.isForgotten(u, stamp) || !p.mayReach(to) {
			return
		}
		of.prepare()
		if a = p.datagrams.open(flow, u.id, &from, of); a == nil {
			return
		}
		of = a.packets.(*packets2022) // another port may have been first
	}
	if !of.accept(binary.BigEndian.Uint64(separate[sessionSize:]), stamp) {
		return
	}
	if *a.client.Load() != from {
		a.client.Store(&from) // the client has another address now, as phones have
	}
	a.send(to, payload)
}

// prepare makes what replies need.
func (s *packets2022) prepare() {
	s.ownID = s.clientID
	for s.ownID == s.clientID {
		_, _ = rand.Read(s.ownID[:]) // never fails: the program would crash instead
	}
	s.outgoing, s.separate = sessionCipher(s.user.psk, s.ownID[:]), newAES(s.user.psk)
}

// parsePacket reads an opened packet of a client.
func parsePacket(b []byte, now time.Time) (to dataplane.Target, payload []byte, err error) {
	const start = 1 + stampSize + 2
	if len(b) < start || b[0] != fromClient || !isFresh(b[1:], now) {
		return to, nil, errBadHeader
	}
	padding := int(binary.BigEndian.Uint16(b[1+stampSize:]))
	if len(b) < start+padding {
		return to, nil, errBadHeader
	}
	b = b[start+padding:]
	to, n, err := parseTarget(b)
	if err != nil {
		return to, nil, errBadHeader
	}
	return to, b[n:], nil
}

func (s *packets2022) seal(b []byte, n int, from netip.AddrPort) []byte {
	start := putSource(b, replyStart, from) - replyHead2022
	separate, body := b[start:start+separateSize], b[start+separateSize:replyStart+n]
	copy(separate, s.ownID[:])
	binary.BigEndian.PutUint64(separate[sessionSize:], s.sent)
	s.sent++
	body[0] = fromServer
	binary.BigEndian.PutUint64(body[1:], uint64(s.now().Unix()))
	copy(body[1+stampSize:], s.clientID[:])
	binary.BigEndian.PutUint16(body[1+stampSize+sessionSize:], 0) // no padding
	s.outgoing.Seal(body[:0], separate[4:], body, nil)
	s.separate.Encrypt(separate, separate)
	return b[start : replyStart+n+tagSize]
}
