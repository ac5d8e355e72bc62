package web

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stile/internal/testbrowser"
)

// chromium starts a browser that reaches this machine alone.
func chromium(t *testing.T) *testbrowser.Chromium {
	t.Helper()
	return testbrowser.StartChromium(t, testbrowser.ChromiumConfig{})
}

// look is how a visitor looks at the pages.
type look struct {
	lang, scheme string
	width        int
}

// looks are all that every flow is told in.
var looks = []look{{"ru", "light", 1440}, {"en", "dark", 1440}, {"en", "light", 360}, {"ru", "dark", 360}}

func (l look) String() string { return fmt.Sprintf("%s-%s-%d", l.lang, l.scheme, l.width) }

// tab is one browser window with cookies of its own.
type tab struct {
	*testbrowser.Tab
	t    *testing.T
	base string
	look look
	said []string // what the console complained of
}

// tab opens a window of the browser on a site.
func (w *world) tab(browser *testbrowser.Chromium, t *testing.T, l look) *tab {
	t.Helper()
	b := &tab{Tab: browser.OpenApart(t), t: t, base: w.server.URL, look: l}
	b.Resize(l.width, 900, 1)
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{
		{"name": "prefers-color-scheme", "value": l.scheme}, {"name": "prefers-reduced-motion", "value": "reduce"},
	}}, nil)
	b.Call("Network.enable", map[string]any{}, nil)
	b.Call("Network.setExtraHTTPHeaders", map[string]any{"headers": map[string]string{"Accept-Language": l.lang}}, nil)
	return b
}

// open goes to a page.
func (b *tab) open(path string) {
	b.t.Helper()
	if !b.Load(b.base + path) {
		b.t.Fatalf("%s: %s does not come", b.look, path)
	}
}

// eval runs a script in the page, past its policy as the developer's tools do, and returns what it came to.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	return testbrowser.Value[T](b.t, b.Tab, script)
}

// fill types into a field.
func (b *tab) fill(selector, text string) { b.t.Helper(); b.Fill(selector, text) }

// choose takes an option of a select.
func (b *tab) choose(selector, value string) { b.t.Helper(); b.Choose(selector, value) }

// click presses what leads to another page and waits for that.
func (b *tab) click(selector string) { b.t.Helper(); b.Follow(selector) }

// press presses what changes the page.
func (b *tab) press(selector string) { b.t.Helper(); b.Press(selector) }

// sees waits until the page shows a text, in the language of the look.
func (b *tab) sees(ru, en string) {
	b.t.Helper()
	text := en
	if b.look.lang == "ru" {
		text = ru
	}
	b.waits(`document.body.innerText.includes(` + testbrowser.Quote(text) + `)`)
}

// waits until a condition of the page holds.
func (b *tab) waits(condition string) {
	b.t.Helper()
	if !b.Holds(condition) {
		b.t.Fatalf("%s: %s: never: %s\n%s", b.look, eval[string](b, "location.pathname"), condition, eval[string](b, "document.body.innerText"))
	}
}

// listen takes over what the console complained of.
func (b *tab) listen() { b.said = append(b.said, b.Complaints()...) }

// forget drops a complaint of the console that is meant: Chromium's own about the status of a page.
func (b *tab) forget(status string) {
	b.listen()
	b.said = slices.DeleteFunc(b.said, func(text string) bool {
		return strings.Contains(text, "Failed to load resource: the server responded with a status of "+status)
	})
}

// audit takes a picture of the page and fails on what axe finds, what the console said, and what is wider than the window.
func (b *tab) audit(name string) {
	b.t.Helper()
	b.picture(name)
	b.listen()
	for _, text := range b.said {
		b.t.Errorf("%s %s: the console says %s", b.look, name, text)
	}
	if wide := eval[float64](b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
		b.t.Errorf("%s %s: the page is %v px wider than the window", b.look, name, wide)
	}
	for _, fault := range testbrowser.Faults(b.t, b.Tab) {
		b.t.Errorf("%s %s: axe: %s", b.look, name, fault)
	}
	b.said = nil
	b.Complaints() // axe's own
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
	file := filepath.Join(pictures(b.t), strings.ReplaceAll(name, " ", "-")+"-"+b.look.String()+".png")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, b.WholeShot(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}
