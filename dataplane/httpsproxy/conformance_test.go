package httpsproxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/httpsproxy"
	"stile/dataplane/planetest"
	"stile/internal/testca"
)

var door = accesskey.DoorOf([32]byte{7}, 1)

// TestConformance runs the contract with net/http's client: a connection for each tunnel in HTTP/1.1, one that all
// tunnels of a key share in HTTP/2, and one that all keys share.
func TestConformance(t *testing.T) {
	ca := testca.New(t)
	for _, c := range []struct {
		name string
		dial func(*client) dialer
	}{
		{"HTTP1", func(c *client) dialer { return c.dial1 }},
		{"HTTP2", func(c *client) dialer { return c.dial2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			planetest.Run(t, func(t *testing.T, ledger *dataplane.Ledger, egress *dataplane.Egress) planetest.Subject {
				listener, err := httpsproxy.Listen(t.Context(), "127.0.0.1", 0, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				plane, err := httpsproxy.New(httpsproxy.Config{
					Listener: listener, TLS: ca.Server(t, "127.0.0.1"), Door: door, Ledger: ledger, Egress: egress,
				})
				if err != nil {
					t.Fatal(err)
				}
				client := newClient(t, ca, listener.Port())
				return planetest.Subject{Plane: plane, Dial: c.dial(client)}
			})
		})
	}
}

type dialer = func(ctx context.Context, key dataplane.Key, target string) (net.Conn, error)

// client opens tunnels through a plane.
type client struct {
	address string
	tls     *tls.Config
	shared  *http.Transport // one HTTP/2 connection for all keys
}

func newClient(t testing.TB, ca *testca.CA, port int) *client {
	c := &client{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), tls: ca.Client()}
	c.tls.ServerName = "127.0.0.1"
	c.shared = &http.Transport{TLSClientConfig: ca.Client(), ForceAttemptHTTP2: true}
	t.Cleanup(c.shared.CloseIdleConnections)
	return c
}

// header is the credential of a key as a request carries it.
func header(key dataplane.Key) http.Header {
	secret := accesskey.Seed(key.Seed).HTTPS(door)
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(secret.Username, secret.Password)
	return http.Header{"Proxy-Authorization": r.Header["Authorization"]}
}

// dial1 opens a tunnel in HTTP/1.1.
func (c *client) dial1(ctx context.Context, key dataplane.Key, target string) (net.Conn, error) {
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, c.tls.Clone())
	stop := context.AfterFunc(ctx, func() { _ = plain.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: header(key)}
	if err := r.Write(conn); err != nil {
		_ = plain.Close()
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), r) //nolint:bodyclose // it has none; the target speaks later
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("CONNECT: %s", resp.Status)
	}
	if err != nil {
		_ = plain.Close()
		return nil, err
	}
	return conn, nil
}

// dial2 opens a tunnel on a stream of the shared HTTP/2 connection.
func (c *client) dial2(ctx context.Context, key dataplane.Key, target string) (net.Conn, error) {
	body, out := io.Pipe()
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	r, _ := http.NewRequestWithContext(life, http.MethodConnect, "https://"+c.address, body)
	r.Host, r.Header = target, header(key)
	resp, err := c.shared.RoundTrip(r) //nolint:bodyclose // the connection is the body
	if !stop() {
		err = errors.Join(err, ctx.Err())
	}
	if err == nil && (resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2) {
		err = fmt.Errorf("CONNECT: %s %s", resp.Proto, resp.Status)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &streamConn{in: resp.Body, out: out, cancel: cancel}, nil
}

// streamConn is a client's HTTP/2 stream as a connection.
type streamConn struct {
	net.Conn // nil: nobody asks for addresses
	in       io.ReadCloser
	out      *io.PipeWriter
	cancel   context.CancelFunc

	mu    sync.Mutex
	timer *time.Timer
	late  bool
}

func (s *streamConn) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	return n, s.reason(err)
}

func (s *streamConn) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	return n, s.reason(err)
}

func (s *streamConn) reason(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.late {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (s *streamConn) CloseWrite() error { return s.out.Close() }

func (s *streamConn) Close() error {
	s.cancel()
	return s.out.CloseWithError(net.ErrClosed)
}

// SetDeadline ends the stream for good when it passes.
func (s *streamConn) SetDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(time.Until(at), func() {
		s.mu.Lock()
		s.late = true
		s.mu.Unlock()
		s.cancel()
	})
	return nil
}

func (s *streamConn) SetReadDeadline(at time.Time) error { return s.SetDeadline(at) }
