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
	"stile/vpn"
)

// planesConfig says how a node carries traffic.
type planesConfig struct {
	listen string // "" = all addresses
	ports  portRange
	method string         // of Shadowsocks; "" = those of AEAD-2018
	door   accesskey.Door // of the server, which a method of AEAD-2022 needs
	allow  []netip.Prefix
	https  *httpsConfig // nil = no HTTPS proxy
}

// httpsConfig is what the HTTPS proxy needs besides.
type httpsConfig struct {
	port int // 0 = any
	tls  *tls.Config
	site http.Handler // what strangers see; nil = an empty site
}

// openPlanes are the ways of a node, which listen already. They share a ledger and an egress.
type openPlanes struct {
	ledger *dataplane.Ledger
	egress *dataplane.Egress
	ports  portRange
	list   []dataplane.Plane

	https    *httpsConfig
	listener *httpsproxy.Listener // nil = no HTTPS proxy
}

// listenPlanes opens the ports of a node. finish makes the planes; close gives the ports up.
func listenPlanes(ctx context.Context, c *planesConfig, log *slog.Logger) (*openPlanes, error) {
	p := &openPlanes{
		ledger: dataplane.NewLedger(time.Now), egress: dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: c.allow}), https: c.https,
	}
	plane, err := c.listenShadowsocks(ctx, shadowsocks.Config{
		Host: c.listen, Port: c.ports.first, Ports: c.ports.count, Ledger: p.ledger, Egress: p.egress, Log: log,
	})
	if err != nil {
		return nil, err
	}
	p.ports.first, p.ports.count = plane.Ports()
	p.list = append(p.list, plane)
	if c.https == nil {
		return p, nil
	}
	if p.listener, err = httpsproxy.Listen(ctx, c.listen, c.https.port, log); err != nil {
		return nil, errors.Join(fmt.Errorf("%w (choose another port with --https-port)", err), p.close(ctx))
	}
	return p, nil
}

// shadowsocksPlane is a plane of either edition.
type shadowsocksPlane interface {
	dataplane.Plane
	// Ports returns the first port and how many there are.
	Ports() (first, count int)
}

// listenShadowsocks makes the plane that speaks the configured method.
func (c *planesConfig) listenShadowsocks(ctx context.Context, shared shadowsocks.Config) (plane shadowsocksPlane, err error) {
	switch {
	case c.method == "" || c.method == accesskey.MethodAES256GCM || c.method == accesskey.MethodChaCha20:
		plane, err = shadowsocks.New(ctx, shared)
	case accesskey.PSKSize(c.method) != 0:
		plane, err = shadowsocks.New2022(ctx, shadowsocks.Config2022{
			Config: shared, Method: c.method, IdentityPSK: c.door.IdentityPSK(c.method),
		})
	default:
		return nil, fmt.Errorf("the server's Shadowsocks method is %q, which this version of Stile does not know: install a newer one", c.method)
	}
	if err != nil {
		return nil, fmt.Errorf("%w (choose others with --shadowsocks-ports)", err)
	}
	return plane, nil
}

// httpsPort is where the HTTPS proxy listens; 0 = nowhere.
func (p *openPlanes) httpsPort() int {
	if p.listener == nil {
		return 0
	}
	return p.listener.Port()
}

// describe writes the ports into a server's values.
func (p *openPlanes) describe(server *vpn.Server) {
	server.ShadowsocksPort, server.ShadowsocksPorts, server.HTTPSPort = p.ports.first, p.ports.count, p.httpsPort()
}

// finish makes the planes of the node of a server, whose door it is.
func (p *openPlanes) finish(door accesskey.Door) ([]dataplane.Plane, error) {
	if p.listener == nil {
		return p.list, nil
	}
	plane, err := httpsproxy.New(httpsproxy.Config{
		Listener: p.listener, TLS: p.https.tls, Door: door, Site: p.https.site, Ledger: p.ledger, Egress: p.egress,
	})
	if err != nil {
		return nil, err
	}
	p.list = append(p.list, plane)
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
