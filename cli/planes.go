package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/httpsproxy"
	"stile/dataplane/shadowsocks"
	"stile/node"
	"stile/vpn"
)

// planesConfig says how a node carries traffic.
type planesConfig struct {
	listen string // "" = all addresses
	ports  portRange
	method string         // of Shadowsocks; "" = AES-256-GCM
	door   accesskey.Door // of the server, which a method of AEAD-2022 needs
	allow  []netip.Prefix
	https  *httpsConfig // nil = no HTTPS proxy, and no certificate for one
	pins   pins
	lacks  string // as in moving
}

// httpsConfig is what the HTTPS proxy needs besides.
type httpsConfig struct {
	port int // 0 = it listens nowhere until it is told to
	tls  *tls.Config
	site http.Handler // what strangers see; nil = an empty site
}

// openPlanes are the ways of a node, which listen already. They share a ledger and an egress.
type openPlanes struct {
	ledger *dataplane.Ledger
	egress *dataplane.Egress
	list   []dataplane.Plane
	moving

	https    *httpsConfig
	listener *httpsproxy.Listener // nil = the HTTPS proxy listens nowhere
}

// listenPlanes opens the ports of a node. finish makes the planes; close gives the ports up.
func listenPlanes(ctx context.Context, c *planesConfig, log *slog.Logger) (*openPlanes, error) {
	ledger, egress := dataplane.NewLedger(time.Now), dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: c.allow})
	p := &openPlanes{ledger: ledger, egress: egress, https: c.https, moving: moving{
		shared: shadowsocks.Config{Host: c.listen, Ledger: ledger, Egress: egress, Log: log},
		door:   c.door, pins: c.pins, lacks: c.lacks, editions: make(map[string]shadowsocksPlane),
	}}
	plane, err := p.listenShadowsocks(ctx, c.method, &c.ports)
	if err != nil {
		return nil, err
	}
	p.list = append(p.list, plane)
	if c.https != nil && c.https.port != 0 {
		if p.listener, err = httpsproxy.Listen(ctx, c.listen, c.https.port, log); err != nil {
			return nil, errors.Join(fmt.Errorf("%w (choose another port with --https-port)", err), p.close(ctx))
		}
	}
	p.begin(plane, c.method, p.listener)
	return p, nil
}

// describe writes the ports into a server's values.
func (p *openPlanes) describe(server *vpn.Server) {
	now := p.Serving()
	server.ShadowsocksPort, server.ShadowsocksPorts, server.HTTPSPort = int(now.Shadowsocks), int(now.Count), int(now.HTTPS)
	server.ShadowsocksMethod = now.Method
}

// finish makes the planes of the node of a server, whose door it is, and opens what ports of before can still be had.
func (p *openPlanes) finish(ctx context.Context, door accesskey.Door, old []node.OldPorts) ([]dataplane.Plane, error) {
	if p.https != nil {
		plane, err := httpsproxy.New(httpsproxy.Config{
			Listener: p.listener, TLS: p.https.tls, Door: door, Site: p.https.site, Ledger: p.ledger, Egress: p.egress, Log: p.shared.Log,
		})
		if err != nil {
			return nil, err
		}
		p.list, p.httpsproxy = append(p.list, plane), plane
	}
	p.door = door
	p.resume(ctx, old, func(plane dataplane.Plane) { p.list = append(p.list, plane) })
	return p.list, nil
}

// close ends planes that never ran.
func (p *openPlanes) close(ctx context.Context) error {
	p.ledger.Close()
	var err error
	for _, plane := range p.list {
		err = errors.Join(err, plane.Close(ctx))
	}
	if p.listener != nil {
		_ = p.listener.Close() // a plane that had it closed it
	}
	return err
}
