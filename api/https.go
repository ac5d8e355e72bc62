package api

import (
	"net/url"
	"slices"
	"sync"

	"stile/accesskey"
	"stile/vpn"
	"stile/wire"
)

// privateRanges are networks of the client's own, which lie on no way through a proxy.
var privateRanges = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"}

// httpsOf is what a client of the HTTPS proxy needs of an issued key.
func (a *API) httpsOf(issued *vpn.IssuedKey, baseURL string) *wire.HTTPSKey {
	server := issued.Server
	credential := issued.Key.Seed.HTTPS(server.Door)
	bypass := slices.Concat(a.pingHosts.of(issued.View), privateRanges)
	if host := hostOf(baseURL); !slices.Contains(bypass, host) {
		bypass = append(bypass, host)
	}
	return &wire.HTTPSKey{
		Scheme: "https", Host: server.Host, Port: server.HTTPSPort, Username: credential.Username, Password: credential.Password,
		Realm: accesskey.Realm, Bypass: bypass, ProbeURL: "http://" + credential.Probe + "/",
	}
}

// pingHosts keeps the hosts of the last view's ping URLs. Through the proxy, a dead proxy would lock its user out, and a
// ping would measure the way through it.
type pingHosts struct {
	mu    sync.Mutex
	view  *vpn.View
	hosts []string
}

// of returns the hosts that clients of a view ping, each once, in order.
func (p *pingHosts) of(view *vpn.View) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.view == view {
		return p.hosts
	}
	p.view, p.hosts = view, nil
	for i := range view.Servers {
		if host := hostOf(view.Servers[i].PingURL); host != "" {
			p.hosts = append(p.hosts, host)
		}
	}
	slices.Sort(p.hosts)
	p.hosts = slices.Compact(p.hosts)
	return p.hosts
}

// hostOf is the host of an address, "" when it has none.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
