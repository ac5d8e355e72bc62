package testbrowser

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Chromium is a headless Chromium.
type Chromium struct {
	// Stop ends the browser, which then has written down its profile.
	Stop func()

	t  testing.TB
	rc *rpc
	id string // of the extension

	mu   sync.Mutex
	tabs map[string]*Tab // by session
}

// ChromiumConfig is what a Chromium is started with.
type ChromiumConfig struct {
	// Home keeps the profile; it is a fresh directory unless given.
	Home string
	// Extensions are directories of unpacked extensions. What Extension and KillWorker mean is the first one.
	Extensions []string
	// Pins are the public keys whose certificates are trusted, as testca.Pin writes them.
	Pins []string
	// Flags are arguments beside our own.
	Flags []string
}

// StartChromium starts a browser. Names below .test are this machine for it, and all others are not found: what it resolves itself
// goes no further.
func StartChromium(t testing.TB, config ChromiumConfig) *Chromium {
	t.Helper()
	home := config.Home
	if home == "" {
		home = t.TempDir()
	}
	path := program(t, "chromium", "/usr/lib/chromium/chromium", "chromium") // the program itself rather than Debian's wrapper
	profile := filepath.Join(home, "profile")
	port := filepath.Join(profile, "DevToolsActivePort")
	_ = os.Remove(port) // of an earlier run
	args := []string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--gaia-url=http://127.0.0.1:9/", "--user-data-dir=" + profile, "--lang=en-US",
		"--remote-debugging-port=0", "--remote-allow-origins=*",
		"--ignore-certificate-errors-spki-list=" + strings.Join(config.Pins, ","),
		"--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
	}
	if dirs := strings.Join(config.Extensions, ","); dirs != "" {
		args = append(args, "--disable-extensions-except="+dirs, "--load-extension="+dirs, "--disable-features=DisableLoadExtensionCommandLineSwitch")
	}
	args = append(append(args, config.Flags...), "about:blank")
	c := &Chromium{t: t, tabs: map[string]*Tab{}, Stop: start(t, path, home, args...)}
	var endpoint string
	Until(t, "Chromium tells where it listens", func() bool {
		raw, err := os.ReadFile(port)
		port, address, ok := strings.Cut(strings.TrimSpace(string(raw)), "\n")
		endpoint = "ws://127.0.0.1:" + port + address
		return err == nil && ok
	})
	var err error
	if c.rc, err = dialRPC(endpoint, c.hear); err != nil {
		t.Fatal(err)
	}
	if len(config.Extensions) > 0 {
		Until(t, "the worker runs", func() bool { c.id = c.IDOf("/background.js"); return c.id != "" })
	}
	return c
}

// hear gives an event to its tab.
func (c *Chromium) hear(e event) {
	c.mu.Lock()
	p := c.tabs[e.Session]
	c.mu.Unlock()
	if p != nil {
		p.hear(e)
	}
}

type targetInfo struct {
	TargetID string `json:"targetId"`
	Type     string `json:"type"`
	URL      string `json:"url"`
}

// worker is the running worker whose file has a name.
func (c *Chromium) worker(name string) *targetInfo {
	c.t.Helper()
	var found struct {
		TargetInfos []targetInfo `json:"targetInfos"`
	}
	c.call("", "Target.getTargets", map[string]any{}, &found)
	for _, info := range found.TargetInfos {
		if info.Type == "service_worker" && strings.HasSuffix(info.URL, name) {
			return &info
		}
	}
	return nil
}

// IDOf is the id of the extension whose worker runs and has a name, "" when none does.
func (c *Chromium) IDOf(worker string) string {
	c.t.Helper()
	if w := c.worker(worker); w != nil {
		return strings.Split(w.URL, "/")[2]
	}
	return ""
}

// Extension implements Browser.
func (c *Chromium) Extension() string { return "chrome-extension://" + c.id + "/" }

// KillWorker implements Browser.
func (c *Chromium) KillWorker() {
	c.t.Helper()
	w := c.worker("/background.js")
	if w == nil {
		return // it has ended already
	}
	c.call("", "Target.closeTarget", map[string]any{"targetId": w.TargetID}, nil)
	Until(c.t, "the worker is gone", func() bool {
		now := c.worker("/background.js")
		return now == nil || now.TargetID != w.TargetID
	})
}

// Open implements Browser.
func (c *Chromium) Open(url string) Page {
	c.t.Helper()
	p := c.tab(map[string]any{"url": "about:blank"})
	p.Resize(PopupWidth, PopupHeight, 2)
	if url != "about:blank" {
		p.Load(url)
	}
	return p
}

// OpenApart opens an empty tab with cookies of its own, which tells what the console complains of.
func (c *Chromium) OpenApart(t testing.TB) *Tab {
	t.Helper()
	var made struct {
		ID string `json:"browserContextId"`
	}
	c.call("", "Target.createBrowserContext", map[string]any{}, &made)
	p := c.tab(map[string]any{"url": "about:blank", "browserContextId": made.ID})
	p.t = t
	for _, domain := range []string{"Runtime.enable", "Log.enable"} {
		p.Call(domain, map[string]any{}, nil)
	}
	t.Cleanup(func() {
		_ = c.rc.call(c.t.Context(), "", "Target.disposeBrowserContext", map[string]any{"browserContextId": made.ID}, nil)
	})
	return p
}

// tab makes a tab and listens to it.
func (c *Chromium) tab(target map[string]any) *Tab {
	c.t.Helper()
	var made struct {
		TargetID string `json:"targetId"`
	}
	c.call("", "Target.createTarget", target, &made)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	c.call("", "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &attached)
	p := &Tab{t: c.t, c: c, session: attached.SessionID}
	c.mu.Lock()
	c.tabs[p.session] = p
	c.mu.Unlock()
	return p
}

func (c *Chromium) call(session, method string, params, result any) {
	c.t.Helper()
	if err := c.rc.call(c.t.Context(), session, method, params, result); err != nil {
		c.t.Fatal(err)
	}
}
