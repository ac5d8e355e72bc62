package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"stile/internal/testbrowser"
	"stile/internal/testca"
)

// Chromium opens the probe first, is asked for the credentials there, and keeps them for every site: over HTTPS, whose
// tunnel is a CONNECT in HTTP/2, and over HTTP.
func TestChromiumThroughHTTPSProxy(t *testing.T) {
	dir := t.TempDir()
	authority := testca.New(t)
	_, cert, key := authority.Files(t, dir, "127.0.0.1")
	m := newMachine(t, "", "--https-port", freePort(t), "--tls-cert", cert, "--tls-key", key)
	m.addUser("anna@example.com")
	credential := m.signIn("anna@example.com", "laptop").key().HTTPS

	var asked atomic.Int64
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "<p>hello from "+r.Host+"</p>")
	})
	plain, secure := httptest.NewServer(page), httptest.NewUnstartedServer(page)
	defer plain.Close()
	secure.TLS = authority.Server(t, "127.0.0.1")
	secure.StartTLS()
	defer secure.Close()

	proxy, err := testca.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	browser := testbrowser.StartChromium(t, testbrowser.ChromiumConfig{
		Pins:  []string{testca.Pin(proxy), testca.Pin(secure.TLS)},
		Flags: []string{"--proxy-server=https://127.0.0.1:" + strconv.Itoa(credential.Port), "--proxy-bypass-list=<-loopback>"},
	})
	tab := browser.Open("about:blank").(*testbrowser.Tab)
	tab.Answer("", "")
	if text := visit(t, tab, secure.URL); strings.Contains(text, "hello") || tab.Challenges() != 0 {
		t.Errorf("before the probe: %q, %d challenges", text, tab.Challenges())
	}
	tab.Answer(credential.Username, credential.Password)
	visit(t, tab, credential.ProbeURL) // answers 204: there is nothing to show
	if n := tab.Challenges(); n != 1 {
		t.Fatalf("%d challenges at the probe, want 1", n)
	}
	for _, site := range []string{secure.URL, plain.URL} {
		if text := visit(t, tab, site); text != "hello from "+site[strings.Index(site, "//")+2:] {
			t.Errorf("%s: %q", site, text)
		}
	}
	if n := tab.Challenges(); n != 1 {
		t.Errorf("%d challenges in all, want 1: the browser keeps the credentials", n)
	}
	if asked.Load() < 2 {
		t.Errorf("the sites were asked %d times", asked.Load())
	}
}

// Firefox carries a page over HTTP; its credentials come from its own password store.
func TestFirefoxThroughHTTPSProxy(t *testing.T) {
	m, ca := httpsMachine(t)
	m.addUser("anna@example.com")
	credential := m.signIn("anna@example.com", "laptop").key().HTTPS

	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<p>hello from "+r.Host+"</p>") })
	plain := httptest.NewServer(page)
	defer plain.Close()

	browser := testbrowser.StartFirefox(t, testbrowser.FirefoxConfig{Authority: ca, Preferences: map[string]any{
		"network.proxy.type":           2,
		"network.proxy.autoconfig_url": fmt.Sprintf("data:,function FindProxyForURL(){return 'HTTPS 127.0.0.1:%d'}", credential.Port),
		"signon.autologin.proxy":       true,
	}})
	tab := browser.Open("about:blank")
	if text := visit(t, tab, plain.URL); strings.Contains(text, "hello") {
		t.Errorf("before it has credentials: %q", text)
	}
	proxy := fmt.Sprintf("moz-proxy://127.0.0.1:%d", credential.Port)
	browser.Inside(`(() => {
		const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
		login.init(` + testbrowser.Quote(proxy) + `, null, ` + testbrowser.Quote(credential.Realm) + `,
			` + testbrowser.Quote(credential.Username) + `, ` + testbrowser.Quote(credential.Password) + `, "", "");
		return Services.logins.addLoginAsync(login).then(() => "");
	})()`)
	visit(t, tab, credential.ProbeURL) // answers 204: there is nothing to show
	if text, want := visit(t, tab, plain.URL), "hello from "+plain.Listener.Addr().String(); text != want {
		t.Errorf("%q, want %q", text, want)
	}
}

// visit opens an address and returns the text of the page, "" when none came.
func visit(t *testing.T, page testbrowser.Page, address string) string {
	t.Helper()
	if !page.Load(address) {
		return ""
	}
	return testbrowser.Value[string](t, page, `document.body.innerText`)
}
