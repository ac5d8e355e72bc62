package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"stile/client"
	"stile/wire"
)

// ConnectCmd is `stile connect`.
type ConnectCmd struct {
	Target   string `arg:"" optional:"" default:"best" help:"best, or the number, name, city or country of a server."`
	Protocol string `enum:"shadowsocks,https" default:"shadowsocks" help:"shadowsocks, or https, which looks like the web but carries no datagrams."`
	Listen   string `default:"127.0.0.1:1080" env:"STILE_CONNECT_LISTEN" help:"Address of the local proxy; it asks for no password, so keep it on loopback."`
	JSON     bool   `name:"json" help:"Print the server and the proxy as JSON, once."`
}

// Help is shown by --help.
func (*ConnectCmd) Help() string {
	return `Needs no root: programs that are told of the proxy go through the server, the rest of the machine does not. When the way is lost they get an error, never a direct connection.

Example:

  $ stile connect NL --listen 127.0.0.1:1080
  $ curl --proxy socks5h://127.0.0.1:1080 https://example.com/`
}

// pollAtLeast keeps a server from making its clients ask without rest.
const pollAtLeast = 10 * time.Second

// connection is a running `stile connect`.
type connection struct {
	account *account
	chosen  choice
	proxy   *client.Proxy
	line    *client.Line
}

// Run opens the proxy and serves it until ctx ends or the account may not use the key any more.
func (c *ConnectCmd) Run(ctx context.Context, t *Terminal) error {
	a, err := openAccount()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen", err)
	}
	defer listener.Close()
	conn, err := c.open(ctx, t, a)
	if err != nil {
		return err
	}
	if err := c.announce(t, conn, listener.Addr()); err != nil {
		return err
	}
	err = conn.run(ctx, t, listener)
	traffic := conn.proxy.Traffic()
	t.notef("Disconnected. Sent %s, received %s.\n", humanBytes(traffic.Up), humanBytes(traffic.Down))
	return err
}

// open chooses the server and gets the key.
func (c *ConnectCmd) open(ctx context.Context, t *Terminal, a *account) (*connection, error) {
	chosen, err := a.choose(ctx, c.Target, c.Protocol)
	if err != nil {
		return nil, err
	}
	request := wire.KeyRequest{ServerID: chosen.server.ID, Protocol: c.Protocol}
	key, err := a.Key(ctx, request)
	if err != nil {
		return nil, a.remedy(err)
	}
	warnUnready(t, &key)
	refresh := func(ctx context.Context) (string, error) {
		key, err := a.Key(ctx, request)
		return key.Key, err
	}
	line, err := client.NewLine(key.Key, refresh, func(err error) { t.notef("\n%s\n", describeTrouble(err)) })
	if err != nil {
		return nil, err
	}
	return &connection{account: a, chosen: chosen, proxy: client.NewProxy(line), line: line}, nil
}

// describeTrouble says what a line reports while it goes on.
func describeTrouble(err error) string {
	if errors.Is(err, client.ErrSilent) {
		return "The server does not answer, though your key is valid. Press Ctrl-C and try another: stile servers --ping\nIf none does, this machine may be at fault, for instance its clock: stile doctor"
	}
	return "The server may be lost: " + strings.ReplaceAll(clean(err.Error()), "client: ", "") + "\nEach connection tries it anew; Ctrl-C ends this."
}

// announce says what is open, and how to use it.
func (c *ConnectCmd) announce(t *Terminal, conn *connection, proxy net.Addr) error {
	server := &conn.chosen.server
	if c.JSON {
		return t.printJSON(map[string]any{"server": server, "proxy": proxy.String(), "protocols": []string{"socks5", "http"}})
	}
	t.printf("Connected through %s, server %d", describe(server), server.ID)
	if conn.chosen.ping > 0 {
		t.printf(", ping %s", milliseconds(conn.chosen.ping))
	}
	t.printf(".\nProxy, SOCKS5 and HTTP: %s\n  curl --proxy socks5h://%s https://example.com/\nCtrl-C ends it.\n", proxy, proxy)
	return nil
}

// run serves until ctx ends (nil) or the access does (why).
func (c *connection) run(ctx context.Context, t *Terminal, listener net.Listener) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	tasks := []func(context.Context) error{
		func(ctx context.Context) error { return c.proxy.Serve(ctx, listener) },
		c.line.Run,
		c.watch,
	}
	if t.isLive() {
		tasks = append(tasks, func(ctx context.Context) error { return c.showTraffic(ctx, t) })
	}
	ended := make(chan error, len(tasks))
	for _, task := range tasks {
		go func() {
			err := task(ctx)
			end() // whichever ends first ends the others
			ended <- err
		}()
	}
	var first error
	for range tasks {
		if err := <-ended; err != nil && first == nil {
			first = err
		}
	}
	if client.Refused(first) {
		return fmt.Errorf("the key was revoked: %w", c.account.remedy(first))
	}
	return first
}

// watch asks from time to time, as often as the server wants it, whether the account still has access: a key that
// carries nothing would not show its end.
func (c *connection) watch(ctx context.Context) error {
	wait := pollAtLeast
	for {
		s, err := c.account.Subscription(ctx)
		switch {
		case client.Refused(err):
			return err
		case err == nil && !s.Access.Allowed:
			return fmt.Errorf("the access has ended: %s", accessReason(&s))
		case err == nil:
			wait = max(pollAtLeast, time.Duration(s.PollAfter)*time.Second)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// showTraffic keeps one line of the terminal up to date.
func (c *connection) showTraffic(ctx context.Context, t *Terminal) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		traffic := c.proxy.Traffic()
		t.printf("\r\x1b[K↑ %s  ↓ %s  open %d", humanBytes(traffic.Up), humanBytes(traffic.Down), traffic.Open)
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.printf("\r\x1b[K")
			return nil
		}
	}
}
