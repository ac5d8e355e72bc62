package httpsproxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/internal/testca"
)

// startPlane runs a plane that reaches 127.0.0.1, with key 1, whose seed is zero.
func startPlane(t *testing.T, change func(*Plane)) (*Plane, *testca.CA, *dataplane.Ledger) {
	t.Helper()
	ca, ledger := testca.New(t), dataplane.NewLedger(time.Now)
	listener, err := Listen(t.Context(), "127.0.0.1", 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	p, err := New(Config{Listener: listener, TLS: ca.Server(t, "127.0.0.1"), Ledger: ledger, Egress: egress})
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	key := dataplane.Key{ID: 1}
	ledger.Apply([]dataplane.Key{key}, nil, true)
	_ = p.Apply([]dataplane.Key{key}, nil, true)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		ledger.Close()
	})
	return p, ca, ledger
}

// Streams and requests in which nothing moves end; those in which one direction moves do not.
func TestIdleEnds(t *testing.T) {
	for idle := 400 * time.Millisecond; !endsWhenIdle(t, idle); idle *= 2 {
		t.Logf("the machine paused for %v", idle)
	}
}

// endsWhenIdle tries it with a plane. It reports false when this machine paused for as long as a stream may be idle, so that the plane
// was right to end the busy one.
func endsWhenIdle(t *testing.T, idle time.Duration) bool {
	t.Helper()
	p, ca, ledger := startPlane(t, func(p *Plane) { p.relay = dataplane.Relay{Idle: idle, HalfIdle: idle} })
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	go func() {
		for {
			conn, err := target.Accept()
			if err != nil {
				return
			}
			go func() { // takes everything and never answers
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	transport := &http.Transport{TLSClientConfig: ca.Client(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	secret := accesskey.Seed{}.HTTPS(accesskey.Door{})
	ask := func(method string, body io.Reader) (*http.Response, error) {
		r, _ := http.NewRequestWithContext(t.Context(), method, "https://"+p.listeners[0].Addr().String(), body)
		r.Host = target.Addr().String()
		r.Header.Set("Proxy-Authorization", basicHeader(secret.Username, secret.Password))
		return transport.RoundTrip(r)
	}
	silent, out := io.Pipe()
	defer out.Close()
	resp, err := ask(http.MethodConnect, silent)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	movedAt := time.Now()
	for i := range int64(20) { // longer than the stream may be idle
		time.Sleep(idle / 10)
		began := time.Now()
		go func() { _, _ = out.Write([]byte("x")) }()
		arrived, ended := false, false
		for ; !arrived && !ended; time.Sleep(time.Millisecond) {
			usage := ledger.Usage(nil)[0]
			arrived, ended = usage.Up > i, usage.Sessions == 0
		}
		if ended && time.Since(movedAt) >= idle {
			return false
		}
		if ended {
			t.Fatal("a busy stream ended")
		}
		movedAt = began
	}
	if n, err := resp.Body.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes of a silent target", n)
	}
	_ = resp.Body.Close()
	if resp, err := ask(http.MethodGet, nil); err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		t.Logf("a request that nobody answers: %s, %v", resp.Status, err)
	}
	for deadline := time.Now().Add(time.Minute); ledger.Usage(nil)[0].Sessions != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("usage %+v", ledger.Usage(nil))
		}
	}
	return true
}
