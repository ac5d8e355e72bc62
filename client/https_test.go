package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/httpsproxy"
	"stile/internal/testca"
)

// httpsServer is a plane of ours with one key.
type httpsServer struct {
	ca     *testca.CA
	plane  *httpsproxy.Plane
	ledger *dataplane.Ledger
	key    dataplane.Key
	port   int
}

func newHTTPSServer(t *testing.T) *httpsServer {
	t.Helper()
	s := &httpsServer{ca: testca.New(t), ledger: dataplane.NewLedger(time.Now), key: dataplane.Key{ID: 1, Seed: [32]byte{1}}}
	listener, err := httpsproxy.Listen(t.Context(), "127.0.0.1", 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Port()
	egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	s.plane, err = httpsproxy.New(httpsproxy.Config{Listener: listener, TLS: s.ca.Server(t, "127.0.0.1"), Ledger: s.ledger, Egress: egress})
	if err != nil {
		t.Fatal(err)
	}
	s.apply(t, []dataplane.Key{s.key}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.plane.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		s.ledger.Close()
	})
	return s
}

func (s *httpsServer) apply(t *testing.T, put []dataplane.Key, remove []int64) {
	t.Helper()
	s.ledger.Apply(put, remove, false)
	if err := s.plane.Apply(put, remove, false); err != nil {
		t.Fatal(err)
	}
}

// uri is the key as the API writes it.
func (s *httpsServer) uri() string {
	secret := accesskey.Seed(s.key.Seed).HTTPS(accesskey.Door{})
	return fmt.Sprintf("https://%s:%s@127.0.0.1:%d", secret.Username, secret.Password, s.port)
}

func TestHTTPSTunnel(t *testing.T) {
	s := newHTTPSServer(t)
	tunnel, err := newHTTPSTunnel(s.uri(), s.ca.Client())
	if err != nil {
		t.Fatal(err)
	}
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
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, "hello ") // comes with the proxy's answer, maybe
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	for range 3 {
		conn, err := tunnel.DialContext(t.Context(), "tcp", target.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "world")
		if err := closeWrite(conn); err != nil {
			t.Fatal(err)
		}
		if all, err := io.ReadAll(conn); err != nil || string(all) != "hello world" {
			t.Errorf("%q, %v", all, err)
		}
		_ = conn.Close()
	}
	for _, bad := range []string{"127.0.0.2:80", "127.0.0.1:25", "a\r\nb:1", "пример:1"} {
		_, err := tunnel.DialContext(t.Context(), "tcp", bad)
		if _, unserved := errors.AsType[*UnservedError](err); !unserved {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := tunnel.ListenPacket(t.Context()); err == nil {
		t.Error("datagrams over https")
	}
	s.apply(t, nil, []int64{1})
	_, err = tunnel.DialContext(t.Context(), "tcp", target.Addr().String())
	if _, unserved := errors.AsType[*UnservedError](err); err == nil || unserved || !strings.Contains(err.Error(), "does not honour the key: 407") {
		t.Errorf("with a revoked key: %v", err)
	}
	strict, err := NewTunnel(s.uri()) // trusts the system's authorities
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strict.DialContext(t.Context(), "tcp", target.Addr().String()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server without a trusted certificate: %v", err)
	}
}
