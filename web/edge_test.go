package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"stile/vpn"
)

// wire is what a browser transfers for a page: its header, and the bytes of its compressed body.
func (v *visitor) wire(path string) (http.Header, int) {
	v.w.t.Helper()
	r := must(http.NewRequestWithContext(v.w.t.Context(), http.MethodGet, v.w.server.URL+path, nil))(v.w.t)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("Accept-Language", v.lang)
	resp, err := v.client.Do(r)
	if err != nil {
		v.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header, len(must(io.ReadAll(resp.Body))(v.w.t))
}

// TestPagesAreSmall: a first visit to any page of the map of routes, with its sheet, script and icon, takes at most 100 kB, with
// 1,000 servers.
func TestPagesAreSmall(t *testing.T) {
	const limit = 100_000
	w := setup(t).populate().addServers(1000)
	device, _ := w.belongings(userEmail)
	w.use(w.user.ID, device)
	w.read(t)
	user, operator := w.signedIn(userEmail, "ru"), w.signedIn(operatorEmail, "ru")
	files := 0
	for name := range w.site.assets.byName {
		if strings.Contains(name, ".en-") {
			continue
		}
		_, n := user.wire("/assets/" + name)
		files += n
	}
	pages := 0
	for _, r := range Routes() {
		if r.Method != http.MethodGet || strings.HasSuffix(r.Path, "/live") || strings.HasPrefix(r.Path, "/assets/") {
			continue
		}
		v, id := user, device
		if isConsole(r.Path) {
			v, id = operator, 1
		}
		path := strings.NewReplacer("{id}", number(id), "{device}", number(device), "{server}", number(w.servers[0].ID), "{token}", "nothing").Replace(r.Path)
		h, n := v.wire(path)
		if !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
			continue
		}
		pages++
		if h.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s is not compressed", path)
		}
		t.Logf("%s: %d bytes and %d of files", path, n, files)
		if n+files > limit {
			t.Errorf("%s takes %d bytes and %d of files, the limit is %d", path, n, files, limit)
		}
	}
	if pages < 20 {
		t.Errorf("%d pages", pages)
	}
}

// The longest pages stay as small with 1,000 servers.
func TestListsOfServersAreSmall(t *testing.T) {
	w := setup(t).populate().addServers(1000)
	device, _ := w.belongings(userEmail)
	v := w.signedIn(userEmail, "ru")
	for _, path := range []string{"/account/servers", "/account/connect?device=" + number(device)} {
		if _, n := v.wire(path); n > 90_000 {
			t.Errorf("%s takes %d bytes", path, n)
		}
	}
}

func TestAssetsAreKeptForGood(t *testing.T) {
	w := setup(t)
	v := w.visitor("en")
	h, n := v.wire(w.site.assets.path("style.css"))
	if h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Content-Encoding") != "gzip" || h.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("%v", h)
	}
	plain := v.do(http.MethodGet, w.site.assets.path("style.css"), nil, "Accept-Encoding: gzip;q=0")
	if plain.Header.Get("Content-Encoding") != "" || len(plain.body) <= n {
		t.Errorf("asked for without compression: %v", plain.Header)
	}
	z := must(gzip.NewReader(strings.NewReader(string(w.site.assets.byName[w.site.assets.names["style.css"]].zipped))))(t)
	if unzipped := must(io.ReadAll(z))(t); string(unzipped) != plain.body {
		t.Error("the compressed file is another one")
	}
	for _, path := range []string{"/assets/style.css", "/assets/..%2fweb.go", "/assets/"} {
		if p := v.open(path); p.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, p.StatusCode)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := setup(t).populate()
	for _, path := range []string{"/signin", "/docs", "/nothing", "/assets/nothing", "/setup/nothing"} {
		h := w.visitor("en").open(path).Header
		if h.Get("Content-Security-Policy") != csp || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" ||
			h.Get("Referrer-Policy") != "same-origin" || h.Get("X-Request-Id") == "" || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("the policy has an exception: %s", csp)
	}
}

