package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"stile/internal/password"
)

// watch lets the monitor see the rooms.
func (a *app) watch(hasher *password.Hasher) {
	m := a.cfg.monitor
	if m == nil {
		return
	}
	m.ready = a.ready
	readControl(m.registry, a.hub, a.store, hasher, a.service.Rollout)
	if a.node != nil {
		readNode(m.registry, a.node.agent, a.node.planes.ledger, a.node.endpoint.expiresAt)
	}
}

// attend tells the supervisor how the program is, from its own answers: it is ready when /readyz is, and lives while
// /healthz and the embedded node's loop do. The returned function says that it stops.
func (a *app) attend(ctx context.Context) (takeLeave func()) {
	if a.cfg.supervisor == nil {
		return func() {}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: 1}}
	ready := func(ctx context.Context) error { return a.ask(ctx, client, "/readyz") }
	alive := func(ctx context.Context) error {
		if a.node != nil {
			if err := a.node.agent.Alive(ctx); err != nil {
				return err
			}
		}
		return a.ask(ctx, client, "/healthz")
	}
	ctx, stop := context.WithCancel(ctx)
	var attending sync.WaitGroup
	attending.Go(func() { a.cfg.supervisor.attend(ctx, ready, alive) })
	return func() {
		stop()
		attending.Wait()
		client.CloseIdleConnections()
	}
}

// ask makes a request to the program's own listener. The connection is kept, so that a flood of others does not look
// like a program that hangs.
func (a *app) ask(ctx context.Context, client *http.Client, path string) error {
	address := a.cfg.listener.Addr().String()
	if host, port, err := net.SplitHostPort(address); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
			address = net.JoinHostPort("localhost", port)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return nil
}
