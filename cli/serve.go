package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"stile/extension"
	"stile/internal/pacer"
	"stile/vpn"
)

// defaultPorts carry Shadowsocks unless told otherwise: 16 ports serve 1,024 clients without salt tags quickly.
var defaultPorts = portRange{first: 8388, count: 16}

// ServeCmd is `stile serve`.
type ServeCmd struct {
	databaseFlags
	Listen         string         `default:"127.0.0.1:8000" help:"Address of the API."`
	PublicURL      string         `name:"public-url" placeholder:"URL" help:"Address that clients use, such as https://vpn.example.net; by default http:// and --listen."`
	TrustedProxy   []netip.Prefix `placeholder:"CIDR" help:"Reverse proxies whose X-Forwarded-For names the client; repeatable."`
	Brand          string         `placeholder:"NAME" help:"What the service calls itself, at most 45 characters; by default as set in the settings, or Stile."`
	Language       string         `enum:"ru,en" default:"ru" help:"ru or en: the extension's language for browsers that speak neither."`
	SupportURL     string         `name:"support-url" placeholder:"URL" help:"Page or address where users find help; by default as set in the settings."`
	PaymentSecret  string         `placeholder:"SECRET" help:"Shared secret, of at least 32 characters, that payments are signed with; without it none are taken. Better set by STILE_PAYMENT_SECRET."`
	SignInFailures int            `range:"1..1000000" default:"5" help:"Failed sign-ins a minute that an account may have from one address; an address may have six times as many."`

	NodesListen string `placeholder:"ADDRESS" help:"Address where nodes on other machines dial in, such as :8443; by default none do."`
	NodesURL    string `name:"nodes-url" placeholder:"URL" help:"Address of that for join tokens, such as https://control.example.net:8443; by default by the host of --public-url or --node-host."`
	mailFlags

	NoNode           bool           `help:"Run no embedded node."`
	NodeHost         string         `field:"host" default:"127.0.0.1" help:"Public name or address of this machine, for keys of the embedded node."`
	NodeListen       string         `placeholder:"ADDRESS" help:"Address that the embedded node listens on; by default all, or loopback when --node-host is loopback."`
	ShadowsocksPorts *portRange     `placeholder:"PORTS" help:"Ports of the embedded node, which no configuration then moves; by default 8388-8403 until 'stile config' says otherwise."`
	HTTPSPort        *int           `range:"0..65535" name:"https-port" placeholder:"PORT" help:"Port of the embedded node's HTTPS proxy, which browsers use, such as 443, and which no configuration then moves; needs --tls-cert or --acme. None by default."`
	AllowTarget      []netip.Prefix `placeholder:"CIDR" help:"Addresses that the node may reach although it otherwise never does; repeatable."`
	UsageEvery       time.Duration  `range:"100ms..1h" default:"3s" help:"How often the embedded node reports traffic."`
	endpointFlags
	monitorFlags

	LogFormat string `enum:"text,json" default:"text" help:"text or json."`
	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`
}

// Run serves until ctx ends, then answers what was asked already and stops.
func (c *ServeCmd) Run(ctx context.Context, t *Terminal) error {
	log, err := newLog(t.Err, c.LogFormat, c.LogLevel)
	if err != nil {
		return err
	}
	cfg, err := c.config(log)
	if err != nil {
		return err
	}
	dir, isNew := dataDir(c.Data), c.isNew()
	if err := dir.create(); err != nil {
		return err
	}
	lock, err := dir.lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if isNew {
		log.Info("a new data directory is made", "data", c.Data)
	}
	if os.Getenv("GOGC") == "" { // else whoever runs it has said
		defer pacer.Start()()
	}
	if cfg.supervisor, err = findSupervisor(os.Getenv); err != nil {
		return err
	}
	if cfg.monitor, err = c.monitorFlags.open(ctx); err != nil {
		return err
	}
	cfg.monitor.observe()
	if cfg.listener, err = listen(ctx, c.Listen); err != nil {
		return fmt.Errorf("%w (choose another address with --listen)", err)
	}
	if cfg.nodes, err = c.listenForNodes(ctx, &cfg); err != nil {
		return errors.Join(err, cfg.listener.Close())
	}
	app, err := newApp(ctx, cfg)
	if err != nil {
		return errors.Join(err, cfg.closeListeners())
	}
	if err := c.welcome(ctx, t, app); err != nil {
		return errors.Join(err, app.close(ctx))
	}
	return app.run(ctx)
}

// listen opens a TCP listener.
func listen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" { // would be any port of all addresses
		return nil, errors.New("listen: no address")
	}
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", address)
}

// config checks the flags and turns them into the program's configuration.
func (c *ServeCmd) config(log *slog.Logger) (appConfig, error) {
	cfg := appConfig{
		databaseFlags: c.databaseFlags, publicURL: strings.TrimRight(c.PublicURL, "/"), trustedProxies: c.TrustedProxy,
		language: c.Language, fixed: c.settings(), signInFailures: c.SignInFailures,
		paymentSecret: []byte(c.PaymentSecret), log: log,
	}
	if _, err := c.dsn(); err != nil {
		return cfg, err
	}
	if err := (linkFlags{c.PublicURL}).check(); err != nil {
		return cfg, err
	}
	if strings.HasPrefix(c.PublicURL, "https://") && len(c.TrustedProxy) == 0 { // TLS is a proxy's, whose address all users would have
		log.Warn("--trusted-proxy is not set: all users behind the proxy share one throttle of sign-ins", "remedy", "name the proxy's address, such as --trusted-proxy 127.0.0.1/32")
	}
	if n := len(c.PaymentSecret); n > 0 && n < 32 {
		return cfg, errors.New("--payment-secret: want at least 32 characters")
	}
	if err := c.endpointFlags.check(); err != nil {
		return cfg, err
	}
	var err error
	if cfg.mailer, err = c.mailer(); err != nil {
		return cfg, err
	}
	if err := cfg.fixed.Check(); err != nil {
		return cfg, err
	}
	if c.NoNode {
		c.warnOfIdleFlags(log)
		return cfg, nil
	}
	cfg.node = &nodeConfig{
		planesConfig: planesConfig{listen: c.NodeListen, allow: c.AllowTarget},
		ports:        c.ShadowsocksPorts, httpsPort: c.HTTPSPort,
		host: c.NodeHost, usageEvery: c.UsageEvery, endpoint: c.endpointFlags,
	}
	if c.HTTPSPort != nil {
		if err := checkHTTPSPort(*c.HTTPSPort, &c.endpointFlags); err != nil {
			return cfg, err
		}
	}
	if address, err := netip.ParseAddr(c.NodeHost); err == nil && address.IsLoopback() && c.NodeListen == "" {
		cfg.node.listen = c.NodeHost
	}
	return cfg, nil
}

// warnOfIdleFlags names the embedded node's flags where there is none. They may come from an environment that several machines share,
// so they are no fault.
func (c *ServeCmd) warnOfIdleFlags(log *slog.Logger) {
	for _, flag := range []struct {
		name    string
		isGiven bool
	}{
		{"--node-listen", c.NodeListen != ""}, {"--shadowsocks-ports", c.ShadowsocksPorts != nil}, {"--https-port", c.HTTPSPort != nil},
		{"--allow-target", len(c.AllowTarget) > 0}, {"--ping-listen", c.PingListen != ""}, {"--tls-cert", c.TLSCert != ""}, {"--acme", c.ACME},
	} {
		if flag.isGiven {
			log.Warn("this does nothing: it is for the embedded node, and --no-node leaves that out", "flag", flag.name)
		}
	}
}

// settings are those that the flags set.
func (c *ServeCmd) settings() vpn.Settings {
	return vpn.Settings{Brand: c.Brand, Links: vpn.Links{Support: c.SupportURL}, MailFrom: c.MailFrom}
}

// welcome says where the service is, and how to make the first operator.
func (c *ServeCmd) welcome(ctx context.Context, t *Terminal, app *app) error {
	secret, err := app.service.SetupToken(ctx)
	if err != nil {
		return err
	}
	t.printf("Serving the API at %[1]s/api and the dashboard at %[1]s/\n", app.url())
	t.printf("The browser extension: %[1]sextension-chromium.zip and extension-firefox.zip\n", app.url()+extension.Path)
	if app.node != nil {
		t.printf("The embedded node %q carries Shadowsocks on %s, ports %s\n", localServer, app.cfg.node.host, app.node.planes.shown())
		if port := app.node.planes.Serving().HTTPS; port != 0 {
			t.printf("It is an HTTPS proxy for browsers on port %d\n", port)
		}
	}
	if app.cfg.monitor != nil {
		t.printf("Metrics at http://%s/metrics\n", app.cfg.monitor.listener.Addr())
	}
	if app.nodes != nil {
		t.printf("Nodes on other machines dial %s; `stile server add` prints how they join\n", app.cfg.nodes.url)
	}
	if secret != "" {
		t.printf("No operator yet. Make the first one on this page, which works once and for a day:\n  %s/setup/%s\nor here: stile user add EMAIL --operator\n", app.url(), secret)
	}
	return nil
}
