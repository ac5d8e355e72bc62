package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"stile/internal/buildinfo"
	"stile/node"
	"stile/vpn"
	"stile/wire"
)

// nodeConfig is what the embedded node is made from.
type nodeConfig struct {
	planesConfig
	// ports and httpsPort are the flags', nil where there is none: then they are as configured last.
	ports      *portRange
	httpsPort  *int
	host       string // that keys point to
	usageEvery time.Duration
	endpoint   endpointFlags
}

// embeddedNode is a node in this process: the same agent that runs on other machines, on a link that is a pipe.
type embeddedNode struct {
	id         int64
	name       string // of its state, "" at the first start
	https      int    // port to begin with
	configured node.Configured
	agent      *node.Agent
	planes     *openPlanes
	endpoint   *endpoint
	links      sync.WaitGroup // the hub's ends
}

// openNode listens with the data planes, makes or updates the node's server, and restores the node's keys.
func openNode(ctx context.Context, a *app) (*embeddedNode, error) {
	cfg := a.cfg.node
	n := &embeddedNode{}
	dir := dataDir(a.cfg.Data)
	if err := os.MkdirAll(dir.node(), 0o700); err != nil {
		return nil, err
	}
	var err error
	if n.name, err = dir.loadNodeName(); err != nil {
		return nil, err
	}
	local, err := findLocal(ctx, a.service, n.name, cfg.host)
	if err != nil {
		return nil, err
	}
	if n.name == "" && local != nil && a.store.Replicas() != nil {
		if err := refuseServed(ctx, a.service, local.ID); err != nil {
			return nil, err
		}
	}
	n.configure(cfg, dir, local, a.cfg.log)
	if n.endpoint, err = cfg.endpoint.open(ctx, cfg.host, dataDir(a.cfg.Data).node(), a.cfg.log); err != nil {
		return nil, err
	}
	n.endpoint.secure(&cfg.planesConfig, n.https)
	if n.planes, err = listenPlanes(ctx, &cfg.planesConfig, a.cfg.log); err != nil {
		return nil, errors.Join(err, n.endpoint.close())
	}
	if err := n.open(ctx, a, local); err != nil {
		return nil, errors.Join(err, n.planes.close(ctx), n.endpoint.close())
	}
	return n, nil
}

// configure finds the ports to begin with: the flags', else those configured last, else the usual ones.
func (n *embeddedNode) configure(cfg *nodeConfig, dir dataDir, local *vpn.Server, log *slog.Logger) {
	cfg.planesConfig.ports, n.https = defaultPorts, 0
	if local != nil {
		cfg.method, cfg.door = local.ShadowsocksMethod, local.Door
	}
	if n.name != "" {
		var err error
		if n.configured, err = node.LoadConfigured(filepath.Join(dir.node(), n.name)); err != nil {
			log.Error("the node's configuration cannot be read; it begins with the usual ports", "error", err)
		}
	}
	if s := &n.configured.Serving; s.Rev > 0 {
		cfg.planesConfig.ports, cfg.method, n.https = portRange{first: int(s.Shadowsocks), count: int(s.Count)}, s.Method, int(s.HTTPS)
	}
	setFrom(&cfg.planesConfig.ports, cfg.ports)
	setFrom(&n.https, cfg.httpsPort)
	cfg.pins = pins{shadowsocks: cfg.ports != nil, https: cfg.httpsPort != nil}
}

