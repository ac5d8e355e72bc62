package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stile/api"
	"stile/courier"
	"stile/hub"
	"stile/internal/buildinfo"
	"stile/store"
	"stile/vpn"
)

const (
	// headerTimeout bounds how long a client may take to send a request's head.
	headerTimeout = 10 * time.Second
	// sweepEvery is how often deadlines that time made wrong are looked for.
	sweepEvery = 5 * time.Second
	// advanceEvery is how often a roll-out of a configuration is looked at.
	advanceEvery = time.Second
	// noticeEvery is how often nodes and expiries are looked at for what there is to tell.
	noticeEvery = 5 * time.Second
	// jobsEvery is how often a job is looked for that another process made, or left.
	jobsEvery = time.Second
	// drainTime is how long a stopping program asks clients to come back on another connection before it takes no new
	// ones, and again before it closes idle ones.
	drainTime = 300 * time.Millisecond
	// noticeTime takes the place of drainTime's first where there are replicas: a balancer that asks /readyz each second
	// has noticed then that this one stops.
	noticeTime = 2 * time.Second
	// sendTime bounds how long a stopping program goes on answering while events and mails that it has begun to send end: a
	// receiver that hangs must not make it away for longer than it has to be.
	sendTime = 10 * time.Second
	// stopTime bounds how long a stopping program waits for requests in flight.
	stopTime = 30 * time.Second
)

// appConfig is what the program is assembled from.
type appConfig struct {
	databaseFlags
	listener       net.Listener
	publicURL      string       // "" = http:// and the listener's address
	language       string       // the browser extension's, for browsers that speak neither: ru or en
	fixed          vpn.Settings // those that flags set
	trustedProxies []netip.Prefix
	signInFailures int
	paymentSecret  []byte
	mailer         vpn.Mailer   // nil = no mail is sent
	node           *nodeConfig  // nil = no embedded node
	nodes          *nodesConfig // nil = no nodes on other machines
	monitor        *monitor     // nil = nobody watches
	supervisor     *supervisor  // nil = nobody is told
	log            *slog.Logger
}

// app is the assembled program.
type app struct {
	cfg      appConfig
	store    *store.Store
	service  *vpn.Service
	hub      *hub.Hub
	courier  *courier.Courier
	node     *embeddedNode // nil without one
	nodes    *hub.Listener // nil without one
	site     *site
	server   *http.Server
	draining atomic.Bool
}

// newApp opens the store, joins the rooms, and listens with the embedded node's planes. Nothing runs yet.
func newApp(ctx context.Context, cfg appConfig) (*app, error) {
	a := &app{cfg: cfg}
	var err error
	if a.store, err = cfg.openOrMake(ctx, cfg.monitor.committed()); err != nil {
		return nil, err
	}
	if err := a.join(ctx); err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	return a, nil
}

// join makes the rooms above the store.
func (a *app) join(ctx context.Context) error {
	record := func(ctx context.Context, r vpn.UsageReport) (uint64, error) { return a.service.RecordUsage(ctx, r) }
	note := func(ctx context.Context, nodeID int64, s vpn.NodeServing) (vpn.ConfiguredNode, error) {
		return a.service.NoteServing(ctx, nodeID, s)
	}
	var err error
	if a.hub, err = hub.New(hub.Config{Store: a.store, RecordUsage: record, NoteServing: note, Replicas: a.store.Replicas(), Log: a.cfg.log}); err != nil {
		return err
	}
	passwords := newPasswords()
	a.service = vpn.NewService(a.store, a.hub, passwords, vpn.Config{
		SignInFailures: a.cfg.signInFailures, Log: a.cfg.log, Observer: a.cfg.monitor.events(),
		Fixed: a.cfg.fixed, Defaults: vpn.Settings{Links: vpn.Links{Account: a.url() + "/account", Renew: a.url() + "/account"}},
		Post: a.postman(),
	})
	handler, err := api.New(a.service, api.Config{ //nolint:contextcheck // handlers take the contexts of their requests
		PublicURL: a.cfg.publicURL, TrustedProxies: a.cfg.trustedProxies, PaymentSecret: a.cfg.paymentSecret, Ready: a.ready, Log: a.cfg.log,
		Observe: a.cfg.monitor.answered(), JoinLine: a.joinLine, SendTestMail: a.sendTestMail,
	})
	if err != nil {
		return err
	}
	if a.site, err = a.newSite(ctx); err != nil {
		return err
	}
	a.server = api.NewServer(a.closing(a.withRefusal(a.site.beside(handler)))) //nolint:contextcheck // as above
	a.server.RegisterOnShutdown(a.site.dashboard.EndStreams)
	if err := a.joinCourier(); err != nil {
		return err
	}
	if a.cfg.nodes != nil {
		if a.nodes, err = openNodes(ctx, a); err != nil {
			return err
		}
	}
	if a.cfg.node != nil {
		if a.node, err = openNode(ctx, a); err != nil {
			return err
		}
	}
	a.watch(passwords.Hasher)
	return nil
}

func (a *app) joinCourier() (err error) {
	a.courier, err = courier.New(courier.Config{
		Store: a.store, Event: a.service.Event, Mailer: a.cfg.mailer, PublicURL: a.url(), Settings: a.service.Settings,
		Agent: "stile/" + buildinfo.Version(), Log: a.cfg.log,
	})
	return err
}

