package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"stile/api"
	"stile/store"
	"stile/vpn"
)

// nodes are machines that have every key at once.
type nodes struct {
	isSlow  atomic.Bool
	more    atomic.Int64 // connections on each
	offline atomic.Int64 // the one that is away; 0 = none
}

func (*nodes) Wake(...vpn.NodeRev) {}

func (n *nodes) HasApplied(int64, int64) bool { return !n.isSlow.Load() }

func (n *nodes) WaitApplied(context.Context, int64, int64) bool { return !n.isSlow.Load() }

func (*nodes) Refuses(int64, int64) bool { return false }

func (n *nodes) Live(id int64) vpn.NodeLive {
	return vpn.NodeLive{IsOnline: id != n.offline.Load(), ActiveDevices: int(id*17 + n.more.Load()), At: time.Unix(1_790_000_000, 0)}
}

// plainPasswords keeps passwords as they are: hashing is slow on purpose, and has its own tests.
type plainPasswords struct{}

func (plainPasswords) Hash(_ context.Context, password string) (string, error) { return password, nil }

func (plainPasswords) Verify(_ context.Context, hash, password string) (ok, weak bool, err error) {
	return hash != "" && hash == password, false, nil
}

func (plainPasswords) Reads(string) bool { return true }

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

// world is the dashboard over a real store, with accounts to sign in with.
type world struct {
	t       testing.TB
	file    string // of the database
	store   *store.Store
	service *vpn.Service
	site    *Site
	server  *httptest.Server
	nodes   *nodes
	log     *syncBuffer
	skew    atomic.Int64 // how far the clock is ahead
	last    atomic.Int64 // of unique

	// letters are those that were asked for.
	letters chan vpn.Letter
	// passkeys are by the device that was made with each.
	passkeys     map[int64]int64
	passkeyCount atomic.Int64

	user, stranger vpn.User
	servers        []vpn.Server // open ones, one of a better plan, one in maintenance
}

const (
	userEmail     = "ivan@example.com"
	strangerEmail = "stranger@example.com"
	operatorEmail = "operator@example.com"
	password      = "password123"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// setup makes a world. configure may change what the dashboard is made with.
func setup(t testing.TB, configure ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, nodes: &nodes{}, log: new(syncBuffer), letters: make(chan vpn.Letter, 64), passkeys: make(map[int64]int64), file: filepath.Join(t.TempDir(), "stile.db")}
	w.store = must(store.Open(t.Context(), store.Config{DSN: w.file, Secret: [32]byte{1}, Now: w.now}))(t)
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.service = vpn.NewService(w.store, w.nodes, plainPasswords{}, vpn.Config{
		Now: w.now, Log: log, Defaults: vpn.Settings{Links: vpn.Links{Support: "mailto:help@example.com"}},
		Post: func(_ context.Context, l vpn.Letter) error { w.letters <- l; return nil },
	})
	w.writeLetters()
	config := Config{
		Document: must(os.ReadFile("../api/openapi.yaml"))(t), Log: log,
		ClientAddress: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
	}
	for _, f := range configure {
		f(&config)
	}
	w.site = must(New(w.service, config))(t)
	mux := http.NewServeMux()
	mux.Handle("/", w.site)
	beside := must(api.New(w.service, api.Config{Log: log}))(t)
	mux.Handle("/api/", beside)
	mux.Handle("/sub/", beside)
	mux.Handle("/ping", beside)
	w.server = httptest.NewServer(mux)
	w.server.URL = strings.Replace(w.server.URL, "127.0.0.1", "localhost", 1) // where browsers make passkeys
	t.Cleanup(w.server.Close)
	return w
}

