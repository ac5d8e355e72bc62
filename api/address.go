package api

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxForwarded bounds how many addresses of X-Forwarded-For are read.
const maxForwarded = 32

// ClientAddress is who asks: the peer, or, as long as trusted proxies say for whom they ask, the last one named that is
// none of them. It is the zero Addr when the peer has no IP address.
func ClientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := peer.Addr().Unmap().WithZone("")
	forwarded := strings.Join(r.Header["X-Forwarded-For"], ",")
	for range maxForwarded {
		if forwarded == "" || !contains(trusted, address) {
			break
		}
		i := strings.LastIndexByte(forwarded, ',')
		next, ok := parseForwarded(strings.TrimSpace(forwarded[i+1:]))
		if !ok {
			break
		}
		address, forwarded = next, forwarded[:max(i, 0)]
	}
	return address
}

// parseForwarded reads an address as proxies write it: also with a port.
func parseForwarded(s string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), true
}

func contains(prefixes []netip.Prefix, address netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(address) {
			return true
		}
	}
	return false
}
