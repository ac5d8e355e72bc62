package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"stile/internal/certificate"
	"stile/node"
	"stile/vpn"
)

// endpointFlags say how a node answers pings, and where its certificate comes from.
type endpointFlags struct {
	PingListen     string `placeholder:"ADDRESS" help:"Address where the node answers /ping, such as :443; over HTTPS when it has a certificate."`
	TLSCert        string `name:"tls-cert" placeholder:"FILE" help:"Certificate of the node's public name, with its chain, as PEM; read again when it changes."`
	TLSKey         string `name:"tls-key" placeholder:"FILE" help:"Private key of --tls-cert."`
	ACME           bool   `name:"acme" help:"Get a certificate for the node's public name by ACME, and agree to the authority's terms; needs port 443 of the name, or 80 with --acme-listen."`
	ACMEDirectory  string `name:"acme-directory" default:"${letsencrypt}" placeholder:"URL" help:"ACME authority to ask."`
	ACMERoot       string `name:"acme-root" placeholder:"FILE" help:"Root certificate of a private --acme-directory, as PEM."`
	ACMEHTTPListen string `name:"acme-listen" placeholder:"ADDRESS" help:"Answer the authority over HTTP there, such as :80, where port 443 leads elsewhere."`
}

// endpoint is what a node shows to the web: its ping, and the certificate that data planes may use too.
type endpoint struct {
	source     certificate.Source // nil: none
	ping       *node.Ping         // nil: none
	challenges *http.Server       // nil: the authority uses the ping's port
	listener   net.Listener       // of challenges
}

// check names flags that do not go together.
func (f *endpointFlags) check() error {
	switch {
	case (f.TLSCert == "") != (f.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case f.ACME && f.TLSCert != "":
		return errors.New("--acme and --tls-cert: choose one")
	case !f.ACME && (f.ACMERoot != "" || f.ACMEHTTPListen != ""):
		return errors.New("--acme-root and --acme-listen are for --acme")
	}
	return nil
}

// isCertified reports whether there is to be a certificate.
func (f *endpointFlags) isCertified() bool { return f.TLSCert != "" || f.ACME }

// checkHTTPSPort checks the port of an HTTPS proxy, 0 for none, which needs the endpoint's certificate.
func checkHTTPSPort(port int, f *endpointFlags) error {
	if port != 0 && !f.isCertified() {
		return errors.New("--https-port needs --tls-cert and --tls-key, or --acme")
	}
	return nil
}

// open listens and reads what certificates there are, for a node that is known by a host and keeps its state in dir.
func (f *endpointFlags) open(ctx context.Context, host, dir string, log *slog.Logger) (*endpoint, error) {
	e := &endpoint{}
	var err error
	if e.source, err = f.source(host, dir, log); err != nil {
		return nil, err
	}
	if acme, isACME := e.source.(*certificate.ACME); isACME && f.ACMEHTTPListen != "" {
		if e.listener, err = listen(ctx, f.ACMEHTTPListen); err != nil {
			return nil, fmt.Errorf("%w (choose another address with --acme-listen)", err)
		}
		e.challenges = &http.Server{
			Handler: acme.HTTPHandler(http.NotFoundHandler()), ReadTimeout: headerTimeout, WriteTimeout: headerTimeout,
			IdleTimeout: headerTimeout, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		}
	}
	if f.PingListen == "" {
		return e, nil
	}
	listener, err := listen(ctx, f.PingListen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w (choose another address with --ping-listen)", err), e.close())
	}
	if e.source == nil {
		e.ping = node.NewPing(listener, nil)
		return e, nil
	}
	e.ping = node.NewPing(listener, e.source.TLSConfig("http/1.1"))
	return e, nil
}

// source is where the certificate comes from; nil without one.
func (f *endpointFlags) source(host, dir string, log *slog.Logger) (certificate.Source, error) {
	switch {
	case f.TLSCert != "":
		return certificate.NewFiles(f.TLSCert, f.TLSKey, log)
	case !f.ACME:
		return nil, nil
	}
	cfg := certificate.ACMEConfig{Dir: filepath.Join(dir, "acme"), Name: host, Directory: f.ACMEDirectory, Log: log}
	if f.ACMERoot != "" {
		raw, err := os.ReadFile(f.ACMERoot)
		if err != nil {
			return nil, fmt.Errorf("--acme-root: %w", err)
		}
		if cfg.Roots = x509.NewCertPool(); !cfg.Roots.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("--acme-root: %s holds no certificate as PEM", f.ACMERoot)
		}
	}
	source, err := certificate.NewACME(cfg)
	if err != nil {
		return nil, fmt.Errorf("--acme: %w (the embedded node's name is --node-host, another node's is `stile server set --host`)", err)
	}
	return source, nil
}

// secure gives the HTTPS proxy the endpoint's certificate, and its ping to show to strangers. Without a certificate there is no
// HTTPS proxy; with one there can be, whenever a configuration wants it.
func (e *endpoint) secure(c *planesConfig, port int) {
	if e.source != nil {
		c.https = &httpsConfig{port: port, tls: e.source.TLSConfig("h2", "http/1.1"), site: node.PingHandler()}
	}
}

// pingURL is what clients time: the endpoint's own, the HTTPS proxy's at its port (0 = none), or else what it is given.
func (e *endpoint) pingURL(host string, httpsPort int, otherwise string) string {
	switch {
	case e.ping != nil:
		return e.ping.URL(host)
	case httpsPort != 0:
		return vpn.PingURL(host, httpsPort)
	default:
		return otherwise
	}
}

// expiresAt is when the certificate expires; zero without one.
func (e *endpoint) expiresAt() time.Time {
	if e.source == nil {
		return time.Time{}
	}
	return e.source.NotAfter()
}

// run keeps the certificate fresh until ctx ends. The ping is the agent's to run.
func (e *endpoint) run(ctx context.Context) error {
	if e.source == nil {
		return nil
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	if e.challenges != nil {
		defer context.AfterFunc(ctx, func() { _ = e.challenges.Close() })()
		parts.Go(func() {
			if err := e.challenges.Serve(node.Bounded(e.listener)); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
				stop()
			}
		})
	}
	if err := e.source.Run(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// close ends an endpoint that never ran, but for a ping that an agent has.
func (e *endpoint) close() error {
	if e.listener == nil {
		return nil
	}
	return e.listener.Close()
}
