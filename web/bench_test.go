package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// BenchmarkPages is the server's time for a page of a signed-in user among 1,000 servers, compressed as browsers ask.
func BenchmarkPages(b *testing.B) {
	w := setup(b).populate().addServers(1000)
	device, _ := w.belongings(userEmail)
	w.use(w.user.ID, device)
	visitor := w.signedIn(userEmail, "ru")
	cookies := visitor.client.Jar.Cookies(&url.URL{Scheme: "http", Host: w.server.Listener.Addr().String(), Path: "/"})
	for _, path := range []string{"/account", "/account/devices", "/account/servers", "/account/connect", "/account/tokens", "/account/settings", "/docs"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
				r.Header.Set("Accept-Encoding", "gzip")
				for _, c := range cookies {
					r.AddCookie(c)
				}
				answer := httptest.NewRecorder()
				w.site.ServeHTTP(answer, r)
				if n, _ := io.Copy(io.Discard, answer.Body); answer.Code != http.StatusOK || n == 0 {
					b.Fatalf("%s: %d", path, answer.Code)
				}
			}
		})
	}
}
