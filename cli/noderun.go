package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"stile/internal/buildinfo"
	"stile/node"
)

// nodeRunFlags say how a node of its own carries traffic. They have the names of the embedded node's in `stile serve`.
type nodeRunFlags struct {
	NodeListen       string         `placeholder:"ADDRESS" help:"Address to carry traffic on; by default all."`
	ShadowsocksPorts *portRange     `placeholder:"PORTS" help:"Ports for Shadowsocks; by default those of the server when the node joined."`
	AllowTarget      []netip.Prefix `placeholder:"CIDR" help:"Addresses that users may reach although they otherwise never do; repeatable."`
	UsageEvery       time.Duration  `default:"5s" help:"How often traffic is reported."`
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

// runNode carries traffic as the node of a directory, until ctx ends or the control plane shuts the node out.
func runNode(ctx context.Context, t *Terminal, dir string, flags *nodeRunFlags) error {
	if flags.UsageEvery < 100*time.Millisecond || flags.UsageEvery > time.Hour {
		return errors.New("--usage-every: want 100ms to 1h")
	}
	log, err := newLog(t.Err, flags.LogFormat, flags.LogLevel)
	if err != nil {
		return err
	}
	id, err := node.LoadIdentity(dir)
	if errors.Is(err, node.ErrNoIdentity) {
		return fmt.Errorf("%w (%s): paste the line that `stile server add` prints", err, dir)
	}
	if err != nil {
		return err
	}
	if id.IsRefused {
		return errRefused
	}
	transport, err := node.NewTransport(node.TransportConfig{Dir: dir, Identity: id, Log: log})
	if err != nil {
		return err
	}
	cfg := &planesConfig{
		listen: flags.NodeListen, allow: flags.AllowTarget, ports: portRange{first: id.ShadowsocksPort, count: id.ShadowsocksPorts},
	}
	setFrom(&cfg.ports, flags.ShadowsocksPorts)
	planes, err := listenPlanes(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer planes.ledger.Close()
	agent, err := node.Open(node.Config{
		Dir: id.StateDir(dir), ID: id.NodeID, Version: buildinfo.Version(), Ledger: planes.ledger, Planes: planes.list,
		UsageInterval: flags.UsageEvery, Log: log, Dial: transport.Dial,
	})
	if err != nil {
		return errors.Join(err, planes.close(ctx))
	}
	t.printf("Node %d, %q, of %s carries Shadowsocks on ports %s\n", id.NodeID, id.Name, id.URL, planes.ports)
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-transport.Refused():
			stop(errRefused)
		case <-working.Done():
		}
	}()
	err = agent.Run(working)
	if errors.Is(context.Cause(working), errRefused) {
		err = errors.Join(err, errRefused)
	}
	return err
}
