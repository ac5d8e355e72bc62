package shadowsocks

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"stile/dataplane"
)

// Address types of a target header, those of SOCKS5 (RFC 1928, section 5).
const (
	typeIPv4 = 1
	typeName = 3
	typeIPv6 = 4
)

var (
	errShortTarget = errors.New("shadowsocks: target header incomplete")
	errBadTarget   = errors.New("shadowsocks: bad target header")
)

// parseTarget reads the header that opens a stream or a packet and returns its length. It fails with errShortTarget if
// more bytes could complete it, else with errBadTarget.
func parseTarget(b []byte) (to dataplane.Target, n int, err error) {
	if len(b) < 2 {
		return to, 0, errShortTarget
	}
	start := 1
	switch b[0] {
	case typeIPv4:
		n = start + 4
	case typeIPv6:
		n = start + 16
	case typeName:
		start = 2
		n = start + int(b[1])
	default:
		return to, 0, errBadTarget
	}
	if len(b) < n+2 {
		return to, 0, errShortTarget
	}
	if b[0] == typeName {
		if !isName(b[start:n]) {
			return to, 0, errBadTarget
		}
		to.Name = string(b[start:n])
	} else {
		to.Addr, _ = netip.AddrFromSlice(b[start:n])
		to.Addr = to.Addr.Unmap()
	}
	to.Port = binary.BigEndian.Uint16(b[n:])
	return to, n + 2, nil
}

// isName takes what a resolver can be asked for: visible ASCII.
func isName(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(b) > 0
}

// maxSource is the longest header that putSource writes.
const maxSource = 1 + 16 + 2

// putSource writes the header of an address so that it ends at end, and returns where it starts.
func putSource(b []byte, end int, from netip.AddrPort) int {
	binary.BigEndian.PutUint16(b[end-2:], from.Port())
	if addr := from.Addr(); addr.Is4() {
		ip := addr.As4()
		copy(b[end-6:], ip[:])
		b[end-7] = typeIPv4
		return end - 7
	}
	ip := from.Addr().As16()
	copy(b[end-18:], ip[:])
	b[end-19] = typeIPv6
	return end - 19
}
