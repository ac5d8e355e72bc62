package web

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// watching is a stream as a browser reads it.
type watching struct {
	t      *testing.T
	events chan string // "name data", and "" when the answer is over
	header http.Header
}

// watch opens a stream on a server.
func (v *visitor) watch(t *testing.T, server *httptest.Server, path string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r := must(http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil))(t)
	r.Header.Set("Accept-Language", v.lang)
	r.Header.Set("Accept-Encoding", "gzip")
	for _, c := range v.client.Jar.Cookies(must(http.NewRequest(http.MethodGet, v.w.server.URL+"/", nil))(t).URL) {
		r.AddCookie(c)
	}
	resp := must((&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r))(t) //nolint:bodyclose // who reads it closes it
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
	}
	w := &watching{t: t, events: make(chan string, 64), header: resp.Header}
	go func() {
		defer close(w.events)
		defer resp.Body.Close()
		name := ""
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = event
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				w.events <- name + " " + data
			}
		}
	}()
	return w
}

// next waits for an event; "" when the stream is over.
func (w *watching) next() string {
	w.t.Helper()
	select {
	case event := <-w.events:
		return event
	case <-time.After(time.Minute):
		w.t.Fatal("nothing came for a minute")
		return ""
	}
}

func (w *watching) wants(events ...string) {
	w.t.Helper()
	for _, want := range events {
		if got := w.next(); got != want && !(want != "" && strings.HasPrefix(got, strings.TrimSuffix(want, "…")) && strings.HasSuffix(want, "…")) {
			w.t.Errorf("%q came, want %q", got, want)
		}
	}
}

func (w *world) read(t *testing.T) {
	t.Helper()
	if err := w.site.readLive(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A stream begins with all there is and goes on with what changed, in the words of its page.
func TestLiveTellsWhatChanges(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(userEmail, "ru")
	device, _ := w.belongings(userEmail)
	w.read(t)
	servers, fleet := v.watch(t, w.server, "/account/servers/live"), w.signedIn(operatorEmail, "ru").watch(t, w.server, "/admin/live")
	traffic := v.watch(t, w.server, "/account/live")
	if h := servers.header; h.Get("Content-Encoding") != "" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") != csp || h.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%v", h)
	}
	whole := servers.next()
	for _, part := range []string{`"l1":9`, `"c1":17`, `"l2":43`, `"c2":34`, `"c4":68`} {
		if !strings.Contains(whole, part) {
			t.Errorf("%s is not in %s", part, whole)
		}
	}
	fleet.wants(`values {"c…`)
	traffic.wants(`values {"left":"100` + "\u00a0" + `ГБ","percent":0,"used":"0` + "\u00a0" + `Б"}`)
	w.read(t) // nothing changed
	servers.wants(`values {}`)
	fleet.wants(`values {"online":4,"total":170}`)
	if err := w.service.SetServerState(t.Context(), vpn.Shell(), w.servers[0].ID, vpn.ServerDrained); err != nil {
		t.Fatal(err)
	}
	w.use(w.user.ID, device)
	w.pass(2 * time.Second)
	w.read(t)
	servers.wants(`values {}`) // it left the list
	fleet.wants(`values {"c1":17,"online":3,"total":170}`)
	traffic.wants(`values {"left":"6…`)
}

