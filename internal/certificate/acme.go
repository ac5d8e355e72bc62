package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
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
	return &ACME{cfg: cfg, pause: firstPause, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cfg.Dir), HostPolicy: autocert.HostWhitelist(cfg.Name),
		Client: &acme.Client{DirectoryURL: cfg.Directory, UserAgent: "stile",
			HTTPClient: &http.Client{Timeout: 2 * requestTimeout, Transport: &watch{cfg: cfg, next: transport}}},
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
func (a *ACME) HTTPHandler(next http.Handler) http.Handler { return a.manager.HTTPHandler(next) }

// Run implements Source.
func (a *ACME) Run(ctx context.Context) error {
	for pause := a.pause; ; {
		wait := a.look(ctx)
		if wait == 0 {
			wait, pause = pause, min(2*pause, lastPause)
		} else {
			pause = a.pause
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// look takes the certificate that the manager has, who asks for one if there is none, and returns when to look again; 0
// after a failure.
func (a *ACME) look(ctx context.Context) time.Duration {
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
		return longestLook
	}
	if got.err != nil {
		// What the authority complained of, and what to do, watch has logged.
		a.cfg.Log.Error("there is no certificate for the name yet; it is tried again", "name", a.cfg.Name, "error", got.err)
		return 0
	}
	leaf := got.certificate.Leaf
	if old := a.present.Load(); old == nil || !old.Leaf.Equal(leaf) {
		a.present.Store(got.certificate)
		a.cfg.Log.Info("a new certificate is in use", "name", a.cfg.Name, "valid_until", leaf.NotAfter)
	}
	return min(longestLook, max(leaf.NotAfter.Sub(leaf.NotBefore)/20, 100*time.Millisecond))
}
