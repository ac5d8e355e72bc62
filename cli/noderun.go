package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"stile/accesskey"
	"stile/internal/buildinfo"
	"stile/node"
)

// nodeRunFlags say how a node of its own carries traffic. They have the names of the embedded node's in `stile serve`.
type nodeRunFlags struct {
	endpointFlags
	monitorFlags
	NodeListen       string         `placeholder:"ADDRESS" help:"Address to carry traffic on; by default all."`
	ShadowsocksPorts *portRange     `placeholder:"PORTS" help:"Ports for Shadowsocks; by default those of the server."`
	HTTPSPort        *int           `range:"0..65535" name:"https-port" placeholder:"PORT" help:"Port of the HTTPS proxy, which browsers use, 0 for none; needs --tls-cert or --acme. By default that of the server."`
	AllowTarget      []netip.Prefix `placeholder:"CIDR" help:"Addresses that users may reach although they otherwise never do; repeatable."`
	UsageEvery       time.Duration  `range:"100ms..1h" default:"3s" help:"How often traffic is reported: who has used up a quota is cut one report later."`
	LogFormat        string         `enum:"text,json" default:"text" help:"text or json."`
	LogLevel         string         `enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`
}

// NodeRunCmd is `stile node run`.
type NodeRunCmd struct {
	nodeDirFlags
	nodeRunFlags
}

// Run carries traffic until ctx ends.
func (c *NodeRunCmd) Run(ctx context.Context, t *Terminal) error {
	if _, err := os.Stat(c.Data); errors.Is(err, fs.ErrNotExist) { // which a slip in --data must not make
		return notJoined(c.Data)
	}
	lock, err := lockNode(c.Data)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	return runNode(ctx, t, c.Data, &c.nodeRunFlags)
}

// lockNode takes a node's directory for this process.
func lockNode(path string) (*os.File, error) {
	dir := dataDir(path)
	if err := dir.create(); err != nil {
		return nil, err
	}
	return dir.lock()
}

// errRefused is how a node ends that the control plane shut out.
var errRefused = errors.New("this node was shut out: it was revoked, its server was removed, or another machine joined in its place; it carries nothing until it joins anew (stile server join)")

// notJoined says that there is no node in a directory.
func notJoined(dir string) error {
	return fmt.Errorf("%w: no node is kept in %s; paste the line that `stile server add` prints, or name the node's directory with --data", node.ErrNoIdentity, dir)
}

// runNode carries traffic as the node of a directory, until ctx ends or the control plane shuts the node out.
func runNode(ctx context.Context, t *Terminal, dir string, flags *nodeRunFlags) error {
	if err := flags.endpointFlags.check(); err != nil {
		return err
	}
	if flags.HTTPSPort != nil {
		if err := checkHTTPSPort(*flags.HTTPSPort, &flags.endpointFlags); err != nil {
			return err
		}
	}
	log, err := newLog(t.Err, flags.LogFormat, flags.LogLevel)
	if err != nil {
		return err
	}
	id, err := node.LoadIdentity(dir)
	if errors.Is(err, node.ErrNoIdentity) {
		return notJoined(dir)
	}
	if err != nil {
		return err
	}
	if id.IsRefused {
		return errRefused
	}
	supervisor, err := findSupervisor(os.Getenv)
	if err != nil {
		return err
	}
	refresh(ctx, id, dir, log)
	n := &joinedNode{}
	if err := n.open(ctx, dir, id, flags, log); err != nil {
		return errors.Join(err, n.close(ctx))
	}
	t.printf("Node %d, %q, of %s carries Shadowsocks on ports %s\n", id.NodeID, id.Name, id.URL, n.planes.shown())
	switch port := n.planes.Serving().HTTPS; {
	case port != 0:
		t.printf("It is an HTTPS proxy for browsers on port %d\n", port)
	case n.endpoint.ping == nil:
		t.printf("It answers no ping, so clients choose servers that do before it: see --ping-listen\n")
	}
	return n.run(ctx, supervisor)
}

// refreshWithin bounds how long a node that starts waits to hear whether its server has changed.
const refreshWithin = 3 * time.Second

// refresh learns what the server is like now. Without an answer the node starts as what it was: it serves its keys
// without the control plane. That it was shut out is for the transport to notice.
func refresh(ctx context.Context, id *node.Identity, dir string, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, refreshWithin)
	defer cancel()
	if err := id.Refresh(ctx, dir); err != nil {
		log.Warn("the control plane does not say whether the server has changed; its ports are taken as they were", "error", err)
	}
}

