package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"stile/hub"
	"stile/internal/buildinfo"
	"stile/store"
	"stile/vpn"
	"stile/wire"
)

// nodesConfig is what the listener for nodes is made from.
type nodesConfig struct {
	listener net.Listener
	url      string // that join tokens carry
}

// listenForNodes listens if --nodes-listen says so.
func (c *ServeCmd) listenForNodes(ctx context.Context, cfg *appConfig) (*nodesConfig, error) {
	if c.NodesListen == "" {
		if c.NodesURL != "" {
			return nil, errors.New("--nodes-url: nothing listens there without --nodes-listen")
		}
		return nil, nil
	}
	if c.NodesURL != "" && wire.CheckNodesURL(c.NodesURL) != nil {
		return nil, fmt.Errorf("--nodes-url %q: %w", c.NodesURL, wire.ErrNodesURL)
	}
	listener, err := listen(ctx, c.NodesListen)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with --nodes-listen)", err)
	}
	host, port, _ := net.SplitHostPort(listener.Addr().String()) // of a listener
	if address, err := netip.ParseAddr(host); err == nil && address.IsUnspecified() {
		host = c.NodeHost
		if u, err := url.Parse(cfg.publicURL); err == nil && u.Hostname() != "" {
			host = u.Hostname()
		}
	}
	return &nodesConfig{listener: listener, url: cmp.Or(c.NodesURL, "https://"+net.JoinHostPort(host, port))}, nil
}

// openNodes makes the listener for nodes, and leaves its address in the database, for join tokens that other processes
// make.
func openNodes(ctx context.Context, a *app) (*hub.Listener, error) {
	authority, known, err := hub.OpenAuthority(ctx, a.store, nil)
	if err != nil {
		return nil, err
	}
	if known != a.cfg.nodes.url {
		if err := a.store.SetNodesURL(ctx, a.cfg.nodes.url); err != nil {
			return nil, err
		}
	}
	return hub.NewListener(hub.ListenerConfig{
		Hub: a.hub, Authority: authority, Members: a.service, Version: buildinfo.Version(), Log: a.cfg.log,
	})
}

// errNoNodesURL says that no join token can be made yet.
var errNoNodesURL = errors.New("for a node on another machine, start the service with --nodes-listen :8443 (and --nodes-url, the address that nodes dial); then `stile server join ID` prints how it joins")

// joinLine makes a join token for an actor and returns the line to paste.
func joinLine(ctx context.Context, st *store.Store, s *vpn.Service, a *vpn.Actor, serverID int64) (string, error) {
	authority, url, err := hub.OpenAuthority(ctx, st, nil)
	if err != nil {
		return "", err
	}
	if url == "" {
		return "", errNoNodesURL
	}
	secret, _, err := s.NodeJoinToken(ctx, a, serverID)
	if err != nil {
		return "", err
	}
	token := wire.JoinToken{NodeID: serverID, Secret: secret, Authority: authority.Pin(), URL: url}
	return "stile node join " + token.String(), nil
}

// ServerJoinCmd is `stile server join`.
type ServerJoinCmd struct {
	databaseFlags
	ID   int64 `arg:"" name:"id" help:"Number of the server."`
	JSON bool  `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*ServerJoinCmd) Help() string {
	return `Makes a new token, in place of an earlier one that was not used. The node that is there stays until another machine
has joined in its place.`
}

// Run prints the line to paste.
func (c *ServerJoinCmd) Run(ctx context.Context, t *Terminal) error {
	return c.useStore(ctx, func(st *store.Store, s *vpn.Service) error {
		if _, err := s.NodeServer(ctx, c.ID); errors.Is(err, vpn.ErrNotMember) {
			return noSuch("server "+id(c.ID), "server list")
		}
		line, err := joinLine(ctx, st, s, shell, c.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return t.printJSON(map[string]string{"join": line, "token": strings.TrimPrefix(line, "stile node join ")})
		}
		t.notef("Within an hour, paste on the machine of the server:\n\n")
		t.printf("%s\n", line)
		return nil
	})
}
