package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// LetsEncrypt is the directory of Let's Encrypt, the default authority.
const LetsEncrypt = acme.LetsEncryptURL

const (
	// firstPause and lastPause bound how long is waited after a failure. Let's Encrypt allows five failed validations of
	// a name an hour.
	firstPause = 5 * time.Minute
	lastPause  = time.Hour
	// awayPause is waited when the authority cannot be reached, which costs none of that. The manager keeps a failure for a minute.
	awayPause = 70 * time.Second
	// longestLook bounds how late a certificate that was renewed is seen.
	longestLook = time.Minute
	// requestTimeout bounds one request to the authority.
	requestTimeout = 30 * time.Second
)

// ACMEConfig is what an ACME source is made of.
type ACMEConfig struct {
	// Dir keeps the account's key and the certificates. It is made if need be, and closed to other users.
	Dir string
	// Name is the public DNS name that the certificate is for. The authority connects to it: to port 443 (TLS-ALPN-01,
	// RFC 8737), or to port 80 if HTTPHandler is served there (HTTP-01, RFC 8555 section 8.3).
	Name string
	// Directory is the authority's directory URL; "" = LetsEncrypt.
	Directory string
	// Roots are trusted when the directory is asked; nil = the system's.
	Roots *x509.CertPool
	// Log is told of every new certificate and of every failure.
	Log *slog.Logger
}

// ACME is a Source that gets a certificate by ACME. By making one, the authority's terms of service are agreed to.
//
// Handshakes never wait for the authority: they get what there is. A certificate is renewed when a third of its life is
// left; if that fails, it is tried again each half hour or hour, and the old one is shown until it succeeds.
type ACME struct {
	holder
	cfg     ACMEConfig
	manager *autocert.Manager
	watch   *watch
	pause   time.Duration // after the first failure
}

var _ Source = (*ACME)(nil)

// NewACME checks the name and takes the certificate that Dir may hold already. Run asks the authority.
func NewACME(cfg ACMEConfig) (*ACME, error) {
	if _, err := netip.ParseAddr(cfg.Name); err == nil || !strings.Contains(strings.Trim(cfg.Name, "."), ".") {
		return nil, fmt.Errorf("certificate: %q is no public name: certificates by ACME are for names such as nl1.example.net", cfg.Name)
	}
	if cfg.Directory == "" {
		cfg.Directory = LetsEncrypt
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificate: directory: %w", err)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
		TLSHandshakeTimeout: requestTimeout, ResponseHeaderTimeout: requestTimeout, IdleConnTimeout: requestTimeout,
	}
	w := &watch{cfg: cfg, next: transport}
	return &ACME{cfg: cfg, watch: w, pause: firstPause, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cfg.Dir), HostPolicy: autocert.HostWhitelist(cfg.Name),
		Client: &acme.Client{DirectoryURL: cfg.Directory, UserAgent: "stile", HTTPClient: &http.Client{Timeout: 2 * requestTimeout, Transport: w}},
	}}, nil
}

// TLSConfig implements Source. It answers the authority's TLS-ALPN-01 challenges too, so it must be served on port 443
// of the name unless HTTPHandler is on port 80.
func (a *ACME) TLSConfig(protocols ...string) *tls.Config {
	if len(protocols) == 0 {
		protocols = []string{"h2", "http/1.1"}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: a.getOrAnswer, NextProtos: append(protocols[:len(protocols):len(protocols)], acme.ALPNProto)}
}

func (a *ACME) getOrAnswer(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto {
		return a.manager.GetCertificate(hello)
	}
	return a.get(hello)
}

// HTTPHandler answers the authority's HTTP-01 challenges, on port 80 of the name, and hands everything else to next. It
// is called before Run.
func (a *ACME) HTTPHandler(next http.Handler) http.Handler {
	a.watch.hasHTTP = true
	answer := a.manager.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host // which some authorities send with the port, and the manager knows without
		}
		answer.ServeHTTP(w, r)
	})
}

// Run implements Source.
func (a *ACME) Run(ctx context.Context) error {
	for pause := a.pause; ; {
		wait, err := a.look(ctx)
		switch {
		case err == nil:
			pause = a.pause
		case isAway(err):
			wait = min(pause, awayPause)
		default:
			wait, pause = pause, min(2*pause, lastPause)
		}
		if err != nil {
			// What the authority complained of, and what to do, watch has logged.
			a.cfg.Log.Error("there is no certificate for the name yet; it is tried again, and at once after a new start", "name", a.cfg.Name, "retry_in", wait, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// isAway reports whether the authority was not reached.
func isAway(err error) bool {
	_, ok := errors.AsType[*url.Error](err)
	return ok
}

// look takes the certificate that the manager has, who asks for one if there is none, and returns when to look again.
func (a *ACME) look(ctx context.Context) (time.Duration, error) {
	// What the manager wants to see of a client that takes ECDSA.
	hello := &tls.ClientHelloInfo{ServerName: a.cfg.Name, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
	type result struct {
		certificate *tls.Certificate
		err         error
	}
	asked := make(chan result, 1)
	go func() { // the manager takes no context, and may wait for minutes
		c, err := a.manager.GetCertificate(hello)
		asked <- result{c, err}
	}()
	var got result
	select {
	case got = <-asked:
	case <-ctx.Done():
		return longestLook, nil
	}
	if got.err != nil {
		return 0, got.err
	}
	leaf := got.certificate.Leaf
	if old := a.present.Load(); old == nil || !old.Leaf.Equal(leaf) {
		a.present.Store(got.certificate)
		a.cfg.Log.Info("a new certificate is in use", "name", a.cfg.Name, "valid_until", leaf.NotAfter)
	}
	return min(longestLook, max(leaf.NotAfter.Sub(leaf.NotBefore)/20, 100*time.Millisecond)), nil
}