// writeLetters lets the service answer by mail, until the test ends.
func (w *world) writeLetters() {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.service.WriteLetters(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

// allow says who may sign up, and who mails come from; "" = none are sent.
func (w *world) allow(mode vpn.SignUpMode, mailFrom string) {
	w.t.Helper()
	if err := w.service.SetSettings(w.t.Context(), vpn.Shell(), vpn.Settings{SignUp: mode, MailFrom: mailFrom}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

// pass lets time go by.
func (w *world) pass(d time.Duration) { w.skew.Add(int64(d)) }

// populate makes accounts, a plan and servers.
func (w *world) populate() *world {
	w.t.Helper()
	ctx, shell := w.t.Context(), vpn.Shell()
	add := func(email, name string, isOperator bool) vpn.User {
		return must(w.service.AddUser(ctx, shell, vpn.NewAccount{Email: email, Name: name, Password: password, IsOperator: isOperator}))(w.t)
	}
	w.user, w.stranger = add(userEmail, "Иван <i>", false), add(strangerEmail, "Stranger", false)
	add(operatorEmail, "Operator", true)
	must(w.service.AddPlan(ctx, shell, vpn.Plan{
		Code: "standard", Name: vpn.Text{RU: "Стандарт", EN: "Standard"}, Tier: 1, PeriodDays: 30, GraceDays: 3, DeviceLimit: 3, TrafficLimit: 100e9,
	}))(w.t)
	for _, id := range []int64{w.user.ID, w.stranger.ID} {
		must(w.service.Subscribe(ctx, shell, id, "standard", 1))(w.t)
	}
	for i, s := range []vpn.Server{
		{Name: "Амстердам 1", CountryCode: "NL", City: vpn.Text{RU: "Амстердам", EN: "Amsterdam"}, Latitude: 52.37, Longitude: 4.9, Capacity: 200},
		{Name: "Helsinki 2", CountryCode: "FI", City: vpn.Text{RU: "Хельсинки", EN: "Helsinki"}, Latitude: 60.17, Longitude: 24.94, Capacity: 80},
		{Name: "Dublin \"3\"", CountryCode: "IE", City: vpn.Text{RU: "Дублин", EN: "Dublin"}, Latitude: 53.35, Longitude: -6.26, Tier: 2, Capacity: 90},
		{Name: "Tokyo 4", CountryCode: "JP", City: vpn.Text{RU: "Токио", EN: "Tokyo"}, Latitude: 35.68, Longitude: 139.69, State: vpn.ServerMaintenance},
	} {
		s.Host, s.PingURL = fmt.Sprintf("s%d.example.net", i+1), w.server.URL+"/ping"
		s.ShadowsocksPort, s.ShadowsocksPorts = 8388, 16
		w.servers = append(w.servers, must(w.service.AddServer(ctx, shell, s))(w.t))
	}
	return w
}

// addServers makes many more servers.
func (w *world) addServers(n int) *world {
	w.t.Helper()
	countries := []string{"DE", "FR", "SE", "US", "BR", "AU", "KZ", "TR"}
	for i := range n {
		must(w.service.AddServer(w.t.Context(), vpn.Shell(), vpn.Server{
			Name: fmt.Sprintf("Server %d", i), CountryCode: countries[i%len(countries)], City: vpn.Text{RU: "Город", EN: "City"}, Capacity: 20_000,
			Latitude: float64(i*37%105) - 40, Longitude: float64(i*53%340) - 165, // all over the world
			Host: fmt.Sprintf("n%d.example.net", i), PingURL: fmt.Sprintf("https://n%d.example.net/ping", i), ShadowsocksPort: 8388, ShadowsocksPorts: 16,
		}))(w.t)
	}
	return w
}

// use books traffic of a user's device on each of the last days.
func (w *world) use(userID, deviceID int64) {
	w.t.Helper()
	ctx := w.t.Context()
	key := must(w.store.IssueKey(ctx, vpn.NewKey{UserID: userID, DeviceID: deviceID, ServerID: w.servers[0].ID}, vpn.Audit{Action: "key.issue"}))(w.t)
	stream := uint64(w.now().UnixNano())
	for i := range 24 {
		report := vpn.UsageReport{NodeID: w.servers[0].ID, Stream: stream, Seq: uint64(i + 1), Entries: []vpn.UsageEntry{{
			KeyID: key.ID, Up: int64(40e6 + i%5*30e6), Down: int64(300e6 + (i*7)%11*180e6),
		}}}
		day := w.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, i-23)
		if _, _, _, err := w.store.ApplyUsage(ctx, report, day); err != nil {
			w.t.Fatal(err)
		}
	}
}

// visitor is a browser without JavaScript: it keeps cookies, follows links and submits forms that are on the page.
type visitor struct {
	w      *world
	client *http.Client
	lang   string
}

func (w *world) visitor(lang string) *visitor {
	jar := must(cookiejar.New(nil))(w.t)
	return &visitor{w: w, lang: lang, client: &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// signedIn is a visitor with a session.
func (w *world) signedIn(email, lang string) *visitor {
	w.t.Helper()
	v := w.visitor(lang)
	p := v.submit(v.open("/signin"), "/signin", "email", email, "password", password)
	if p.path != "/account" {
		w.t.Fatalf("%s did not get in: %s %d\n%s", email, p.path, p.StatusCode, p.text())
	}
	return v
}

// document is a page that came back, after redirects.
type document struct {
	*http.Response
	t    testing.TB
	path string
	body string
	root *html.Node
}

func (v *visitor) open(path string) *document { return v.do(http.MethodGet, path, nil) }

func (v *visitor) do(method, path string, form url.Values, headers ...string) *document {
	v.w.t.Helper()
	r := must(http.NewRequestWithContext(v.w.t.Context(), method, v.w.server.URL+path, strings.NewReader(form.Encode())))(v.w.t)
	r.Header.Set("Accept-Language", v.lang)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", v.w.server.URL)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		v.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body := ""
	if resp.Header.Get("Content-Type") != "text/event-stream" { // which has no end
		body = string(must(io.ReadAll(resp.Body))(v.w.t))
	}
	return &document{Response: resp, t: v.w.t, path: resp.Request.URL.Path, body: body, root: must(html.Parse(strings.NewReader(body)))(v.w.t)}
}

// submit sends the form of a page that goes to action, with its own values but for the pairs given.
func (v *visitor) submit(p *document, action string, pairs ...string) *document {
	v.w.t.Helper()
	form := p.form(action)
	if form == nil {
		v.w.t.Fatalf("%s has no form for %s:\n%s", p.path, action, p.text())
	}
	values := form.values()
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return v.do(http.MethodPost, action, values)
}

// element is a part of a page.
type element struct{ *html.Node }

// each calls f for every element in the order of the page, until it returns false.
func (e element) each(f func(element) bool) {
	for n := range e.Descendants() {
		if n.Type == html.ElementNode && !f(element{n}) {
			return
		}
	}
}

func (e element) attr(name string) string {
	for _, a := range e.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (e element) has(name string) bool {
	for _, a := range e.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func (e element) text() string {
	var b strings.Builder
	for n := range e.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (p *document) text() string { return element{p.root}.text() }

// find returns the first element of a tag with an attribute, or nil.
func (p *document) find(tag, attr, value string) *element {
	var found *element
	element{p.root}.each(func(e element) bool {
		if e.Data == tag && e.attr(attr) == value {
			found = &e
		}
		return found == nil
	})
	return found
}

// link returns where the link with these words leads, "" when there is none.
func (p *document) link(words string) (href string) {
	element{p.root}.each(func(e element) bool {
		if e.Data == "a" && e.text() == words {
			href = e.attr("href")
		}
		return href == ""
	})
	return href
}

func (p *document) form(action string) *element {
	if p.find("form", "action", action) == nil && p.path == action { // a form without an action goes to its page
		return p.find("form", "method", "post")
	}
	return p.find("form", "action", action)
}

// values are what a form sends as it stands.
func (e element) values() url.Values {
	values := url.Values{}
	e.each(func(in element) bool {
		name := in.attr("name")
		switch in.Data {
		case "input":
			if name != "" && ((in.attr("type") != "radio" && in.attr("type") != "checkbox") || in.has("checked")) {
				values.Set(name, in.attr("value"))
			}
		case "select":
			isFirst := true
			in.each(func(option element) bool {
				if option.Data == "option" && (isFirst || option.has("selected")) {
					values.Set(name, option.attr("value"))
					isFirst = false
				}
				return true
			})
		}
		return true
	})
	return values
}

// says fails unless the page has a status and all of the texts.
func (p *document) says(status int, texts ...string) *document {
	p.t.Helper()
	if p.StatusCode != status {
		p.t.Fatalf("%s: status %d, want %d:\n%s", p.path, p.StatusCode, status, p.text())
	}
	for _, text := range texts {
		if !strings.Contains(p.text(), text) {
			p.t.Errorf("%s does not say %q:\n%s", p.path, text, p.text())
		}
	}
	return p
}
