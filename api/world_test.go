package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
	"stile/wire"
)

// engines are the databases that the contract holds on.
var engines = []struct {
	name string
	dsn  func(testing.TB) string
}{
	{"SQLite", func(t testing.TB) string { return filepath.Join(t.TempDir(), "stile.db") }},
	{"PostgreSQL", storetest.Postgres},
}

// nodes are machines that have every key at once and are as busy as a test says.
type nodes struct {
	mu        sync.Mutex
	isOffline map[int64]bool
	isSlow    bool // confirms no key
	active    map[int64]int
}

func (*nodes) Wake(...vpn.NodeRev) {}

func (n *nodes) HasApplied(int64, int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.isSlow
}

func (n *nodes) WaitApplied(context.Context, int64, int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.isSlow
}

func (*nodes) Refuses(int64, int64) bool { return false }

func (n *nodes) Live(id int64) vpn.NodeLive {
	n.mu.Lock()
	defer n.mu.Unlock()
	return vpn.NodeLive{IsOnline: !n.isOffline[id], ActiveDevices: n.active[id], At: time.Unix(1_790_000_000, 0)}
}

// world is the API over a real store, with an account to sign in with.
type world struct {
	isMailDown bool
	t          testing.TB
	store      vpn.Store
	service    *vpn.Service
	nodes      *nodes
	server     *httptest.Server
	log        *syncBuffer
	config     *Config

	skew atomic.Int64 // how far the clock is ahead
	step atomic.Int64 // what passes with every look at the clock

	user, stranger, operator vpn.User
	plan                     vpn.Plan
	servers                  []vpn.Server // open, of a better plan, in maintenance
}

// syncBuffer is a log that a test may read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const examplePassword = "password123"

// plainPasswords keeps passwords as they are: hashing is slow on purpose, and few tests are about it.
type plainPasswords struct{}

func (plainPasswords) Hash(_ context.Context, password string) (string, error) { return password, nil }

func (plainPasswords) Verify(_ context.Context, hash, password string) (ok, weak bool, err error) {
	return hash != "" && hash == password, false, nil
}

func (plainPasswords) Reads(string) bool { return true }

// setup makes a world. configure may change what the API is made with.
func setup(t testing.TB, dsn string, configure ...func(*Config)) *world {
	t.Helper()
	return setupWith(t, dsn, plainPasswords{}, configure...)
}

