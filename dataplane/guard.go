package dataplane

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ErrForbidden refuses a target that no client may reach. It never says which.
var ErrForbidden = errors.New("dataplane: target not allowed")

// portSMTP is refused on every address: a proxy that lets mail out is a spam relay.
const portSMTP = 25

// ownRefresh is how old the list of the node's own addresses may be.
const ownRefresh = 30 * time.Second

// guard decides which addresses a client may reach: public unicast ones that are not the node's own.
type guard struct {
	allow []netip.Prefix

	own       atomic.Pointer[ownAddresses]
	refresh   sync.Mutex // held to read own
	addresses func() ([]net.Addr, error)
	now       func() time.Time
}

// ownAddresses are those that packets to this machine can have, as they were once.
type ownAddresses struct {
	list   map[netip.Addr]struct{}
	readAt time.Time
}

// blocked4 lists what is not public unicast in IPv4 (IANA special-purpose registry), and one cloud's metadata service
// that sits on a public address.
var blocked4 = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // carrier-grade NAT; also a cloud's metadata, 100.100.100.200
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's metadata and DNS
	"169.254.0.0/16",   // link-local, metadata
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments; also a cloud's metadata, 192.0.0.192
	"192.0.2.0/24",     // TEST-NET-1
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarking
	"198.51.100.0/24",  // TEST-NET-2
	"203.0.113.0/24",   // TEST-NET-3
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
)

// public6 is all of IPv6 that is global unicast today; what lies outside (::/96, loopback, ULA, link-local, site-local,
// multicast, local NAT64) is blocked by that alone.
var public6 = netip.MustParsePrefix("2000::/3")

// blocked6 lists what is not public inside public6.
var blocked6 = prefixes(
	"2001::/23",     // protocol assignments: Teredo, benchmarking, ORCHID
	"2001:db8::/32", // documentation
	"2002::/16",     // 6to4, which embeds any IPv4 address
	"3fff::/20",     // documentation
)

// nat64 embeds an IPv4 address in its last 32 bits (RFC 6052), which is judged as such.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// check returns nil if a client may reach the address, else ErrForbidden.
func (g *guard) check(to netip.AddrPort) error {
	addr := to.Addr().Unmap()
	if !addr.IsValid() || addr.Zone() != "" || to.Port() == 0 || to.Port() == portSMTP {
		return ErrForbidden
	}
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if contains(g.allow, addr) {
		return nil
	}
	if !isPublic(addr) || g.isOwn(addr) {
		return ErrForbidden
	}
	return nil
}

func isPublic(addr netip.Addr) bool {
	if addr.Is4() {
		return !contains(blocked4, addr)
	}
	return public6.Contains(addr) && !contains(blocked6, addr)
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// isOwn reports whether packets to the address come to this machine. Addresses come and go, so the list is read again by
// whoever finds it old; if it cannot be read the last one stays.
func (g *guard) isOwn(addr netip.Addr) bool {
	own := g.own.Load()
	switch {
	case own == nil:
		g.refresh.Lock()
		if own = g.own.Load(); own == nil {
			own = g.readOwn()
		}
		g.refresh.Unlock()
	case g.now().Sub(own.readAt).Abs() >= ownRefresh && g.refresh.TryLock():
		own = g.readOwn()
		g.refresh.Unlock()
	}
	if own == nil {
		return true // never read: nothing may pass
	}
	_, found := own.list[addr]
	return found
}

// readOwn returns the list as it is now, or the last one; nil if it was never read.
func (g *guard) readOwn() *ownAddresses {
	interfaces, err := g.addresses()
	if err != nil {
		return g.own.Load()
	}
	own := &ownAddresses{list: make(map[netip.Addr]struct{}, 2*len(interfaces)), readAt: g.now()}
	for _, entry := range interfaces {
		if network, ok := entry.(*net.IPNet); ok {
			own.add(network)
		}
	}
	g.own.Store(own)
	return own
}

// add adds an interface's address, and those of its network at which this machine hears packets, too: the lowest, which is
// every router's in IPv6 (RFC 4291, section 2.6.1) and an old broadcast address in IPv4, and IPv4's broadcast address.
func (o *ownAddresses) add(network *net.IPNet) {
	addr, ok := netip.AddrFromSlice(network.IP)
	if !ok {
		return
	}
	addr = addr.Unmap()
	o.list[addr] = struct{}{}
	ones, bits := network.Mask.Size()
	if bits != addr.BitLen() || ones >= bits-1 { // two addresses are one at each end of a link (RFC 3021)
		return
	}
	lowest := netip.PrefixFrom(addr, ones).Masked().Addr()
	o.list[lowest] = struct{}{}
	if highest := lowest.AsSlice(); addr.Is4() {
		for i, b := range network.Mask {
			highest[i] |= ^b
		}
		broadcast, _ := netip.AddrFromSlice(highest)
		o.list[broadcast] = struct{}{}
	}
}
