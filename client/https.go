package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/accesskey"
)

// openTimeout bounds the way to a destination through an HTTPS proxy, which dials it within that.
const openTimeout = 2 * dialTimeout

// httpsTunnel carries streams through the HTTPS proxy of one access key, each on a connection of its own.
type httpsTunnel struct {
	address string
	header  string // Proxy-Authorization
	tls     *tls.Config
}

// newHTTPSTunnel makes a tunnel from an https:// URI. config says whom to trust; nil is the system's authorities.
func newHTTPSTunnel(key string, config *tls.Config) (*httpsTunnel, error) {
	endpoint, err := accesskey.ParseHTTPS(key)
	if err != nil {
		return nil, fmt.Errorf("client: access key: %w", err)
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config = config.Clone()
	config.ServerName, config.NextProtos = endpoint.Host, []string{"http/1.1"}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8) // a resumed handshake costs less
	return &httpsTunnel{
		address: net.JoinHostPort(endpoint.Host, strconv.Itoa(endpoint.Port)),
		header:  "Basic " + base64.StdEncoding.EncodeToString([]byte(endpoint.Username+":"+endpoint.Password)),
		tls:     config,
	}, nil
}

// Address implements Tunnel.
func (t *httpsTunnel) Address() string { return t.address }

// Confirms implements Tunnel: the proxy says 200.
func (t *httpsTunnel) Confirms() bool { return true }

// DialContext implements Dialer.
func (t *httpsTunnel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("client: tunnel: %w", net.UnknownNetworkError(network))
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' }) { // it goes into a line of text
		return nil, &UnservedError{Reason: "the destination's name is not plain ASCII"}
	}
	conn, err := t.open(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("client: tunnel by way of %s: %w", t.address, err)
	}
	return conn, nil
}

func (t *httpsTunnel) open(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: t.tls}
	conn, err := dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	ahead, err := t.connect(conn, address)
	if !stop() {
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &httpsStream{Conn: conn.(*tls.Conn), ahead: ahead}, nil //nolint:forcetypeassert // a tls.Dialer's
}

// connect asks for a destination (RFC 9110, section 9.3.6).
func (t *httpsTunnel) connect(conn net.Conn, address string) (*bufio.Reader, error) {
	if _, err := io.WriteString(conn, "CONNECT "+address+" HTTP/1.1\r\nHost: "+address+"\r\nProxy-Authorization: "+t.header+"\r\n\r\n"); err != nil {
		return nil, err
	}
	ahead := bufio.NewReaderSize(conn, 1<<10)
	resp, err := http.ReadResponse(ahead, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // a tunnel has none, and after a refusal the connection is closed
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return ahead, nil
	case http.StatusForbidden, http.StatusBadGateway, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return nil, &UnservedError{Reason: "the server answers " + resp.Status}
	default:
		return nil, fmt.Errorf("the server does not honour the key: %s", resp.Status)
	}
}

// ListenPacket fails: the protocol has no datagrams.
func (t *httpsTunnel) ListenPacket(context.Context) (net.PacketConn, error) {
	return nil, &UnservedError{Reason: "the https protocol carries no datagrams"}
}

// UnservedError says that a server which honours the key does not do what was asked: the destination can't be reached,
// or the protocol has no such thing.
type UnservedError struct{ Reason string }

// Error implements error.
func (e *UnservedError) Error() string { return "client: " + e.Reason }

// httpsStream is a tunnel's connection, whose first bytes may have come with the answer.
type httpsStream struct {
	*tls.Conn
	ahead *bufio.Reader // nil when it is empty
}

func (s *httpsStream) Read(p []byte) (int, error) {
	if s.ahead != nil && s.ahead.Buffered() > 0 {
		return s.ahead.Read(p)
	}
	s.ahead = nil
	return s.Conn.Read(p)
}
