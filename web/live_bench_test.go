package web

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"stile/vpn"
)

// BenchmarkLive is what one reading of 1,000 nodes costs the server, all of them changed since the one before, sent over real
// connections to so many operators who look at the overview, and as many users at the list. The processor's time of a reading
// over the time between two is the part of a core that live charts take: "core-%". It holds the browsers' reading, too.
func BenchmarkLive(b *testing.B) {
	for _, watching := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("%d of each", watching), func(b *testing.B) {
			w := setup(b).populate().addServers(1000 - 4)
			server := httptest.NewServer(w.site)
			defer server.Close()
			var readers sync.WaitGroup
			defer readers.Wait()
			defer w.site.EndStreams()
			arrived := make(chan struct{}, 1<<16)
			for i := range watching {
				for _, path := range []string{"/admin/live", "/account/servers/live"} {
					email := fmt.Sprintf("watcher%d@example.com", i)
					if path == "/admin/live" {
						must(w.service.AddUser(b.Context(), vpn.Shell(), vpn.NewAccount{Email: email, Password: password, IsOperator: true}))(b)
					}
					visitor := w.signedIn(email, "en")
					r := must(http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+path, nil))(b)
					for _, c := range visitor.client.Jar.Cookies(must(url.Parse(w.server.URL))(b)) {
						r.AddCookie(c)
					}
					resp := must(server.Client().Do(r))(b) //nolint:bodyclose // who reads it closes it
					readers.Go(func() {
						defer resp.Body.Close()
						lines := bufio.NewScanner(resp.Body)
						lines.Buffer(nil, 1<<20)
						for lines.Scan() {
							if bytes.HasPrefix(lines.Bytes(), []byte("data: ")) {
								arrived <- struct{}{}
							}
						}
					})
				}
			}
			began, readings := cpuTime(), 0
			for b.Loop() {
				w.nodes.more.Add(1)
				if err := w.site.readLive(b.Context()); err != nil {
					b.Fatal(err)
				}
				for range 2 * watching {
					<-arrived
				}
				readings++
			}
			used := float64(cpuTime()-began) / float64(readings)
			b.ReportMetric(used/1e6, "cpu-ms")
			b.ReportMetric(100*used/float64(liveEvery), "core-%")
		})
	}
}

// BenchmarkLivePage is the page of those charts, made anew after each reading.
func BenchmarkLivePage(b *testing.B) {
	w := setup(b).populate().addServers(1000 - 4)
	visitor := w.signedIn(operatorEmail, "en")
	for b.Loop() {
		w.nodes.more.Add(1)
		if err := w.site.readLive(b.Context()); err != nil {
			b.Fatal(err)
		}
		r := must(http.NewRequestWithContext(b.Context(), http.MethodGet, w.server.URL+"/admin", nil))(b)
		resp := must(visitor.client.Do(r))(b) //nolint:bodyclose // it is closed below
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("%d %v", resp.StatusCode, err)
		}
		_ = resp.Body.Close()
	}
}
