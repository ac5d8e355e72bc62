package node

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// ping serves one on loopback until the test ends, and returns where.
func ping(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewPing(listener, config)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return p.URL("127.0.0.1")
}

func TestPing(t *testing.T) {
	plain := ping(t, nil)
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	secure := ping(t, &tls.Config{Certificates: certified.TLS.Certificates})
	if !strings.HasPrefix(plain, "http://127.0.0.1:") || !strings.HasPrefix(secure, "https://127.0.0.1:") {
		t.Fatalf("%s, %s", plain, secure)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	for _, url := range []string{plain, secure} {
		base := strings.TrimSuffix(url, "/ping")
		for _, c := range []struct {
			method, path string
			status       int
		}{
			{"GET", "/ping", 204}, {"HEAD", "/ping", 204}, {"GET", "/ping?t=1", 204},
			{"POST", "/ping", 404}, {"OPTIONS", "/ping", 404}, {"GET", "/", 404}, {"GET", "/ping/", 404}, {"GET", "//ping", 404},
			{"GET", "/metrics", 404}, {"GET", "/api/user", 404}, {"BREW", "/x", 404},
		} {
			req, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("%s %s%s: %d", c.method, base, c.path, resp.StatusCode)
			}
			if c.status != http.StatusNoContent {
				continue
			}
			want := map[string]string{"Access-Control-Allow-Origin": "*", "Timing-Allow-Origin": "*", "Cache-Control": "no-store"}
			for name, value := range want {
				if resp.Header.Get(name) != value {
					t.Errorf("%s: %q, want %q", name, resp.Header.Get(name), value)
				}
			}
			if resp.Header.Del("Date"); len(body) != 0 || len(resp.Header) != len(want) {
				t.Errorf("more than it should: %q %v", body, resp.Header)
			}
		}
	}
}

// A request head one past the bound is refused; net/http allows itself 4 KiB on top.
func TestPingBoundsHeads(t *testing.T) {
	address := strings.TrimSuffix(strings.TrimPrefix(ping(t, nil), "http://"), "/ping")
	for size, want := range map[int]string{pingHeaderBytes / 2: "204", pingHeaderBytes + 4096 + 1: "431"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "GET /ping HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", size))
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, want) {
			t.Errorf("%d bytes: %q, %v", size, line, err)
		}
		for err == nil && want != "204" { // the server closes a moment later
			time.Sleep(10 * time.Millisecond)
			_, err = conn.Write([]byte("x"))
		}
		_ = conn.Close()
	}
}

// However many connect and say nothing, so many stay as the bound says, and who comes then is answered.
func TestPingBoundsConnections(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewPing(listener, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() { stop(); <-ended }()
	var silent []net.Conn
	for range callersPerOrigin + 10 {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	for i, conn := range silent[:10] { // they made room
		_ = conn.SetReadDeadline(time.Now().Add(pingTimeout / 2))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("connection %d: %v, want one that was closed", i, err)
		}
	}
	resp, err := http.Get(p.URL("127.0.0.1"))
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if n := p.listener.(*boundedListener).callers.Len(); n != callersPerOrigin {
		t.Errorf("%d connections are open, want %d", n, callersPerOrigin)
	}
}

func TestPingURL(t *testing.T) {
	for _, c := range []struct {
		host, address string
		isTLS         bool
		want          string
	}{
		{"nl1.example.net", "0.0.0.0:443", true, "https://nl1.example.net/ping"},
		{"nl1.example.net", "[::]:8443", true, "https://nl1.example.net:8443/ping"},
		{"192.0.2.1", "0.0.0.0:80", false, "http://192.0.2.1/ping"},
		{"2001:db8::1", "[::]:80", false, "http://[2001:db8::1]/ping"},
		{"2001:db8::1", "[::]:8080", false, "http://[2001:db8::1]:8080/ping"},
	} {
		p := &Ping{listener: addressed(c.address), isTLS: c.isTLS}
		if got := p.URL(c.host); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// addressed is a listener with nothing but an address.
type addressed string

func (addressed) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (addressed) Close() error              { return nil }
func (a addressed) Addr() net.Addr          { return a }
func (addressed) Network() string           { return "tcp" }
func (a addressed) String() string          { return string(a) }
