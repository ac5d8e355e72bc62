package extension_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/api"
	"stile/dataplane"
	"stile/dataplane/httpsproxy"
	"stile/extension"
	"stile/hub"
	"stile/internal/testbrowser"
	"stile/internal/testca"
	"stile/node"
	"stile/store"
	"stile/vpn"
	"stile/wire"
)

// The world of these tests: an API, nodes with the real HTTPS proxy, and a site. For the browser, names below .test are
// 127.0.0.1. Each node resolves every name to an address of its own, so that the address at which the site is asked tells
// which way a request came, and that the name was resolved there.
const direct = "127.0.0.1"

var nodeAddresses = []string{"127.0.0.2", "127.0.0.3"}

var nodeHosts = []string{"a.nodes.test", "b.nodes.test"}

// siteName is a name that browsers find; farName is one that only nodes find, as are all names below it.
const (
	siteName = "site.test"
	farName  = "far.example.net"
)

const (
	testEmail    = "ann@example.com"
	testPassword = "correct horse battery"
)

type world struct {
	t       testing.TB
	ca      *testca.CA
	tls     *tls.Config
	service *vpn.Service
	hub     *hub.Hub
	user    vpn.User
	servers []vpn.Server
	stops   []context.CancelFunc // of the nodes
	api     *httptest.Server
	isDown  atomic.Bool // the API answers nobody
	site    *site
	// unpacked is where Chromium's extension is: from another directory it would be another extension.
	unpacked string
}

// plainPasswords keeps passwords as they are: hashing is slow on purpose.
type plainPasswords struct{}

func (plainPasswords) Hash(_ context.Context, password string) (string, error) { return password, nil }

func (plainPasswords) Reads(string) bool { return true }

