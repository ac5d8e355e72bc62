package vpn

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"stile/accesskey"
)

// NodePorts are where a node's planes listen, and what they speak there: what of it can be configured.
type NodePorts struct {
	// Shadowsocks is the first of Count consecutive ports.
	Shadowsocks int
	Count       int
	// Method is what Shadowsocks speaks, one of accesskey.Methods.
	Method string
	// HTTPS is the port of the HTTPS proxy; 0 = there is none.
	HTTPS int
}

// maxShadowsocksPorts is the most ports that a node's plane listens on.
const maxShadowsocksPorts = 4096

// check names the field that no node can be configured so.
func (p NodePorts) check() error {
	switch {
	case p.Shadowsocks < 1 || p.Count < 1 || p.Count > maxShadowsocksPorts || p.Shadowsocks > 65_536-p.Count:
		return invalid("ports", "in")
	case p.HTTPS < 0 || p.HTTPS > 65_535 || p.HTTPS >= p.Shadowsocks && p.HTTPS < p.Shadowsocks+p.Count:
		return invalid("https_port", "in")
	case !slices.Contains(accesskey.Methods(), p.Method):
		return invalid("shadowsocks_method", "in")
	}
	return nil
}

// Protocols are those that a node with these ports speaks.
func (p NodePorts) Protocols() []Protocol {
	if p.HTTPS == 0 {
		return []Protocol{Shadowsocks}
	}
	return []Protocol{Shadowsocks, HTTPS}
}

// Ports are those that the server's keys name.
func (s *Server) Ports() NodePorts {
	return NodePorts{Shadowsocks: s.ShadowsocksPort, Count: s.ShadowsocksPorts, Method: s.ShadowsocksMethod, HTTPS: s.HTTPSPort}
}

// PingURL is the address of the ping that an HTTPS proxy answers to strangers.
func PingURL(host string, port int) string {
	place := net.JoinHostPort(host, strconv.Itoa(port))
	return "https://" + strings.TrimSuffix(place, ":443") + "/ping"
}

// NodeConfig is the ports of a node with the revision that they came by; 0 = none did: the node began with them.
type NodeConfig struct {
	Rev int64
	NodePorts
}

// NodeServing is what a node says of itself.
type NodeServing struct {
	NodeConfig
	// RefusedRev is what it refused since, 0 = nothing, and Refusal why.
	RefusedRev int64
	Refusal    string
}

// ConfiguredNode is a node that takes configurations, from its first word of that on. Clients are told what it serves, never
// what is wanted.
type ConfiguredNode struct {
	NodeID int64
	NodeServing
	// ServedAt is when it said that it serves this.
	ServedAt time.Time
	// Wanted is sent to the node until it serves or refuses it.
	Wanted NodeConfig
	// KeepOld is how long ports of before go on taking connections.
	KeepOld time.Duration
	// Stage is when the newest roll-out reaches the node; 0 = it does not.
	Stage int
	// Before is what it served when that reached it.
	Before NodePorts
}

// IsPending reports whether the node has neither served nor refused what is wanted.
func (n *ConfiguredNode) IsPending() bool { return n.Wanted.Rev > max(n.Rev, n.RefusedRev) }