// planes are the ports to begin with: the flags', else those configured last, else those of the server.
func (f *nodeRunFlags) planes(id *node.Identity, kept *node.Configured, log *slog.Logger) (cfg *planesConfig, https int) {
	cfg = &planesConfig{
		listen: f.NodeListen, allow: f.AllowTarget, ports: portRange{first: id.ShadowsocksPort, count: id.ShadowsocksPorts},
		pins: pins{shadowsocks: f.ShadowsocksPorts != nil, https: f.HTTPSPort != nil},
	}
	https, cfg.method = id.HTTPSPort, id.ShadowsocksMethod
	if s := &kept.Serving; s.Rev > 0 {
		cfg.ports, cfg.method, https = portRange{first: int(s.Shadowsocks), count: int(s.Count)}, s.Method, int(s.HTTPS)
	}
	if len(id.Door) == len(cfg.door) {
		cfg.door = accesskey.Door(id.Door)
	}
	setFrom(&cfg.ports, f.ShadowsocksPorts)
	setFrom(&https, f.HTTPSPort)
	switch isCertified := f.isCertified(); {
	case isCertified && len(id.Door) != len(accesskey.Door{}):
		cfg.lacks = noDoor
		if https != 0 {
			log.Error("no HTTPS proxy: the control plane has not yet told this node how issued keys are known; start again when it can be reached", "port", https)
		}
	case https != 0 && !isCertified: // what the server lacks for one stops no other plane
		log.Error("no HTTPS proxy, although the server has a port for it: it needs --tls-cert and --tls-key, or --acme", "port", https)
	}
	return cfg, https
}

// joinedNode is a node that links over the network, with what belongs to it on this machine.
type joinedNode struct {
	planes    *openPlanes
	endpoint  *endpoint
	monitor   *monitor // nil = nobody watches
	transport *node.Transport
	agent     *node.Agent
}

// open listens, and restores the node's keys. What was opened when it fails is close's to end.
func (n *joinedNode) open(ctx context.Context, dir string, id *node.Identity, flags *nodeRunFlags, log *slog.Logger) error {
	var err error
	if n.transport, err = node.NewTransport(node.TransportConfig{Dir: dir, Identity: id, Log: log}); err != nil {
		return err
	}
	kept, err := node.LoadConfigured(id.StateDir(dir))
	if err != nil {
		log.Error("the node's configuration cannot be read; it begins with its server's ports", "error", err)
	}
	cfg, https := flags.planes(id, &kept, log)
	if n.monitor, err = flags.monitorFlags.open(ctx); err != nil {
		return err
	}
	if n.endpoint, err = flags.endpointFlags.open(ctx, id.Host, dir, log); err != nil {
		return err
	}
	if cfg.lacks == "" {
		n.endpoint.secure(cfg, https)
	}
	if n.planes, err = listenPlanes(ctx, cfg, log); err != nil {
		return err
	}
	planes, err := n.planes.finish(ctx, cfg.door, kept.Old)
	if err != nil {
		return err
	}
	n.agent, err = node.Open(node.Config{
		Dir: id.StateDir(dir), ID: id.NodeID, Version: buildinfo.Version(), Ledger: n.planes.ledger, Planes: planes, Ports: n.planes,
		Ping: n.endpoint.ping, UsageInterval: flags.UsageEvery, Log: log, Dial: n.transport.Dial,
	})
	if err != nil {
		return err
	}
	if n.monitor != nil {
		n.monitor.ready = n.agent.Ready
		readNode(n.monitor.registry, n.agent, n.planes.ledger, n.endpoint.expiresAt)
	}
	return nil
}

// close ends a node that never ran.
func (n *joinedNode) close(ctx context.Context) error {
	var err error
	if n.endpoint != nil {
		err = n.endpoint.close()
	}
	if n.planes != nil {
		err = errors.Join(err, n.planes.close(ctx))
	}
	return errors.Join(err, n.monitor.close())
}

// run carries traffic until ctx ends, a part fails, or the control plane shuts the node out.
func (n *joinedNode) run(ctx context.Context, s *supervisor) error {
	defer n.planes.ledger.Close()
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var parts sync.WaitGroup
	start := func(name string, part func(context.Context) error) {
		parts.Go(func() {
			if err := part(working); err != nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start("certificate", n.endpoint.run)
	if n.monitor != nil {
		start("metrics", n.monitor.run)
	}
	parts.Go(func() { s.attend(working, n.agent.Ready, n.agent.Alive) })
	parts.Go(func() {
		select {
		case <-n.transport.Refused():
			stop(errRefused)
		case <-working.Done():
		}
	})
	err := n.agent.Run(working)
	stop(err)
	parts.Wait()
	if cause := context.Cause(working); ctx.Err() == nil && !errors.Is(err, cause) && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}