// open makes the node's agent. local is its server, nil at the first start.
func (n *embeddedNode) open(ctx context.Context, a *app, local *vpn.Server) error {
	dir := dataDir(a.cfg.Data)
	pingURL := n.endpoint.pingURL(a.cfg.node.host, int(n.planes.Serving().HTTPS), a.url()+"/ping")
	server, err := ensureLocal(ctx, a.service, local, a.cfg.node.host, pingURL, n.planes)
	if vpn.CodeOf(err) == vpn.CodeConflict {
		return fmt.Errorf("a server named %q exists already and is not this machine's: rename it with `stile server set ID --name …`; if it is this machine's, delete %s",
			localServer, dir.nodeName())
	}
	if err != nil {
		return err
	}
	n.id = server.ID
	name := nodeName(&server)
	if name != n.name {
		if err := dir.saveNodeName(name); err != nil {
			return err
		}
	}
	planes, err := n.planes.finish(ctx, server.Door, n.configured.Old)
	if err != nil {
		return err
	}
	n.agent, err = node.Open(node.Config{
		Dir: filepath.Join(dir.node(), name), ID: n.id, Version: buildinfo.Version(), Ledger: n.planes.ledger,
		Planes: planes, Ports: n.planes, Ping: n.endpoint.ping, UsageInterval: a.cfg.node.usageEvery, Log: a.cfg.log,
		Dial: func(ctx context.Context) (wire.Link, error) {
			near, far := wire.Pipe()
			n.links.Go(func() {
				// The link's end is what there is to know of it; the node dials again.
				_ = a.hub.Serve(ctx, n.id, far)
			})
			return near, nil
		},
	})
	return err
}

// run carries traffic until ctx ends. When it returns, other replicas know that the node is offline.
func (n *embeddedNode) run(ctx context.Context) error {
	defer n.links.Wait()
	defer n.planes.ledger.Close()
	return n.agent.Run(ctx)
}

// close ends a node that never ran.
func (n *embeddedNode) close(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return errors.Join(n.run(ctx), n.endpoint.close())
}

// nodeName names the embedded node's server and the directory of its state: the server's number and the millisecond it
// was made. The number alone would come back in a database that was made anew, with other users' keys under the numbers
// that the state knows.
func nodeName(server *vpn.Server) string {
	return fmt.Sprintf("%d-%d", server.ID, server.CreatedAt.UnixMilli())
}

func (d dataDir) nodeName() string { return filepath.Join(d.node(), "name") }

// loadNodeName returns the name of the embedded node, "" at the first start.
func (d dataDir) loadNodeName() (string, error) {
	raw, err := os.ReadFile(d.nodeName())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

// saveNodeName keeps the name. A crash before that is harmless: the server is found again by its name and host.
func (d dataDir) saveNodeName(name string) error {
	temp, err := os.CreateTemp(d.node(), ".name-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(name + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), d.nodeName()); err != nil {
		return err
	}
	return syncDir(d.node())
}

// localServer is the name that the embedded node's server has at first.
const localServer = "local"

// findLocal returns the embedded node's server; nil at the first start. It is known by its nodeName, so that operators may
// rename it.
func findLocal(ctx context.Context, s *vpn.Service, known, host string) (*vpn.Server, error) {
	servers, err := s.AllServers(ctx, shell)
	if err != nil {
		return nil, err
	}
	for i := range servers {
		server := servers[i].Server
		if nodeName(&server) == known || known == "" && server.Name == localServer && server.Host == host {
			return &server, nil
		}
	}
	return nil, nil
}

// refuseServed refuses a server that this machine would take for its own, by its name and its host, while another serves it.
func refuseServed(ctx context.Context, s *vpn.Service, id int64) error {
	reports, err := s.NodeReports(ctx, shell)
	if err != nil {
		return err
	}
	for i := range reports {
		if r := &reports[i]; r.Server.ID == id && r.IsOnline(time.Now()) {
			return fmt.Errorf("the server named %[1]q with the host %[2]s is another replica's: rename it with `stile server set %[3]d --name …`, and give each replica its own --node-host, or --no-node; if this machine has lost its directory, wait a minute",
				localServer, r.Server.Host, id)
		}
	}
	return nil
}

// ensureLocal makes the embedded node's server at the first start, where local is nil, and lets its host follow the flag at
// later ones; its ports follow what the node says, as any node's.
func ensureLocal(ctx context.Context, s *vpn.Service, local *vpn.Server, host, pingURL string, planes *openPlanes) (vpn.Server, error) {
	if local == nil {
		server := vpn.Server{Name: localServer, CountryCode: vpn.UnknownCountry, Host: host, PingURL: pingURL}
		planes.describe(&server)
		return s.AddServer(ctx, shell, server)
	}
	server := *local
	if server.Host == host && server.PingURL == pingURL {
		return server, nil
	}
	server.Host, server.PingURL = host, pingURL
	return server, s.UpdateServer(ctx, shell, server)
}
