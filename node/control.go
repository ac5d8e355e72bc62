package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/wire"
)

const (
	dialTimeout = 10 * time.Second
	// handshakeTimeout is longer, as a control plane to which all nodes come back lets them wait in line before it.
	handshakeTimeout = 30 * time.Second
	// requestTimeout bounds what is no stream and no poll.
	requestTimeout = 20 * time.Second
	// maxAnswer bounds answers that are no frames, in bytes.
	maxAnswer = 64 << 10
)

// RefusedError is an answer of the control plane that is no success.
type RefusedError struct {
	Status int
	// Code is one of the wire.Node… codes, or "" when something else answered.
	Code string
	// RetryAfter is how long it asks to wait, 0 when it does not.
	RetryAfter time.Duration
}

// Error says what was answered.
func (e *RefusedError) Error() string {
	switch e.Code {
	case wire.NodeRefused:
		return "the control plane does not accept this node: it was revoked, its server was removed, or another machine joined in its place"
	case "":
		return fmt.Sprintf("the control plane's address answers with status %d, which is not Stile", e.Status)
	}
	return fmt.Sprintf("the control plane answers %s (%d)", e.Code, e.Status)
}

// control is one connection's worth of requests to the control plane.
type control struct {
	url       string
	transport *http.Transport
}

// errNotControl says that the certificate is not the control plane's.
var errNotControl = errors.New("the certificate is not the control plane's")

// newControl makes a client that trusts what the authority certified, or anybody when that is nil, and shows a
// certificate, or none. The dates of the other side's certificate are not looked at: a node whose clock is wrong must
// still learn which keys are revoked, and the control plane's key is as young as its process.
func newControl(url string, authority *x509.Certificate, own *tls.Certificate) *control {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection checks more: the pinned CA and nothing else
	}
	if authority != nil {
		config.VerifyConnection = func(s tls.ConnectionState) error { return checkControl(s.PeerCertificates, authority) }
	}
	if own != nil {
		config.Certificates = []tls.Certificate{*own}
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &control{url: url, transport: &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: config, TLSHandshakeTimeout: handshakeTimeout, Protocols: &protocols,
		DisableCompression: true, ResponseHeaderTimeout: requestTimeout + wire.PollSeconds*time.Second,
		// A connection that dies without a word is noticed, also while no frame is due.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}}
}

// checkControl checks that a chain is the control plane's.
func checkControl(chain []*x509.Certificate, authority *x509.Certificate) error {
	if len(chain) == 0 {
		return errNotControl
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, DNSName: wire.ControlName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		CurrentTime: chain[0].NotAfter,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errNotControl, err)
	}
	return nil
}

func (c *control) close() { c.transport.CloseIdleConnections() }

// do makes a request. Whatever is no success becomes a *RefusedError; otherwise the caller closes the body.
func (c *control) do(ctx context.Context, method, path, stream string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "stile")
	if stream != "" {
		r.Header.Set(wire.StreamHeader, stream)
	}
	answer, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	refused := &RefusedError{Status: answer.StatusCode}
	var problem wire.NodeProblem
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&problem); err == nil && isCode(problem.Code) {
		refused.Code = problem.Code
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		refused.RetryAfter = min(time.Duration(seconds)*time.Second, lastPause)
	}
	return nil, refused
}

// isCode reports whether a text is like the codes of a control plane, of a later release too. Anybody may have answered, and it is
// printed.
func isCode(text string) bool {
	const words = "abcdefghijklmnopqrstuvwxyz0123456789_"
	return len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(words, r) })
}

// ask makes a request with JSON both ways and returns the certificates of who answered. body nil is a GET.
func (c *control) ask(ctx context.Context, path string, body, answer any) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	method, sent := http.MethodGet, io.Reader(nil)
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		method, sent = http.MethodPost, bytes.NewReader(raw)
	}
	response, err := c.do(ctx, method, path, "", sent)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(answer); err != nil {
		return nil, fmt.Errorf("the control plane's answer cannot be read: %w", err)
	}
	return response.TLS.PeerCertificates, nil
}
