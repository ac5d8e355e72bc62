package httpsproxy

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"stile/dataplane"
)

// maxName bounds a host name, in bytes.
const maxName = 255

// targetOf returns where a request wants to go if it is one for a proxy: a CONNECT, or a request for an http:// URL. In
// HTTP/2 a request for an http:// URL looks like one for this site, because net/http drops the scheme: ok says only that
// it could be one. host is the name in it, in any case.
func targetOf(r *http.Request) (host string, to dataplane.Target, ok bool) {
	authority, port := r.Host, ""
	switch {
	case r.Method == http.MethodConnect:
	case r.ProtoMajor == 1 && !strings.EqualFold(r.URL.Scheme, "http"):
		return hostOf(r.Host), to, false
	case r.URL.Host != "":
		authority, port = r.URL.Host, "80"
	default:
		port = "80"
	}
	to, ok = parseTarget(authority, port)
	return hostOf(authority), to, ok
}

// hostOf takes the port off.
func hostOf(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}

// parseTarget reads host:port, or a host alone if there is a port to use then. IPv6 addresses are in brackets.
func parseTarget(authority, port string) (dataplane.Target, bool) {
	host, digits, err := net.SplitHostPort(authority)
	if err != nil {
		if port == "" {
			return dataplane.Target{}, false
		}
		if host, digits, err = net.SplitHostPort(authority + ":" + port); err != nil {
			return dataplane.Target{}, false
		}
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || number == 0 {
		return dataplane.Target{}, false
	}
	to := dataplane.Target{Port: uint16(number)}
	if addr, err := netip.ParseAddr(host); err == nil {
		to.Addr = addr.Unmap()
		return to, true
	}
	to.Name = host
	return to, isName(host)
}

// isName takes what a resolver can be asked for: visible ASCII.
func isName(host string) bool {
	for _, c := range []byte(host) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return host != "" && len(host) <= maxName
}
