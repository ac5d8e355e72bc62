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
	allow, deny []netip.Prefix

	own       atomic.Pointer[map[netip.Addr]struct{}]
	refreshAt atomic.Int64 // unix milliseconds after which own is read again
	refresh   sync.Mutex
	addresses func() ([]net.Addr, error)
	now       func() time.Time
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
	if !isPublic(addr) || contains(g.deny, addr) || g.isOwn(addr) {
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

// isOwn reports whether an interface of this machine has the address. Addresses come and go, so the list is read again
// by whoever finds it old; if it cannot be read the last one stays.
func (g *guard) isOwn(addr netip.Addr) bool {
	if now := g.now().UnixMilli(); now >= g.refreshAt.Load() && g.refresh.TryLock() {
		g.readOwn(now)
		g.refresh.Unlock()
	}
	own := g.own.Load()
	if own == nil {
		return true // never read: nothing may pass
	}
	_, found := (*own)[addr]
	return found
}

func (g *guard) readOwn(now int64) {
	list, err := g.addresses()
	if err != nil {
		return
	}
	own := make(map[netip.Addr]struct{}, len(list))
	for _, entry := range list {
		if network, ok := entry.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(network.IP); ok {
				own[addr.Unmap()] = struct{}{}
			}
		}
	}
	g.own.Store(&own)
	g.refreshAt.Store(now + ownRefresh.Milliseconds())
}