// A stream ends at once with the session that it was opened in, and the one of the console with the right to look.
func TestLiveEndsWithItsSession(t *testing.T) {
	w := setup(t).populate()
	shell := vpn.Shell()
	operator := must(w.store.UserByEmail(t.Context(), operatorEmail))(t)
	must(w.service.AddUser(t.Context(), shell, vpn.NewAccount{Email: "second@example.com", Password: password, IsOperator: true}))(t)
	for name, c := range map[string]struct {
		email, path string
		end         func(v *visitor) error
	}{
		"sign-out":   {userEmail, "/account/live", func(v *visitor) error { v.submit(v.open("/account"), "/signout"); return nil }},
		"everywhere": {userEmail, "/account/servers/live", func(*visitor) error { return w.service.SignOutBrowsers(t.Context(), &vpn.Actor{User: w.user}) }},
		"password":   {userEmail, "/account/servers/live", func(*visitor) error { return w.service.SetPassword(t.Context(), shell, w.user.ID, password) }},
		"rank":       {operatorEmail, "/admin/live", func(*visitor) error { return w.service.SetRole(t.Context(), shell, operator.ID, "") }},
		"removed":    {strangerEmail, "/account/live", func(*visitor) error { return w.service.RemoveUser(t.Context(), shell, w.stranger.ID) }},
		"other replica": {"second@example.com", "/admin/live", func(*visitor) error {
			return w.store.RemoveBrowsers(t.Context(), operator.ID+1, vpn.Audit{Action: "browser.sign_out_all"})
		}},
	} {
		v := w.signedIn(c.email, "en")
		stream := v.watch(t, w.server, c.path)
		if err := c.end(v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for event := stream.next(); event != "end 0"; event = stream.next() {
			if event == "" {
				t.Fatalf("%s: the stream ended without saying so", name)
			}
		}
		stream.wants("")
	}
	old := w.signedIn(userEmail, "en").watch(t, w.server, "/account/live")
	w.pass(vpn.BrowserLife)
	old.wants("end 0", "")
}

// Streams of one user, of all users, and what waits for a slow browser are bounded.
func TestStreamsAreBounded(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(userEmail, "en")
	first := v.watch(t, w.server, "/account/servers/live")
	for range maxStreamsOfUser {
		v.watch(t, w.server, "/account/servers/live")
	}
	first.wants("end 0", "")
	l := &w.site.live
	slow := l.open(1 << 40)
	for range streamFrames {
		w.read(t)
	}
	select {
	case <-slow.ended:
		t.Error("a stream with room was cut")
	default:
	}
	w.read(t)
	<-slow.ended
	for id := int64(1); ; id++ {
		if l.open(1<<41+id) == nil {
			break
		}
		if id > maxStreams {
			t.Fatal("there is no bound")
		}
	}
	p := w.signedIn(operatorEmail, "en").open("/admin/live").says(503)
	if p.Header.Get("Retry-After") == "" {
		t.Error("no word of when to come back")
	}
	w.site.EndStreams()
	if len(l.streams) != 0 || len(l.byUser) != 0 || l.open(1) != nil {
		t.Error("streams outlive their end")
	}
}

// A stream goes on beyond the server's deadlines for answers, and ends with the server, which does not wait for it.
func TestStreamsAndTheirServer(t *testing.T) {
	w := setup(t).populate()
	server := httptest.NewUnstartedServer(w.site)
	const deadline = 1500 * time.Millisecond // in which a busy machine reads a request
	server.Config.ReadTimeout, server.Config.WriteTimeout = deadline, deadline
	server.Config.RegisterOnShutdown(w.site.EndStreams)
	server.Start()
	defer server.Close()
	stream := w.signedIn(userEmail, "en").watch(t, server, "/account/servers/live")
	time.Sleep(2 * deadline) // the deadlines are the server's own: no clock of ours
	for range 2 {
		w.read(t)
		stream.wants("values…")
	}
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	stream.wants("")
}

// The chart of a page goes on in the script from its points, which leave out what lies between equal ones.
func TestLiveChart(t *testing.T) {
	var s series
	if c := newLiveChart("x", &s); c.Points != "" || c.Top != 1 {
		t.Errorf("%+v", c)
	}
	for _, v := range []int{4, 4, 4, 9, 9, 2} {
		s.add(v)
	}
	c := newLiveChart("x", &s)
	if want := fmt.Sprintf("%d,4 %d,4 %d,9 %d,9 %d,2", liveSamples-6, liveSamples-4, liveSamples-3, liveSamples-2, liveSamples-1); c.Points != want || c.Low != 2 || c.High != 9 || c.Now != 2 || c.Top != 9 {
		t.Errorf("%+v, want %s", c, want)
	}
	c.table(&s, time.Unix(100, 0))
	if len(c.Rows) != 6 || c.Rows[0] != (liveRow{time.Unix(100, 0), 2}) || c.Rows[5] != (liveRow{time.Unix(75, 0), 4}) {
		t.Errorf("%+v", c.Rows)
	}
	for v := range liveSamples {
		s.add(v)
	}
	if all := s.all(); len(all) != liveSamples || all[0] != 0 || all[liveSamples-1] != liveSamples-1 {
		t.Errorf("%v", all)
	}
}
