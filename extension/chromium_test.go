package extension_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// chromium is a headless Chromium, driven through the DevTools protocol.
type chromium struct {
	t    testing.TB
	rc   *rpc
	id   string
	stop func()
}

// startChromium starts a fresh browser. Names below .test are this machine for it, and all others are not found: what it
// resolves itself goes no further. spki are the keys whose certificates it trusts.
func startChromium(t testing.TB, dir string, spki ...string) *chromium {
	t.Helper()
	return startChromiumIn(t, t.TempDir(), dir, spki...)
}

// startChromiumIn starts a browser whose profile is kept in a directory.
func startChromiumIn(t testing.TB, home, dir string, spki ...string) *chromium {
	t.Helper()
	path := program(t, "chromium", "/usr/lib/chromium/chromium", "chromium")
	profile := filepath.Join(home, "profile")
	port := filepath.Join(profile, "DevToolsActivePort")
	_ = os.Remove(port) // of an earlier run
	args := []string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--gaia-url=http://127.0.0.1:9/", "--user-data-dir=" + profile, "--lang=en-US",
		"--remote-debugging-port=0", "--remote-allow-origins=*",
		"--disable-extensions-except=" + dir, "--load-extension=" + dir, "--disable-features=DisableLoadExtensionCommandLineSwitch",
		"--ignore-certificate-errors-spki-list=" + strings.Join(spki, ","),
		"--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
		"about:blank",
	}
	c := &chromium{t: t, stop: start(t, path, home, args...)}
	var endpoint string
	until(t, "Chromium tells where it listens", func() bool {
		raw, err := os.ReadFile(port)
		port, address, ok := strings.Cut(strings.TrimSpace(string(raw)), "\n")
		endpoint = "ws://127.0.0.1:" + port + address
		return err == nil && ok
	})
	var err error
	if c.rc, err = dialRPC(endpoint); err != nil {
		t.Fatal(err)
	}
	if dir != "" {
		until(t, "the worker runs", func() bool { c.id = c.workerHost(); return c.id != "" })
	}
	return c
}

type targetInfo struct {
	TargetID string `json:"targetId"`
	Type     string `json:"type"`
	URL      string `json:"url"`
}

func (c *chromium) targets() []targetInfo {
	var found struct {
		TargetInfos []targetInfo `json:"targetInfos"`
	}
	c.must("", "Target.getTargets", map[string]any{}, &found)
	return found.TargetInfos
}

func (c *chromium) worker() *targetInfo {
	for _, info := range c.targets() {
		if info.Type == "service_worker" && strings.HasSuffix(info.URL, "/background.js") {
			return &info
		}
	}
	return nil
}

func (c *chromium) workerHost() string {
	if w := c.worker(); w != nil {
		return strings.Split(w.URL, "/")[2]
	}
	return ""
}

func (c *chromium) extension() string { return "chrome-extension://" + c.id + "/" }

func (c *chromium) must(session, method string, params, result any) {
	c.t.Helper()
	if err := c.rc.call(c.t.Context(), session, method, params, result); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chromium) killWorker() {
	c.t.Helper()
	w := c.worker()
	if w == nil {
		return // it has ended already
	}
	c.must("", "Target.closeTarget", map[string]any{"targetId": w.TargetID}, nil)
	until(c.t, "the worker is gone", func() bool {
		now := c.worker()
		return now == nil || now.TargetID != w.TargetID
	})
}

func (c *chromium) open(url string) page {
	c.t.Helper()
	p := c.blank()
	p.load(url)
	return p
}

// blank opens an empty tab of the popup's size.
func (c *chromium) blank() *tab {
	c.t.Helper()
	var made struct {
		TargetID string `json:"targetId"`
	}
	c.must("", "Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	c.must("", "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &attached)
	p := &tab{c: c, target: made.TargetID, session: attached.SessionID}
	c.must(p.session, "Emulation.setDeviceMetricsOverride", map[string]any{
		"width": popupWidth, "height": popupHeight, "deviceScaleFactor": 2, "mobile": false,
	}, nil)
	return p
}

// tab is a tab of Chromium.
type tab struct {
	c               *chromium
	target, session string
}

func (p *tab) load(url string) {
	p.c.t.Helper()
	p.c.must(p.session, "Page.navigate", map[string]any{"url": url}, nil)
	until(p.c.t, url+" is loaded", func() bool {
		raw, err := p.eval(`document.readyState === "complete" && location.href !== "about:blank"`)
		return err == nil && (string(raw) == "true" || url == "about:blank")
	})
}

func (p *tab) eval(expression string) (json.RawMessage, error) {
	var done struct {
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	err := p.c.rc.call(p.c.t.Context(), p.session, "Runtime.evaluate", map[string]any{
		"expression": asText(expression), "awaitPromise": true, "returnByValue": true, "userGesture": true,
	}, &done)
	if err == nil && done.ExceptionDetails != nil {
		err = fmt.Errorf("%s", done.ExceptionDetails)
	}
	return json.RawMessage(done.Result.Value), err
}

func (p *tab) shot() []byte {
	p.c.t.Helper()
	var taken struct {
		Data string `json:"data"`
	}
	p.c.must(p.session, "Page.captureScreenshot", map[string]any{"format": "png"}, &taken)
	raw, err := base64.StdEncoding.DecodeString(taken.Data)
	if err != nil {
		p.c.t.Fatal(err)
	}
	return raw
}

func (p *tab) close() {
	_ = p.c.rc.call(p.c.t.Context(), "", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
}
