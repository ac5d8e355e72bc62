package extension_test

import (
	"archive/zip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// firefoxHost is the host of the extension's pages, fixed by a preference.
const firefoxHost = "5b1ff8a2-3f3f-4c5c-9a36-5d5b4f0e8a11"

// firefox is a headless Firefox, driven through WebDriver BiDi.
type firefox struct {
	t  testing.TB
	rc *rpc
}

// startFirefox starts a fresh browser that trusts an authority (a PEM file, unless ""), resolves names itself only to this
// machine, and installs the extension of a directory for the time that it runs.
func startFirefox(t testing.TB, dir, id, ca string, names ...string) *firefox {
	t.Helper()
	path := program(t, "firefox-esr", "firefox-esr", "firefox")
	home := t.TempDir()
	profile := filepath.Join(home, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	trust(t, profile, ca)
	uuids, _ := json.Marshal(map[string]string{id: firefoxHost})
	prefs := map[string]any{
		"extensions.webextensions.uuids":             string(uuids),
		"network.dns.localDomains":                   strings.Join(names, ","),
		"network.proxy.allow_hijacking_localhost":    true,
		"network.captive-portal-service.enabled":     false,
		"network.connectivity-service.enabled":       false,
		"browser.shell.checkDefaultBrowser":          false,
		"datareporting.policy.dataSubmissionEnabled": false,
		"app.update.disabledForTesting":              true,
		"browser.safebrowsing.malware.enabled":       false,
		"browser.safebrowsing.phishing.enabled":      false,
		"services.settings.server":                   "data:,#remote-settings-dummy/v1",
		"intl.locale.requested":                      "en-US",
		"intl.accept_languages":                      "en-US, en",
		"browser.startup.homepage_override.mstone":   "ignore",
		"dom.security.https_first":                   false,
		"media.peerconnection.ice.loopback":          true, // here is no other network
	}
	var text strings.Builder
	for name, v := range prefs {
		raw, _ := json.Marshal(v)
		fmt.Fprintf(&text, "user_pref(%q, %s);\n", name, raw)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	start(t, path, home, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", strconv.Itoa(port),
		"--remote-allow-system-access", "--remote-allow-origins", "http://127.0.0.1", "about:blank")
	f := &firefox{t: t}
	until(t, "Firefox listens", func() bool {
		var err error
		f.rc, err = dialRPC(fmt.Sprintf("ws://127.0.0.1:%d/session", port))
		return err == nil
	})
	f.must("session.new", map[string]any{"capabilities": map[string]any{}}, nil)
	if dir != "" {
		f.must("webExtension.install", map[string]any{"extensionData": map[string]any{"type": "base64", "value": archive(t, dir)}}, nil)
	}
	return f
}

// trust puts an authority into a profile.
func trust(t testing.TB, profile, ca string) {
	t.Helper()
	if ca == "" {
		return
	}
	certutil := program(t, "libnss3-tools", "certutil")
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "stile test", "-t", "C,,", "-i", ca}} {
		if out, err := exec.Command(certutil, append(args, "-d", "sql:"+profile)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// archive packs a directory as Firefox installs it.
func archive(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	w := zip.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString([]byte(b.String()))
}

func (f *firefox) must(method string, params, result any) {
	f.t.Helper()
	if err := f.rc.call(f.t.Context(), "", method, params, result); err != nil {
		f.t.Fatal(err)
	}
}

func (f *firefox) extension() string { return "moz-extension://" + firefoxHost + "/" }

// killWorker ends the worker from the browser's own side, as its idle timer does.
func (f *firefox) killWorker() {
	f.t.Helper()
	var tree struct {
		Contexts []struct {
			Context string `json:"context"`
		} `json:"contexts"`
	}
	f.must("browsingContext.getTree", map[string]any{"moz:scope": "chrome"}, &tree)
	f.must("script.evaluate", map[string]any{
		"expression":   `WebExtensionPolicy.getByHostname(` + quote(firefoxHost) + `).extension.terminateBackground().then(() => "")`,
		"awaitPromise": true, "target": map[string]any{"context": tree.Contexts[0].Context},
	}, nil)
}

func (f *firefox) open(url string) page {
	f.t.Helper()
	var made struct {
		Context string `json:"context"`
	}
	f.must("browsingContext.create", map[string]any{"type": "tab"}, &made)
	p := &firefoxTab{f: f, context: made.Context}
	f.must("browsingContext.setViewport", map[string]any{"context": p.context, "viewport": map[string]any{"width": popupWidth, "height": popupHeight}}, nil)
	p.load(url)
	return p
}

// firefoxTab is a tab of Firefox.
type firefoxTab struct {
	f       *firefox
	context string
}

func (p *firefoxTab) load(url string) {
	p.f.t.Helper()
	// Waiting for the navigation itself would be for ever when the extension loads the tab again meanwhile. A request that
	// the extension cancels leaves the old document where it is, and Firefox's page about an error is never complete.
	_, _ = p.evalWithin(time.Second, `(() => { window.isOld = true; if (location.protocol !== "moz-extension:") document.body.textContent = ""; })()`)
	_ = p.f.rc.call(p.f.t.Context(), "", "browsingContext.navigate", map[string]any{"context": p.context, "url": url, "wait": "none"}, nil)
	for until := time.Now().Add(loadTime); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		raw, _ := p.evalWithin(time.Second, `window.isOld === undefined && (document.readyState === "complete" || document.documentURI.startsWith("about:neterror"))`)
		if string(raw) == "true" {
			return
		}
	}
}

// loadTime is after how long a page that has not come is taken for one that does not.
const loadTime = 6 * time.Second

func (p *firefoxTab) eval(expression string) (json.RawMessage, error) {
	return p.evalWithin(callTime, expression)
}

// evalWithin gives up sooner: a document that goes away takes the answer with it.
func (p *firefoxTab) evalWithin(limit time.Duration, expression string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(p.f.t.Context(), limit)
	defer cancel()
	var done struct {
		Type   string `json:"type"`
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	err := p.f.rc.call(ctx, "", "script.evaluate", map[string]any{
		"expression": asText(expression), "awaitPromise": true, "userActivation": true, "target": map[string]any{"context": p.context},
	}, &done)
	if err == nil && done.Type == "exception" {
		err = fmt.Errorf("%s", done.ExceptionDetails)
	}
	return json.RawMessage(done.Result.Value), err
}

func (p *firefoxTab) shot() []byte {
	p.f.t.Helper()
	var taken struct {
		Data string `json:"data"`
	}
	p.f.must("browsingContext.captureScreenshot", map[string]any{"context": p.context}, &taken)
	raw, err := base64.StdEncoding.DecodeString(taken.Data)
	if err != nil {
		p.f.t.Fatal(err)
	}
	return raw
}

func (p *firefoxTab) close() {
	_ = p.f.rc.call(p.f.t.Context(), "", "browsingContext.close", map[string]any{"context": p.context}, nil)
}