func (plainPasswords) Verify(_ context.Context, hash, password string) (ok, weak bool, err error) {
	return hash != "" && hash == password, false, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, ca: testca.New(t)}
	w.tls = w.ca.Server(t, nodeHosts[0], nodeHosts[1], siteName, farName, "*."+farName)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	kept, err := store.Open(t.Context(), store.Config{DSN: filepath.Join(t.TempDir(), "stile.db"), Secret: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	record := func(ctx context.Context, r vpn.UsageReport) (uint64, error) { return w.service.RecordUsage(ctx, r) }
	if w.hub, err = hub.New(hub.Config{Store: kept, RecordUsage: record, Log: log}); err != nil {
		t.Fatal(err)
	}
	w.api = httptest.NewServer(nil)
	t.Cleanup(w.api.Close)
	w.service = vpn.NewService(kept, w.hub, plainPasswords{}, vpn.Config{
		SignInFailures: 1000, Log: log, Defaults: vpn.Settings{Links: vpn.Links{Account: w.api.URL + "/account", Renew: w.api.URL + "/renew"}},
	})
	handler, err := api.New(w.service, api.Config{PublicURL: w.api.URL, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w.api.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.isDown.Load() {
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(rw, r)
	})
	w.run(w.hub.Run)
	w.site = newSite(t, w.tls)
	w.populate()
	for i := range nodeHosts {
		w.addNode(i, log)
	}
	return w
}

// run starts a part and ends it with the test.
func (w *world) run(part func(context.Context) error) (stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = part(ctx)
	}()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop
}

func (w *world) populate() {
	w.t.Helper()
	ctx := w.t.Context()
	plan := vpn.Plan{Code: "standard", Name: vpn.Text{RU: "Стандарт", EN: "Standard"}, PeriodDays: 30, DeviceLimit: 2, TrafficLimit: 100 << 30}
	if _, err := w.service.AddPlan(ctx, vpn.Shell(), plan); err != nil {
		w.t.Fatal(err)
	}
	var err error
	if w.user, err = w.service.AddUser(ctx, vpn.Shell(), vpn.NewAccount{Email: testEmail, Name: "Ann", Password: testPassword}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.service.Subscribe(ctx, vpn.Shell(), w.user.ID, "standard", 1); err != nil {
		w.t.Fatal(err)
	}
}

// resolver finds every name at one address.
type resolver netip.Addr

func (r resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.Addr(r)}, nil
}

// addNode makes a server and runs its node, with the HTTPS proxy alone.
func (w *world) addNode(i int, log *slog.Logger) {
	w.t.Helper()
	listener, err := httpsproxy.Listen(w.t.Context(), "127.0.0.1", 0, log)
	if err != nil {
		w.t.Fatal(err)
	}
	names := []string{"Amsterdam 1", "Berlin 1"}
	server, err := w.service.AddServer(w.t.Context(), vpn.Shell(), vpn.Server{
		Name: names[i], CountryCode: []string{"NL", "DE"}[i], City: vpn.Text{RU: names[i], EN: strings.Fields(names[i])[0]},
		Host: nodeHosts[i], PingURL: w.api.URL + "/ping", Capacity: 100, ShadowsocksPort: 1, ShadowsocksPorts: 1, HTTPSPort: listener.Port(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.servers = append(w.servers, server)
	ledger := dataplane.NewLedger(time.Now)
	plane, err := httpsproxy.New(httpsproxy.Config{
		Listener: listener, TLS: w.tls, Door: server.Door, Ledger: ledger,
		Egress: dataplane.NewEgress(dataplane.EgressConfig{
			AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Resolver: resolver(netip.MustParseAddr(nodeAddresses[i])),
		}),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	agent, err := node.Open(node.Config{
		Dir: filepath.Join(w.t.TempDir(), "node"), ID: server.ID, Ledger: ledger, Planes: []dataplane.Plane{plane}, Log: log,
		UsageInterval: 200 * time.Millisecond,
		Dial: func(ctx context.Context) (wire.Link, error) {
			near, far := wire.Pipe()
			go func() { _ = w.hub.Serve(ctx, server.ID, far) }()
			return near, nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.stops = append(w.stops, w.run(func(ctx context.Context) error {
		defer ledger.Close()
		return agent.Run(ctx)
	}))
	testbrowser.Until(w.t, "the node is online", func() bool { return w.hub.Live(server.ID).IsOnline })
}

// config is the extension of this world's operator.
func (w *world) config() extension.Config {
	return extension.Config{URL: w.api.URL, Name: "Stile", Language: "en"}
}

// site counts who asks it, by the way they came.
type site struct {
	http, https string // ports
	stun        string // host:port, where datagrams are counted
	mu          sync.Mutex
	visits      map[string]int
}

func newSite(t testing.TB, config *tls.Config) *site {
	t.Helper()
	s := &site{visits: map[string]int{}}
	_, s.http, _ = net.SplitHostPort(s.listen(t, "0", nil))
	_, s.https, _ = net.SplitHostPort(s.listen(t, "0", config))
	s.countDatagrams(t)
	return s
}

// stunWay is what datagrams are counted as.
const stunWay = "stun"

func (s *site) countDatagrams(t testing.TB) {
	t.Helper()
	conn, err := net.ListenPacket("udp", direct+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.stun = conn.LocalAddr().String()
	go func() {
		for packet := make([]byte, 1500); ; {
			if _, _, err := conn.ReadFrom(packet); err != nil {
				return
			}
			s.mu.Lock()
			s.visits[stunWay]++
			s.mu.Unlock()
		}
	}()
}

// listen serves at the same port of every address.
func (s *site) listen(t testing.TB, port string, config *tls.Config) string {
	t.Helper()
	var first string
	for _, address := range append([]string{direct}, nodeAddresses...) {
		l, err := net.Listen("tcp", net.JoinHostPort(address, port))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(l.Addr().String())
		server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.page(address)}}
		if config != nil {
			server.TLS = config.Clone()
			server.StartTLS()
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		first = l.Addr().String()
	}
	return first
}

func (s *site) page(way string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.visits[way]++
		s.mu.Unlock()
		w.Header().Set("Cache-Control", "no-store")
		switch r.URL.Path {
		case "/drip", "/flood": // downloads that do not end by themselves
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 4096))
				http.NewResponseController(w).Flush()
				if r.URL.Path == "/drip" {
					time.Sleep(50 * time.Millisecond)
				}
			}
		default:
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, `<title>site</title><link rel=icon href="data:,"><p id=way>%s</p>`, way)
		}
	})
}

func (s *site) count(way string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visits[way]
}

// forget begins to count anew.
func (s *site) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.visits)
}