// setupWith makes a world with a port to password hashing.
func setupWith(t testing.TB, dsn string, passwords vpn.Passwords, configure ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, nodes: &nodes{isOffline: map[int64]bool{}, active: map[int64]int{}}, log: new(syncBuffer)}
	kept, err := store.Open(t.Context(), store.Config{DSN: dsn, Secret: [32]byte{1}, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	w.store = kept
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.service = vpn.NewService(kept, w.nodes, passwords, vpn.Config{
		SignInFailures: 1000, Now: w.now, Log: log, Post: func(context.Context, vpn.Letter) error { return nil },
		Defaults: vpn.Settings{Links: vpn.Links{Renew: "https://vpn.example.net/renew"}, MailFrom: "vpn@example.net"},
	})
	w.config = &Config{
		Log: log, Ready: kept.Ping, PaymentSecret: []byte("a secret that two sides share, long"),
		JoinLine: func(ctx context.Context, a *vpn.Actor, id int64) (string, error) {
			_, _, err := w.service.NodeJoinToken(ctx, a, id)
			return "stile node join stilejoin1_x", err
		},
		SendTestMail: func(_ context.Context, from, _, lang string) error {
			if from == "" || lang == "" || w.isMailDown {
				return errors.New("554 no")
			}
			return nil
		},
	}
	for _, f := range configure {
		f(w.config)
	}
	handler, err := New(w.service, *w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewUnstartedServer(nil)
	w.server.Config = NewServer(handler)
	w.server.Start()
	t.Cleanup(w.server.Close)
	w.populate()
	return w
}

func (w *world) now() time.Time {
	ahead := w.skew.Load()
	if step := w.step.Load(); step != 0 {
		ahead = w.skew.Add(step)
	}
	return time.Now().Add(time.Duration(ahead))
}

// pass lets time go by.
func (w *world) pass(d time.Duration) { w.skew.Add(int64(d)) }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// populate makes accounts, a plan and servers.
func (w *world) populate() {
	w.t.Helper()
	ctx, shell := w.t.Context(), vpn.Shell()
	add := func(email string, isOperator bool) vpn.User {
		return must(w.service.AddUser(ctx, shell, vpn.NewAccount{Email: email, Name: "Иван <i>", Password: examplePassword, IsOperator: isOperator}))(w.t)
	}
	w.user, w.stranger, w.operator = add("user@example.com", false), add("stranger@example.com", false), add("operator@example.com", true)
	w.plan = must(w.service.AddPlan(ctx, shell, vpn.Plan{
		Code: "standard", Name: vpn.Text{RU: "Стандарт", EN: "Standard"}, Tier: 1, PeriodDays: 30, GraceDays: 3, DeviceLimit: 20, TrafficLimit: 100 << 30,
	}))(w.t)
	for _, id := range []int64{w.user.ID, w.stranger.ID} {
		must(w.service.Subscribe(ctx, shell, id, "standard", 1))(w.t)
	}
	for i, s := range []vpn.Server{
		{Name: "Амстердам 1", CountryCode: "NL", City: vpn.Text{RU: "Амстердам", EN: "Amsterdam"}, Latitude: 52.37, Longitude: 4.9, Capacity: 200},
		{Name: "Dublin \"2\"", CountryCode: "IE", City: vpn.Text{RU: "Дублин", EN: "Dublin"}, Latitude: 53.35, Longitude: -6.26, Tier: 2, Capacity: 50},
		{Name: "Tokyo 3", CountryCode: "JP", City: vpn.Text{RU: "Токио", EN: "Tokyo"}, State: vpn.ServerMaintenance},
	} {
		s.Host, s.PingURL = fmt.Sprintf("s%d.example.net", i+1), fmt.Sprintf("https://s%d.example.net/ping", i+1)
		s.ShadowsocksPort, s.ShadowsocksPorts = 8388, 4
		if i == 0 {
			s.HTTPSPort = 8443
		}
		w.servers = append(w.servers, must(w.service.AddServer(ctx, shell, s))(w.t))
	}
}

// signIn signs a device in and returns its token and our id of it.
func (w *world) signIn(email, clientID string) (token string, deviceID int64) {
	w.t.Helper()
	signedIn := must(w.service.SignIn(w.t.Context(), vpn.SignIn{
		Email: email, Password: examplePassword, ClientID: clientID, DeviceName: "iPhone 12", Address: netip.MustParseAddr("192.0.2.1"),
	}))(w.t)
	return signedIn.Token, signedIn.DeviceID
}

// reply is an answer, read.
type reply struct {
	*http.Response
	body string
}

// call sends a request. Headers are "Name: value".
func (w *world) call(method, path, body string, headers ...string) reply {
	w.t.Helper()
	r := must(http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body)))(w.t)
	for _, h := range headers {
		name, v, _ := strings.Cut(h, ": ")
		r.Header.Add(name, v)
	}
	return w.send(r)
}

// send sends a request as it is: without redirects and without the transport's own compression.
func (w *world) send(r *http.Request) reply {
	w.t.Helper()
	client := http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	for range 5 { // a refusal may come, and the connection be closed, before all of a large body is sent
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) || r.GetBody == nil {
			break
		}
		r.Body = must(r.GetBody())(w.t)
		resp, err = client.Do(r)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	return reply{resp, string(must(io.ReadAll(resp.Body))(w.t))}
}

// as calls with a token and JSON.
func (w *world) as(token, method, path, body string, headers ...string) reply {
	w.t.Helper()
	return w.call(method, path, body, append(headers, "Authorization: Bearer "+token, "Content-Type: application/json")...)
}

// decode reads an answer that must have a status.
func decode[T any](t testing.TB, r reply, status int) T {
	t.Helper()
	var v T
	if r.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	return v
}

// wantProblem checks a refusal.
func wantProblem(t testing.TB, r reply, status int, code vpn.Code) wire.Problem {
	t.Helper()
	p := decode[wire.Problem](t, r, status)
	if got := r.Header.Get("X-Error-Code"); got != string(code) || (p.Code != "" && p.Code != string(code)) {
		t.Errorf("code %q in the header, %q in the body, want %q: %s", got, p.Code, code, r.body)
	}
	return p
}

func id(n int64) string { return strconv.FormatInt(n, 10) }
