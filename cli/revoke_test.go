package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"stile/client"
)

// download is an endless one through a key.
type download struct {
	bytes atomic.Int64
	ended chan struct{}
}

// startDownload loads url through the key until it ends.
func startDownload(t testing.TB, key, url string) *download {
	t.Helper()
	tunnel, err := client.NewTunnel(key)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: tunnel.DialContext}
	resp, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close(); transport.CloseIdleConnections() })
	d := &download{ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		buf := make([]byte, 32<<10)
		for {
			n, err := resp.Body.Read(buf)
			d.bytes.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	return d
}

// flows reports whether bytes go on arriving.
func (d *download) flows() bool {
	before := d.bytes.Load()
	for range 6000 {
		if d.bytes.Load() > before {
			return true
		}
		select {
		case <-d.ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

// endless serves bytes slowly enough for a quota not to be used up by accident.
func endless(t testing.TB) *httptest.Server {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 4<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(2 * time.Millisecond)
		}
	}))
	t.Cleanup(func() { site.CloseClientConnections(); site.Close() })
	return site
}

// Every way to lose a key ends its running downloads, and no other key's.
func TestRevocationEndsDownloads(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		m := newMachine(t, dsn)
		m.stile("plan", "add", "small", "--devices", "5", "--traffic", "1GB")
		site := endless(t)
		m.addUser("other@example.com")
		bystander := m.signIn("other@example.com", "phone")
		stays := startDownload(t, bystander.key().Key, site.URL)
		for _, story := range []struct {
			name  string
			ends  func(email string, d *device)
			again int // what /api/key answers afterwards to the device
		}{
			{"sign-out", func(_ string, d *device) { d.post("/api/logout", nil, nil) }, http.StatusUnauthorized},
			{"device removed", func(email string, d *device) { m.stile("user", "sign-out", email, d.id) }, http.StatusUnauthorized},
			{"expiry", func(email string, _ *device) { m.stile("user", "expire", email, "now") }, http.StatusPaymentRequired},
			{"blocked", func(email string, _ *device) { m.stile("user", "block", email) }, http.StatusForbidden},
			{"quota", func(email string, _ *device) {
				m.stile("plan", "set", "small", "--traffic", "1KB")
				m.stile("user", "subscribe", email, "small")
			}, http.StatusPaymentRequired},
			{"account removed", func(email string, _ *device) { m.stile("user", "remove", email) }, http.StatusUnauthorized},
		} {
			t.Run(story.name, func(t *testing.T) {
				email := "user@example.com"
				m.addUser(email)
				d := m.signIn(email, "laptop")
				key := d.key()
				ends := startDownload(t, key.Key, site.URL)
				if !ends.flows() {
					t.Fatal("nothing flows before the revocation")
				}
				story.ends(email, d)
				select {
				case <-ends.ended:
				case <-time.After(time.Minute):
					t.Fatal("the download goes on")
				}
				if !stays.flows() {
					t.Fatal("another user's download was ended too")
				}
				if status := d.post("/api/key", map[string]any{"server_id": key.ServerID}, nil); status != story.again {
					t.Errorf("/api/key answers %d, want %d", status, story.again)
				}
				if refused := tryKey(t, key.Key, site.URL); !refused {
					t.Error("a new connection with the key is let through")
				}
				if story.name != "account removed" {
					m.stile("user", "remove", email)
				}
			})
		}
	})
}

// tryKey reports whether a new connection with a key gets nothing.
func tryKey(t *testing.T, key, url string) bool {
	t.Helper()
	tunnel, err := client.NewTunnel(key)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: tunnel.DialContext}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: time.Second}).Get(url)
	if err != nil {
		return true
	}
	defer func() { _ = resp.Body.Close() }()
	n, _ := io.CopyN(io.Discard, resp.Body, 1)
	return n == 0
}

// A block is lifted, and the very same key works again: nobody has to paste a new one.
func TestUnblockedKeyWorksAgain(t *testing.T) {
	m := newMachine(t, "")
	site := endless(t)
	m.addUser("user@example.com")
	d := m.signIn("user@example.com", "laptop")
	key := d.key().Key
	m.stile("user", "block", "user@example.com")
	m.until("the key is suspended", func() bool { return tryKey(t, key, site.URL) })
	m.stile("user", "unblock", "user@example.com")
	m.until("the key works again", func() bool { return !tryKey(t, key, site.URL) })
	if again := d.key().Key; again != key {
		t.Error("the device got another key")
	}
}