func TestCookies(t *testing.T) {
	session := func(w *world) *http.Cookie {
		v := w.visitor("en")
		v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		p := v.do(http.MethodPost, "/signin", url.Values{"email": {userEmail}, "password": {password}})
		if len(p.Cookies()) != 1 {
			t.Fatalf("%d %v", p.StatusCode, p.Header)
		}
		return p.Cookies()[0]
	}
	plain := session(setup(t).populate())
	if plain.Name != "stile" || !plain.HttpOnly || plain.SameSite != http.SameSiteLaxMode || plain.Secure || plain.Path != "/" || plain.MaxAge != 90*24*60*60 {
		t.Errorf("%+v", plain)
	}
	w := setup(t, func(c *Config) { c.PublicURL = "https://vpn.example.net" }).populate()
	secure := session(w)
	if secure.Name != "__Host-stile" || !secure.Secure || secure.Domain != "" {
		t.Errorf("%+v", secure)
	}
	if h := w.visitor("en").open("/signin").Header; h.Get("Strict-Transport-Security") == "" {
		t.Error("https without Strict-Transport-Security")
	}
	// Only a hash is stored: the cookie's value is in no row.
	for _, b := range must(w.store.Browsers(t.Context(), w.user.ID))(t) {
		if b.ID == 0 {
			t.Error("no session")
		}
	}
	if _, err := w.service.Authenticate(t.Context(), secure.Value); vpn.CodeOf(err) != vpn.CodeUnauthenticated {
		t.Errorf("the cookie is a bearer token: %v", err)
	}
	if strings.Contains(w.log.String(), secure.Value) || strings.Contains(w.log.String(), userEmail) || strings.Contains(w.log.String(), "192.0.2.1") {
		t.Errorf("the log names somebody:\n%s", w.log)
	}
}

// A proxy in front may hand on another Host than the browser sees: its own origin is the configured one.
func TestFormsBehindAProxy(t *testing.T) {
	w := setup(t, func(c *Config) { c.PublicURL = "https://vpn.example.net" }).populate()
	form := url.Values{"back": {"/docs"}}
	for origin, want := range map[string]int{"https://vpn.example.net": 200, "https://evil.example": 403} {
		if p := w.visitor("en").do(http.MethodPost, "/preferences", form, "Sec-Fetch-Site: ", "Origin: "+origin); p.StatusCode != want {
			t.Errorf("%s: %d, want %d", origin, p.StatusCode, want)
		}
	}
}

func TestBadRequestsAreClear(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(userEmail, "en")
	v.open("/nothing").says(404, "No such page")
	v.open("/account/").says(404, "No such page")
	if p := v.do(http.MethodDelete, "/account/devices", nil).says(405, "does not open that way"); p.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("Allow: %s", p.Header.Get("Allow"))
	}
	v.do(http.MethodPost, "/account/devices", url.Values{"name": {strings.Repeat("x", 64<<10)}}).says(413, "no more than 64 KiB")
	for _, path := range []string{"/account/devices/x/remove", "/account/devices/-1/remove", "/account/devices/99999999999999999999/remove", "/account/tokens/0/remove"} {
		v.do(http.MethodPost, path, url.Values{}).says(404)
	}
	v.open("/account/connect/1/x").says(404, "no such device")
	v.do(http.MethodPost, "/account/connect", url.Values{"device": {"1"}, "server": {"x"}}).says(404)
	v.do(http.MethodPost, "/account/tokens", url.Values{"name": {"x"}, "days": {"-1"}, "scope": {"account"}}).says(201)
	v.do(http.MethodPost, "/account/devices", url.Values{"name": {"x"}, "platform": {"toaster"}}).says(200)
	v.do(http.MethodPost, "/account/tokens", url.Values{"name": {strings.Repeat("я", 256)}, "scope": {"keys"}}).says(422, "at most 255")
	v.do(http.MethodPost, "/account/tokens", nil, "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin").says(422)
	v.do(http.MethodPost, "/account/tokens", url.Values{"name": {"\x00\xff"}}).says(422)
}

// A store that takes no changes is said to be so, and a fault of ours gives nothing away but its number.
func TestFaultsAreOurs(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(userEmail, "en")
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	p := v.open("/account/devices")
	if p.StatusCode != http.StatusInternalServerError || !strings.Contains(p.text(), p.Header.Get("X-Request-Id")) || strings.Contains(p.text(), "sql") {
		t.Errorf("%d: %s", p.StatusCode, p.text())
	}
	if !strings.Contains(w.log.String(), "status=500") {
		t.Errorf("the fault is not in the log:\n%s", w.log)
	}
}
