package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"stile/vpn"
)

// The documentation's example account. It exists in the demo alone.
const (
	demoEmail    = "user@example.com"
	demoPassword = "password123"
)

// demoServer and demoPlan describe what the demo offers.
const (
	demoPlan        = "standard"
	demoDeviceLimit = 20
	demoTraffic     = 100 << 30
)

// DemoCmd is `stile demo`.
type DemoCmd struct {
	Listen         string         `default:"127.0.0.1:8000" help:"Address of the API; a free port is taken when this one is busy."`
	Once           bool           `help:"Exit after the round: 0 when every step worked."`
	AllowTarget    []netip.Prefix `placeholder:"CIDR" help:"Addresses that the node may reach although it otherwise never does, such as 127.0.0.2/32; repeatable."`
	SignInFailures int            `range:"1..1000000" default:"1000" help:"Failed sign-ins a minute that an account may have from one address."`
}

// Run boots everything, makes the round, and stays up unless Once.
func (c *DemoCmd) Run(ctx context.Context, t *Terminal) (err error) {
	dir, err := os.MkdirTemp("", "stile-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	target, err := startTarget(ctx)
	if err != nil {
		return err
	}
	defer target.close()
	app, err := c.start(ctx, dir, target)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	go func() { ended <- app.run(serving) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }()

	tour := &tour{out: t, api: app.url(), target: target}
	if err := tour.run(ctx); err != nil {
		return err
	}
	if c.Once {
		return nil
	}
	t.printf(`
It stays up until you press Ctrl-C:
  API      %[1]s/api  (POST %[1]s/api/login with %[2]s / %[3]s)
  Pages    %[1]s/  (the same), and %[1]s/docs, the reference of the API
  Target   %[4]s  (reachable through the node alone)
  Try      stile login --api %[1]s --email %[2]s; stile connect
`, app.url(), demoEmail, demoPassword, target.url)
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		ended <- nil
		return err
	}
}

// start boots the service with the example account.
func (c *DemoCmd) start(ctx context.Context, dir string, target *demoTarget) (*app, error) {
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		host, _, _ := net.SplitHostPort(c.Listen)
		if listener, err = listen(ctx, net.JoinHostPort(host, "0")); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	cfg := appConfig{
		databaseFlags: databaseFlags{Data: dir}, listener: listener, signInFailures: c.SignInFailures, log: quietLog(),
		language: "ru",
		node: &nodeConfig{
			planesConfig: planesConfig{
				listen: "127.0.0.1",
				allow:  append([]netip.Prefix{netip.PrefixFrom(target.address, target.address.BitLen())}, c.AllowTarget...),
			},
			ports: &portRange{count: 4}, host: "127.0.0.1", usageEvery: 250 * time.Millisecond,
		},
	}
	app, err := newApp(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if err := seedDemo(ctx, app); err != nil {
		return nil, errors.Join(err, app.close(ctx))
	}
	return app, nil
}

// seedDemo makes the plan, the account and a face for the embedded server.
func seedDemo(ctx context.Context, app *app) error {
	s := app.service
	plan := vpn.Plan{
		Code: demoPlan, Name: vpn.Text{RU: "Стандарт", EN: "Standard"}, Tier: 1, PeriodDays: 30, GraceDays: 3,
		DeviceLimit: demoDeviceLimit, TrafficLimit: demoTraffic,
	}
	if _, err := s.AddPlan(ctx, shell, plan); err != nil {
		return err
	}
	user, err := s.AddUser(ctx, shell, vpn.NewAccount{Email: demoEmail, Name: "Иван", Password: demoPassword})
	if err != nil {
		return err
	}
	if _, err := s.Subscribe(ctx, shell, user.ID, demoPlan, 1); err != nil {
		return err
	}
	servers, err := s.AllServers(ctx, shell)
	if err != nil {
		return err
	}
	server := servers[0].Server
	server.Name, server.CountryCode = "Амстердам 1", "NL"
	server.City = vpn.Text{RU: "Амстердам", EN: "Amsterdam"}
	server.Latitude, server.Longitude, server.Capacity = 52.37, 4.9, 200
	return s.UpdateServer(ctx, shell, server)
}
