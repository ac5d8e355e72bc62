package httpsproxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/internal/testca"
)

// One past a bound of those that have shown no key makes the oldest go, whether it has begun a handshake or read the site.
// Tunnels, and connections that carried one, are not among them.
func TestStrangersAreBounded(t *testing.T) {
	for name, bound := range map[string]*dataplane.Strangers{
		"of one origin": dataplane.NewStrangers(100, 3), "in all": dataplane.NewStrangers(3, 100),
	} {
		t.Run(name, func(t *testing.T) {
			p, ca, ledger := startPlane(t, func(p *Plane) { p.strangers = bound })
			address := p.listeners[0].Addr().String()
			tunnel, shared := openTunnel(t, ca, address), openStream(t, ca, address)
			strangers := func(want int) {
				t.Helper()
				for deadline := time.Now().Add(time.Minute); bound.Len() != want; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%d strangers, want %d", bound.Len(), want)
					}
				}
			}
			strangers(0)
			silent := dialTCP(t, address)
			strangers(1)
			visitor := visit(t, ca, address)
			strangers(2)
			third := dialTCP(t, address)
			strangers(3)
			fourth := visit(t, ca, address)
			if _, err := io.Copy(io.Discard, silent); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the oldest stays beside one past the bound")
			}
			strangers(3)
			for i, one := range []net.Conn{visitor, third, fourth} {
				_ = one.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if _, err := one.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("another went, number %d: %v", i, err)
				}
			}
			if n := ledger.Totals().Refused; n != 1 {
				t.Errorf("%d connections are counted as refused, want 1", n)
			}
			tunnel()
			shared()
			_ = third.Close()
			strangers(2)
		})
	}
}

func dialTCP(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// dialTLS connects as a client of HTTP/1.1.
func dialTLS(t *testing.T, ca *testca.CA, address string) *tls.Conn {
	t.Helper()
	config := ca.Client()
	config.ServerName = "127.0.0.1"
	conn := tls.Client(dialTCP(t, address), config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn
}

// visit reads the site and leaves the connection open.
func visit(t *testing.T, ca *testca.CA, address string) net.Conn {
	t.Helper()
	conn := dialTLS(t, ca, address)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // closing would read on
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Fatal(resp, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return conn
}

// shown are the credentials of the key of startPlane.
func shown() string {
	secret := accesskey.Seed{}.HTTPS(accesskey.Door{})
	return basicHeader(secret.Username, secret.Password)
}

// openTunnel opens one in HTTP/1.1 and returns what checks that it works.
func openTunnel(t *testing.T, ca *testca.CA, address string) (check func()) {
	t.Helper()
	conn := dialTLS(t, ca, address)
	_, _ = fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: a\r\nProxy-Authorization: %s\r\n\r\n", echoTarget(t), shown())
	answer := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect}); err != nil || resp.StatusCode != http.StatusOK { //nolint:bodyclose // a tunnel has none
		t.Fatal(resp, err)
	}
	return func() { t.Helper(); echoes(t, conn, answer) }
}

// openStream opens a tunnel in HTTP/2 and returns what checks that it works.
func openStream(t *testing.T, ca *testca.CA, address string) (check func()) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: ca.Client(), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	body, out := io.Pipe()
	t.Cleanup(func() { _ = out.Close() })
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://"+address, body)
	r.Host = echoTarget(t)
	r.Header.Set("Proxy-Authorization", shown())
	resp, err := transport.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Fatal(resp, err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return func() { t.Helper(); echoes(t, out, resp.Body) }
}

func echoes(t *testing.T, out io.Writer, in io.Reader) {
	t.Helper()
	heard := make([]byte, 5)
	if _, err := io.WriteString(out, "hello"); err != nil {
		t.Errorf("a tunnel beside strangers: %v", err)
	}
	if _, err := io.ReadFull(in, heard); err != nil || string(heard) != "hello" {
		t.Errorf("a tunnel beside strangers: %q, %v", heard, err)
	}
}

// echoTarget is a target that says what it hears.
func echoTarget(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// Whoever has a key may keep so many connections that carry nothing; one too many makes the oldest of these go, and neither what
// carries something nor another key's.
func TestIdleConnectionsOfAKeyAreBounded(t *testing.T) {
	p, ca, ledger := startPlane(t, func(p *Plane) { p.idle = dataplane.NewStrangers(100, 3) })
	address := p.listeners[0].Addr().String()
	tunnel, shared := openTunnel(t, ca, address), openStream(t, ca, address)
	var idle []net.Conn
	for range 5 {
		conn := dialTLS(t, ca, address)
		_, _ = fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: a\r\nProxy-Authorization: %s\r\n\r\n", accesskey.Seed{}.HTTPS(accesskey.Door{}).Probe, shown())
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // closing would read on
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatal(resp, err)
		}
		idle = append(idle, conn)
		for deadline := time.Now().Add(time.Minute); p.idle.Len() != min(len(idle), 3); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d idle connections after %d", p.idle.Len(), len(idle))
			}
		}
	}
	for i, conn := range idle {
		wait := 20 * time.Millisecond
		if i < 2 {
			wait = time.Minute
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) != (i >= 2) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	tunnel()
	shared()
	_ = idle[4].Close()
	for deadline := time.Now().Add(time.Minute); p.idle.Len() != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection that was closed counts on")
		}
	}
	if n := ledger.Totals().Refused; n != 0 {
		t.Errorf("%d connections are counted as refused", n)
	}
}
