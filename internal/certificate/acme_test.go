package certificate

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const testName = "nl1.example.net"

func newTestACME(t *testing.T, a *authority, dir string) (*ACME, *safeBuffer) {
	t.Helper()
	log, said := testLog()
	s, err := NewACME(ACMEConfig{Dir: dir, Name: testName, Directory: a.directory, Roots: a.root, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.pause = 100 * time.Millisecond
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the source said:\n%s", said.String())
		}
	})
	return s, said
}

// A real ACME server gives a certificate through TLS-ALPN-01 on the port that serves; it is kept on disk, so the next
// start asks nobody.
func TestACMEThroughTheServingPort(t *testing.T) {
	a := newAuthority(t, 90*24*time.Hour)
	a.resolve(testName)
	dir := filepath.Join(t.TempDir(), "acme")
	s, said := newTestACME(t, a, dir)
	serve(t, a.https, s)
	if _, err := shown(a.https, testName); err == nil || !s.NotAfter().IsZero() {
		t.Fatalf("a certificate before the authority was asked")
	}
	run(t, s)
	until(t, "a certificate", func() bool { return !s.NotAfter().IsZero() })
	leaf, err := shown(a.https, testName)
	if err != nil || leaf.VerifyHostname(testName) != nil || !leaf.NotAfter.Equal(s.NotAfter()) {
		t.Fatalf("shown: %v, %v\n%s", leaf, err, said)
	}
	if other, err := shown(a.https, ""); err != nil || !other.Equal(leaf) {
		t.Errorf("a client that names no server sees %v", err)
	}
	conn, err := tls.Dial("tcp", a.https.Addr().String(), &tls.Config{ServerName: testName, NextProtos: []string{"h2", "http/1.1"}, InsecureSkipVerify: true})
	if err != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
		t.Errorf("HTTP/2 is not offered: %v", err)
	} else {
		_ = conn.Close()
	}

	again, said := newTestACME(t, a, dir)
	again.cfg.Directory = "https://127.0.0.1:1/dir"
	again.manager.Client.DirectoryURL = again.cfg.Directory
	run(t, again)
	until(t, "the kept certificate", func() bool { return again.NotAfter().Equal(s.NotAfter()) })
	if strings.Contains(said.String(), "authority") {
		t.Errorf("the second start asked:\n%s", said)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
}

// Where port 443 belongs to something else, port 80 does.
func TestACMEThroughPort80(t *testing.T) {
	a := newAuthority(t, 90*24*time.Hour)
	a.resolve(testName)
	_ = a.https.Close()
	s, said := newTestACME(t, a, t.TempDir())
	server := &http.Server{Handler: s.HTTPHandler(http.NotFoundHandler())}
	go func() { _ = server.Serve(a.http) }()
	t.Cleanup(func() { _ = server.Close() })
	run(t, s)
	until(t, "a certificate", func() bool { return !s.NotAfter().IsZero() })
	if strings.Contains(said.String(), "refuses") {
		t.Errorf("port 443 is complained of, though port 80 serves:\n%s", said)
	}
}

// A certificate is renewed while it is served. When the authority goes away the old one stays, and the log says why.
func TestACMERenews(t *testing.T) {
	a := newAuthority(t, 6*time.Second)
	a.resolve(testName)
	s, _ := newTestACME(t, a, t.TempDir())
	serve(t, a.https, s, "http/1.1")
	run(t, s)
	until(t, "a certificate", func() bool { return !s.NotAfter().IsZero() })
	first, err := shown(a.https, testName)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "another one", func() bool {
		next, err := shown(a.https, testName)
		return err == nil && !next.Equal(first) && next.NotAfter.After(first.NotAfter)
	})
}

// What fails is named with its remedy, tried again by itself, and handshakes do not wait for it.
func TestACMENamesTheRemedy(t *testing.T) {
	a := newAuthority(t, 90*24*time.Hour)
	port443 := a.https.Addr().String()
	_ = a.https.Close()
	s, said := newTestACME(t, a, t.TempDir())
	run(t, s)
	until(t, "the name does not resolve", func() bool {
		return strings.Contains(said.String(), "does not resolve: give it an A or AAAA record")
	})
	a.resolve(testName)
	s, said = newTestACME(t, a, t.TempDir())
	run(t, s)
	until(t, "the port is closed", func() bool { return strings.Contains(said.String(), "listen on port 443 of "+testName) })
	until(t, "it says when it tries again", func() bool { return strings.Contains(said.String(), "retry_in=100ms") })
	if _, err := s.TLSConfig().GetCertificate(&tls.ClientHelloInfo{ServerName: testName}); err == nil {
		t.Error("a certificate out of nothing")
	}

	away, said := newTestACME(t, a, t.TempDir())
	away.manager.Client.DirectoryURL = "https://" + port443 + "/dir"
	run(t, away)
	until(t, "the authority is away", func() bool { return strings.Contains(said.String(), "cannot be reached") })
	away, _ = newTestACME(t, a, t.TempDir())
	away.manager.Client.DirectoryURL = "https://" + port443 + "/dir"
	if _, err := away.look(t.Context()); err == nil || !isAway(err) {
		t.Errorf("an authority that is away is asked again as seldom as one that refuses: %v", err)
	}
}

func TestACMEWantsAName(t *testing.T) {
	for _, name := range []string{"", "192.0.2.1", "2001:db8::1", "localhost"} {
		if _, err := NewACME(ACMEConfig{Dir: t.TempDir(), Name: name}); err == nil || !strings.Contains(err.Error(), "such as nl1.example.net") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A challenge that failed is told once, though the manager asks for it twice.
func TestAFailureIsToldOnce(t *testing.T) {
	log, said := testLog()
	w := &watch{cfg: ACMEConfig{Name: testName, Log: log}}
	failed := func(url string) []byte {
		return []byte(`{"status":"invalid","challenges":[{"type":"tls-alpn-01","url":"` + url + `","error":{"type":"x","detail":"connect"}},{"type":"http-01","url":"other"}]}`)
	}
	for i, url := range []string{"one", "one", "two"} {
		w.look(http.StatusOK, failed(url))
		if got, want := strings.Count(said.String(), "refuses"), []int{1, 1, 2}[i]; got != want {
			t.Errorf("after %d answers: told %d times, want %d", i+1, got, want)
		}
	}
}

// Every kind of problem has words that say what to do.
func TestRemedies(t *testing.T) {
	general := remedy(problem{}, testName)
	for _, kind := range []string{"dns", "connection", "unauthorized", "tls", "rateLimited", "caa", "rejectedIdentifier", "externalAccountRequired"} {
		if got := remedy(problem{Type: "urn:ietf:params:acme:error:" + kind}, testName); got == general || got == "" {
			t.Errorf("%s: %q", kind, got)
		}
	}
	if !strings.Contains(general, testName) {
		t.Errorf("%q", general)
	}
}
