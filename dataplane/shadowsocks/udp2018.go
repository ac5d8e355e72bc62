package shadowsocks

import (
	"net"
	"net/netip"

	"stile/dataplane"
)

// packets2018 is the key and cipher of an association.
type packets2018 struct {
	credential *credential
	method     method
	salts      saltMaker
}

// receive takes one packet of a client.
func (p *Plane) receive(conn *net.UDPConn, client clientKey, packet, dst []byte) {
	if len(packet) < saltSize+tagSize {
		return
	}
	salt, sealed := packet[:saltSize], packet[saltSize:]
	name := flowName{client: client}
	a := p.datagrams.find(name)
	if a != nil {
		of := a.packets.(*packets2018)
		if plain, ok := p.udp.again(salt, sealed, dst, of.credential, of.method); ok {
			if to, n, err := parseTarget(plain); err == nil {
				a.send(to, plain[n:])
			}
			return
		}
	}
	m, ok := p.udp.find(salt, sealed, dst, p.origins.Of(client.addr.Addr()), client.bucket)
	if !ok {
		return
	}
	if a != nil {
		a.end() // the client's socket has another key now
	}
	to, n, err := parseTarget(m.plain)
	if err != nil || !p.mayReach(to) {
		return
	}
	of := &packets2018{m.credential, m.method, p.udp.salts}
	if a = p.datagrams.open(name, m.credential.id, &peer{client.addr, conn}, of); a != nil {
		a.send(to, m.plain[n:])
	}
}

// mayReach reports whether a target is a name, which is judged when it is resolved, or an address that may be reached.
func (p *server) mayReach(to dataplane.Target) bool {
	return to.Name != "" || p.egress.Permits(netip.AddrPortFrom(to.Addr, to.Port))
}

// forget implements packets: salts are remembered for themselves.
func (s *packets2018) forget() {}

func (s *packets2018) seal(b []byte, n int, from netip.AddrPort) []byte {
	header := putSource(b, replyStart, from)
	salt := b[header-saltSize : header]
	s.salts.fill(salt)
	var subkey [keySize]byte
	newKDF(salt).derive(&s.credential.master, &subkey)
	plain := b[header : replyStart+n]
	s.method.newAEAD(&subkey).Seal(plain[:0], zeroNonce[:], plain, nil)
	return b[header-saltSize : replyStart+n+tagSize]
}
