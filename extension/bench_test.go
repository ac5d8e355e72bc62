package extension_test

import (
	"testing"
	"time"

	"stile/extension"
	"stile/internal/testca"
)

// BenchmarkFirstPage is the time from the start of a browser that was connected when it ended to the first page through
// the node, credentials included.
func BenchmarkFirstPage(b *testing.B) {
	w := newWorld(b)
	home, dir := b.TempDir(), unpack(b, extension.Chromium, w.config())
	first := startChromiumIn(b, home, dir, testca.Pin(w.tls))
	beginStory(w, first).connect()
	first.stop()
	for b.Loop() {
		c := startChromiumIn(b, home, dir, testca.Pin(w.tls))
		s := &story{world: w, b: c, tab: c.open("about:blank")}
		for s.way(s.https(siteName)) == "" || w.site.count(nodeAddresses[0])+w.site.count(nodeAddresses[1]) == 0 {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		c.stop()
		w.site.forget()
		b.StartTimer()
	}
}

// BenchmarkPopup is the time from the opening of the popup until it shows the account and can be used.
func BenchmarkPopup(b *testing.B) {
	s := newStory(b)
	s.connect()
	for b.Loop() {
		s.popup.load(s.b.extension() + "popup.html")
		for !value[bool](b, s.popup, `document.getElementById("status").innerText !== "" && !document.getElementById("plan").hidden`) {
		}
	}
	b.ReportMetric(value[float64](b, s.popup, `performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd`), "ms-to-DOM")
}
