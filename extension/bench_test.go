package extension_test

import (
	"testing"
	"time"

	"stile/internal/testbrowser"
)

// BenchmarkFirstPage is the time from the start of a browser that was connected when it ended to the first page through
// the node, credentials included.
func BenchmarkFirstPage(b *testing.B) {
	w := newWorld(b)
	home := b.TempDir()
	first := w.chromium(home)
	beginStory(w, first).connect()
	first.Stop()
	for b.Loop() {
		c := w.chromium(home)
		s := &story{world: w, b: c, tab: c.Open("about:blank")}
		for s.way(s.https(siteName)) == "" || w.site.count(nodeAddresses[0])+w.site.count(nodeAddresses[1]) == 0 {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		c.Stop()
		w.site.forget()
		b.StartTimer()
	}
}

// BenchmarkPopup is the time from the opening of the popup until it shows the account and can be used.
func BenchmarkPopup(b *testing.B) {
	s := newStory(b)
	s.connect()
	for b.Loop() {
		s.popup.Load(s.b.Extension() + "popup.html")
		for !testbrowser.Value[bool](b, s.popup, `document.getElementById("status").innerText !== "" && !document.getElementById("plan").hidden`) {
		}
	}
	b.ReportMetric(testbrowser.Value[float64](b, s.popup, `performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd`), "ms-to-DOM")
}
