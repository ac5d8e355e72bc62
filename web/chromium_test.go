package web

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// chromium starts a browser that reaches this machine alone.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := "/usr/lib/chromium/chromium" // the program itself, not Debian's wrapper
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("chromium"); err != nil {
			t.Fatal("no chromium: install the Debian package chromium, or run tools/deps")
		}
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(path), chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("gaia-url", "http://127.0.0.1:9/"), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
	)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // starts it
		t.Fatal(err)
	}
	return ctx
}

// look is how a visitor looks at the pages.
type look struct {
	lang, scheme string
	width        int64
}

// looks are all that every flow is told in.
var looks = []look{{"ru", "light", 1440}, {"en", "dark", 1440}, {"en", "light", 360}, {"ru", "dark", 360}}

func (l look) String() string { return fmt.Sprintf("%s-%s-%d", l.lang, l.scheme, l.width) }

// tab is one browser window with cookies of its own.
type tab struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // lives as long as one test
	base string
	look look
	axe  string

	mu    sync.Mutex
	said  []string // what the console complained of
	muted bool
}

// tab opens a window of the browser on a site.
func (w *world) tab(browser context.Context, t *testing.T, l look) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 15*time.Minute)
	t.Cleanup(cancel)
	axe, err := os.ReadFile("../tools/npm/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("no axe-core: run tools/deps (%v)", err)
	}
	b := &tab{t: t, ctx: ctx, base: w.server.URL, look: l, axe: string(axe)}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			if !b.muted && m.Type != chromedp.ConsoleLog && m.Type != chromedp.ConsoleInfo && m.Type != chromedp.ConsoleDebug {
				b.said = append(b.said, string(m.Type)+": "+m.Text)
			}
			b.mu.Unlock()
		}
	}()
	b.do(
		chromedp.EmulateViewport(l.width, 900),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}),
		call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": l.lang}}),
	)
	return b
}

// call makes an action of a command of the protocol.
func call[P, R any](method cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, method, params)
		return err
	})
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", b.look, err)
	}
}

// open goes to a page.
func (b *tab) open(path string) { b.t.Helper(); b.do(chromedp.Navigate(b.base + path)) }

// eval runs a script in the page, past its policy as the developer's tools do, and returns what it came to.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %.200s: %v", b.look, script, err)
	}
	return v
}

// fill types into a field.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	eval[string](b, `document.querySelector(`+string(quoted)+`).value = ""`)
	b.do(chromedp.SendKeys(selector, text))
}

// click presses what leads to another page and waits for that.
func (b *tab) click(selector string) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(selector)); err != nil {
		b.t.Fatalf("%s: click %s: %v", b.look, selector, err)
	}
}

// press presses what changes the page.
func (b *tab) press(selector string) { b.t.Helper(); b.do(chromedp.Click(selector)) }

// sees waits until the page shows a text, in the language of the look.
func (b *tab) sees(ru, en string) {
	b.t.Helper()
	text := en
	if b.look.lang == "ru" {
		text = ru
	}
	quoted, _ := json.Marshal(text)
	var err error
	for range 5 { // the page may go to another meanwhile, which ends the polling
		_, err = chromedp.Run(b.ctx, chromedp.Poll[bool](`document.body.innerText.includes(`+string(quoted)+`)`, chromedp.WithPollingTimeout(5*time.Minute)))
		if err == nil || !strings.Contains(err.Error(), "-32000") {
			break
		}
	}
	if err != nil {
		b.t.Fatalf("%s: %s does not show %q: %v\n%s", b.look, eval[string](b, "location.pathname"), text, err, eval[string](b, "document.body.innerText"))
	}
}

// waits until a condition of the page holds.
func (b *tab) waits(condition string) {
	b.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		holds, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](condition)) // an error when the page is just being left
		if err == nil && holds {
			return
		}
		if time.Since(began) > 5*time.Minute {
			b.t.Fatalf("%s: %s: %s does not hold: %v", b.look, eval[string](b, "location.pathname"), condition, err)
		}
	}
}

// forget drops a complaint of the console that is meant: Chromium's own about the status of a page.
func (b *tab) forget(status string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = slices.DeleteFunc(b.said, func(text string) bool {
		return strings.Contains(text, "Failed to load resource: the server responded with a status of "+status)
	})
}

// violation is what axe found.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// audit takes a picture of the page and fails on what axe finds, what the console said, and what is wider than the window.
func (b *tab) audit(name string) {
	b.t.Helper()
	b.picture(name)
	b.mu.Lock()
	said := b.said
	b.said, b.muted = nil, true
	b.mu.Unlock()
	for _, text := range said {
		b.t.Errorf("%s %s: the console says %s", b.look, name, text)
	}
	if wide := eval[float64](b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
		b.t.Errorf("%s %s: the page is %v px wider than the window", b.look, name, wide)
	}
	found := eval[[]violation](b, b.axe+"\n;axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
	for _, v := range found {
		for _, n := range v.Nodes {
			b.t.Errorf("%s %s: axe: %s: %s\n%s\n%s", b.look, name, v.ID, v.Help, n.HTML, n.Summary)
		}
	}
	b.mu.Lock()
	b.said, b.muted = nil, false
	b.mu.Unlock()
}

// pictures is where pictures go: STILE_TEST_PICTURES, or a directory that goes with the test.
func pictures(t *testing.T) string {
	if dir := os.Getenv("STILE_TEST_PICTURES"); dir != "" {
		return dir
	}
	return t.TempDir()
}

func (b *tab) picture(name string) {
	b.t.Helper()
	image, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(pictures(b.t), strings.ReplaceAll(name, " ", "-")+"-"+b.look.String()+".png")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
