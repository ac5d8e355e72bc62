package testbrowser

import (
	"archive/zip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// firefoxHost is the host of an extension's pages, fixed by a preference.
const firefoxHost = "5b1ff8a2-3f3f-4c5c-9a36-5d5b4f0e8a11"

// Firefox is a headless Firefox.
type Firefox struct {
	// Stop ends the browser.
	Stop func()

	t          testing.TB
	rc         *rpc
	isExtended bool // there is an extension

	mu   sync.Mutex
	tabs map[string]*firefoxTab // by context
}

// FirefoxConfig is what a Firefox is started with.
type FirefoxConfig struct {
	// Extension is the directory of an unpacked extension that is installed while the browser runs, and ExtensionID its id; both are
	// empty for none.
	Extension, ExtensionID string
	// Authority is the PEM file of a certificate authority that is trusted.
	Authority string
	// Names are found at this machine.
	Names []string
	// Preferences are set beside our own.
	Preferences map[string]any
}

// StartFirefox starts a fresh browser.
func StartFirefox(t testing.TB, config FirefoxConfig) *Firefox {
	t.Helper()
	path := program(t, "firefox-esr", "firefox-esr", "firefox")
	home := t.TempDir()
	profile := filepath.Join(home, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	trust(t, profile, config.Authority)
	if err := os.WriteFile(filepath.Join(profile, "user.js"), preferences(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &Firefox{t: t, isExtended: config.Extension != "", tabs: map[string]*firefoxTab{}}
	f.Stop = start(t, path, home, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0",
		"--remote-allow-system-access", "--remote-allow-origins", "http://127.0.0.1", "about:blank")
	Until(t, "Firefox listens", func() bool {
		var at struct {
			Port int `json:"ws_port"`
		}
		raw, err := os.ReadFile(filepath.Join(profile, "WebDriverBiDiServer.json"))
		if err != nil || json.Unmarshal(raw, &at) != nil {
			return false
		}
		f.rc, err = dialRPC(fmt.Sprintf("ws://127.0.0.1:%d/session", at.Port), f.hear)
		return err == nil
	})
	f.call("session.new", map[string]any{"capabilities": map[string]any{}}, nil)
	f.call("session.subscribe", map[string]any{"events": []string{"browsingContext"}}, nil)
	if f.isExtended {
		packed := map[string]any{"type": "base64", "value": archive(t, config.Extension)}
		f.call("webExtension.install", map[string]any{"extensionData": packed}, nil)
	}
	return f
}

// preferences writes the file that Firefox reads at its start.
func preferences(config FirefoxConfig) []byte {
	uuids, _ := json.Marshal(map[string]string{config.ExtensionID: firefoxHost})
	all := map[string]any{
		"extensions.webextensions.uuids":             string(uuids),
		"network.dns.localDomains":                   strings.Join(config.Names, ","),
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
	for _, prefs := range []map[string]any{all, config.Preferences} {
		for name, v := range prefs {
			raw, _ := json.Marshal(v)
			fmt.Fprintf(&text, "user_pref(%q, %s);\n", name, raw)
		}
	}
	return []byte(text.String())
}

// trust puts an authority into a profile.
func trust(t testing.TB, profile, authority string) {
	t.Helper()
	if authority == "" {
		return
	}
	certutil := program(t, "libnss3-tools", "certutil")
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "stile test", "-t", "C,,", "-i", authority}} {
		if out, err := exec.Command(certutil, append(args, "-d", "sql:"+profile)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
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

func (f *Firefox) call(method string, params, result any) {
	f.t.Helper()
	if err := f.rc.call(f.t.Context(), "", method, params, result); err != nil {
		f.t.Fatal(err)
	}
}

// Extension implements Browser.
func (f *Firefox) Extension() string { return "moz-extension://" + firefoxHost + "/" }

// KillWorker implements Browser, from the browser's own side, as its idle timer does.
func (f *Firefox) KillWorker() {
	f.t.Helper()
	f.Inside(`WebExtensionPolicy.getByHostname(` + Quote(firefoxHost) + `).extension.terminateBackground().then(() => "")`)
}

// Inside runs an expression with the browser's own rights and waits if it is a promise.
func (f *Firefox) Inside(expression string) {
	f.t.Helper()
	var tree struct {
		Contexts []struct {
			Context string `json:"context"`
		} `json:"contexts"`
	}
	f.call("browsingContext.getTree", map[string]any{"moz:scope": "chrome"}, &tree)
	var done struct {
		Type             string          `json:"type"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	f.call("script.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "target": map[string]any{"context": tree.Contexts[0].Context},
	}, &done)
	if done.Type == "exception" {
		f.t.Fatalf("%.200s: %s", expression, done.ExceptionDetails)
	}
}

// Open implements Browser.
func (f *Firefox) Open(url string) Page {
	f.t.Helper()
	var made struct {
		Context string `json:"context"`
	}
	f.call("browsingContext.create", map[string]any{"type": "tab"}, &made)
	p := &firefoxTab{f: f, context: made.Context}
	f.mu.Lock()
	f.tabs[p.context] = p
	f.mu.Unlock()
	f.call("browsingContext.setViewport", map[string]any{"context": p.context, "viewport": map[string]any{"width": PopupWidth, "height": PopupHeight}}, nil)
	if url != "about:blank" {
		p.Load(url)
	}
	return p
}
