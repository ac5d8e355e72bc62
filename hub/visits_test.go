package hub

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stile/wire"
)

// A node that connects or asks without end waits. Operators hear of it once, and others, such as the machine that took its place, notice
// nothing.
func TestANodeVisitsSoOften(t *testing.T) {
	for _, c := range []struct{ method, path string }{
		{http.MethodPost, wire.PathPoll}, {http.MethodPost, wire.PathStream}, {http.MethodGet, wire.PathSelf}, {http.MethodPost, wire.PathRenew},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, log := newTestListener(t), new(bytes.Buffer)
			l.cfg.Log = slog.New(slog.NewTextHandler(log, nil))
			defer end(l)
			g := &gatehouse{t: t, l: l}
			seven, successor, eight := g.certificate(7), g.certificate(7), g.certificate(8)
			visit := func(by tls.Certificate) *httptest.ResponseRecorder {
				leaf, err := x509.ParseCertificate(by.Certificate[0])
				if err != nil {
					t.Fatal(err)
				}
				r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody)
				r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}
				w := httptest.NewRecorder()
				done := make(chan struct{})
				go func() { defer close(done); l.server.Handler.ServeHTTP(w, r) }()
				synctest.Wait()
				end(l)
				<-done
				return w
			}
			for i := range visitRate.Most {
				if w := visit(seven); w.Code == http.StatusTooManyRequests {
					t.Fatalf("%s: visit %d is one too many", c.path, i)
				}
			}
			for range 5 {
				w := visit(seven)
				if after, err := strconv.Atoi(w.Header().Get("Retry-After")); w.Code != http.StatusTooManyRequests || err != nil || after < 1 || after > longestRetry {
					t.Errorf("%s, one too many: %d, Retry-After %q", c.path, w.Code, w.Header().Get("Retry-After"))
				}
			}
			if visit(successor).Code == http.StatusTooManyRequests || visit(eight).Code == http.StatusTooManyRequests {
				t.Errorf("%s: another one has to wait, too", c.path)
			}
			time.Sleep(time.Duration(visitRate.Every) * time.Millisecond)
			if visit(seven).Code == http.StatusTooManyRequests || visit(seven).Code != http.StatusTooManyRequests {
				t.Errorf("%s: in time there is room for one", c.path)
			}
			if n := strings.Count(log.String(), "more often than nodes do"); n != 1 {
				t.Errorf("%s: told %d times: %s", c.path, n, log)
			}
		})
	}
}

// end closes all links.
func end(l *Listener) {
	for _, link := range l.running() {
		_ = link.Close()
	}
	l.live.Wait()
}

// Links of a node whose end is not noticed yet are few, and keep no other node from its welcome.
func TestANodeHasButSoManyLinks(t *testing.T) {
	l := newTestListener(t)
	open := func(id int64) int {
		w := httptest.NewRecorder()
		l.poll(w, httptest.NewRequest(http.MethodPost, wire.PathPoll, http.NoBody), caller{id: id})
		return w.Code
	}
	var links []*memberLink
	for range linksEach {
		m := newMemberLink(caller{id: 1}, func() {})
		if !l.add(m) {
			t.Fatal("not added")
		}
		links = append(links, m)
	}
	for range 2 * hellosAtOnce {
		l.visits = visits{}
		if code := open(1); code != http.StatusTooManyRequests {
			t.Fatalf("one link too many: %d", code)
		}
	}
	if code := open(2); code != http.StatusNoContent {
		t.Errorf("another node: %d", code)
	}
	l.remove(links[0])
	if code := open(1); code != http.StatusNoContent {
		t.Errorf("when one has ended: %d", code)
	}
	for _, m := range links[1:] {
		l.remove(m)
	}
	end(l)
}

// However often a node comes, goes and gives cause for alarm, the log is not full of it.
func TestWhatIsLoggedOfANodeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, log := start(t, newSet())
		began := time.Now()
		for range 2 * lineRate.Most { // as often as the listener allows
			p := joinAs(ctx, t, h, &wire.Hello{NodeID: 1, Epoch: 1, Rev: 1, Count: 9})
			synctest.Wait()
			_ = p.link.Close()
			<-p.ended
			time.Sleep(time.Duration(visitRate.Every) * time.Millisecond)
		}
		most := lineRate.Most + 2 + int(time.Since(began).Milliseconds()/lineRate.Every)
		if n := strings.Count(log.String(), "\n"); n > most || n < lineRate.Most {
			t.Errorf("%d lines, want at most %d", n, most)
		}
		if n := strings.Count(log.String(), "some are left out"); n != 1 {
			t.Errorf("that lines are left out is told %d times", n)
		}
		other := join(ctx, t, h, 2)
		other.sync()
		if !strings.Contains(log.String(), "a node is online\" node=2") {
			t.Error("nothing is told of another node")
		}
	})
}