// postman hands letters to the courier; nil where no mail is sent.
func (a *app) postman() func(context.Context, vpn.Letter) error {
	if a.cfg.mailer == nil {
		return nil
	}
	return func(ctx context.Context, l vpn.Letter) error { return a.courier.Post(ctx, l) }
}

// withRefusal adds the page where mails can be ended.
func (a *app) withRefusal(h http.Handler) http.Handler {
	refusal := courier.Refusal(a.service.RefuseMail, a.cfg.log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, courier.RefusalPath) {
			refusal.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// url is where clients reach the API: as told, or else where it listens, by the node's host when that is everywhere.
func (a *app) url() string {
	if a.cfg.publicURL != "" {
		return a.cfg.publicURL
	}
	host, port, err := net.SplitHostPort(a.cfg.listener.Addr().String())
	if address, parseErr := netip.ParseAddr(host); err == nil && parseErr == nil && address.IsUnspecified() {
		host = "127.0.0.1"
		if a.cfg.node != nil {
			host = a.cfg.node.host
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// ready reports whether the program can do its work: the database answers, and the embedded node is in step.
func (a *app) ready(ctx context.Context) error {
	if err := a.store.Ping(ctx); err != nil {
		return err
	}
	switch {
	case a.draining.Load():
		return errors.New("stopping")
	case !a.hub.Ready():
		return errors.New("the nodes of other replicas are not known yet")
	case a.node != nil && !a.hub.Live(a.node.id).IsOnline:
		return errors.New("the embedded node is not in step yet")
	}
	return nil
}

// closing asks clients of a stopping program to come back on another connection, so that none sends a request just
// when its idle connection is closed.
func (a *app) closing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// run serves until ctx ends or a part fails. It stops from the outside in: requests in flight are answered while the
// nodes and the store still work, then nodes on other machines are handed over. The store is closed when it returns.
func (a *app) run(ctx context.Context) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed := make(chan error, 8)
	var parts sync.WaitGroup
	start := func(name string, part func(context.Context) error) {
		parts.Go(func() {
			if err := part(inner); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	start("hub", a.hub.Run)
	start("sweep", func(ctx context.Context) error { a.service.SweepEvery(ctx, sweepEvery); return nil })
	start("configurations", func(ctx context.Context) error { a.service.AdvanceConfigEvery(ctx, advanceEvery); return nil })
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	sent := make(chan struct{})
	start("courier", func(context.Context) error { defer close(sent); return a.courier.Run(sending) })
	start("dashboard", a.site.dashboard.Run)
	start("letters", a.service.WriteLetters)
	start("jobs", func(ctx context.Context) error { a.service.RunJobs(ctx, rand.Int64(), jobsEvery); return nil }) //nolint:gosec // no secret: it need only be rare
	start("notices", func(ctx context.Context) error { a.service.NoticeEvery(ctx, noticeEvery); return nil })
	if a.node != nil {
		start("node", a.node.run)
		start("certificate", a.node.endpoint.run)
	}
	if a.cfg.monitor != nil {
		start("metrics", a.cfg.monitor.run)
	}
	if a.nodes != nil {
		start("nodes", func(ctx context.Context) error { return a.nodes.Run(ctx, a.cfg.nodes.listener) })
	}
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(a.cfg.listener) }()
	takeLeave := a.attend(ctx)

	var err error
	select {
	case <-ctx.Done():
		a.cfg.log.Info("stopping: what was asked is answered first; a second signal ends it at once")
	case err = <-failed:
	case err = <-served: // the listener failed
	}
	takeLeave()
	stopSending()
	err = errors.Join(err, a.stopServing(ctx, sent), a.handOver(ctx))
	stop()
	parts.Wait()
	return errors.Join(err, a.store.Close())
}

// stopServing answers what was asked and takes no more, once what goes out of its own accord was sent.
func (a *app) stopServing(ctx context.Context, sent <-chan struct{}) error {
	a.draining.Store(true)
	select {
	case <-sent:
	case <-time.After(sendTime):
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if a.store.Replicas() != nil {
		time.Sleep(noticeTime)
	} else {
		time.Sleep(drainTime)
	}
	// net/http drops requests that it reads after Shutdown began, so what was accepted is served before that.
	_ = a.cfg.listener.Close()
	time.Sleep(drainTime)
	if err := a.server.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("requests were cut: %w", err)
	}
	return nil
}

// handOver sends the nodes of other machines to other replicas.
func (a *app) handOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if a.node != nil {
		return a.hub.Drain(ctx, a.node.id)
	}
	return a.hub.Drain(ctx)
}

// close ends an app that never ran.
func (a *app) close(ctx context.Context) error {
	var err error
	if a.node != nil {
		err = a.node.close(ctx)
	}
	return errors.Join(err, a.cfg.closeListeners(), a.store.Close(), a.cfg.monitor.close())
}

func (c *appConfig) closeListeners() error {
	err := c.listener.Close()
	if c.nodes != nil {
		err = errors.Join(err, c.nodes.listener.Close())
	}
	return err
}
