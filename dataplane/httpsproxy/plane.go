// Package httpsproxy is the data plane that browsers use: HTTP/1.1 and HTTP/2 over TLS, carrying CONNECT (RFC 9110,
// section 9.3.6; RFC 9113, section 8.5) and requests for http:// targets, with HTTP Basic credentials for the proxy.
//
// To whoever has no key, a server here is an ordinary web site: Config.Site answers. Browsers send credentials only after
// a 407, so that goes to two kinds of request alone: one for the secret probe name of a live key, and one whose
// credentials were issued once but work no more. The package holds no state beyond memory and logs no address.
package httpsproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"

	"stile/accesskey"
	"stile/dataplane"
)

// Config is what a plane needs; all fields but Listener, Site and Log are required.
type Config struct {
	// Listener is the plane's from now on; nil = it listens nowhere before Serve. It is made first, because a door belongs to
	// a server that knows its port.
	Listener *Listener
	// TLS holds the certificate. The plane adds its own protocols to those in it.
	TLS *tls.Config
	// Door recognises the credentials that were issued for this server.
	Door accesskey.Door
	// Site answers everybody who is not a user; it never sees a CONNECT or a proxy's header. nil is an empty site.
	Site http.Handler
	// Ledger admits sessions and Egress reaches targets.
	Ledger *dataplane.Ledger
	Egress *dataplane.Egress
	// Log gets the program's own faults, never a client's; nil is slog's default.
	Log *slog.Logger
}

const (
	// headerTimeout bounds the TLS handshake, and each request's head.
	headerTimeout = 20 * time.Second
	// idleTimeout is how long a connection may stay open between two requests.
	idleTimeout = 5 * time.Minute
	maxHeader   = 32 << 10
)

// Bounds of connections that have shown no key: handshakes, visitors of the site, probes. One that is idle takes up to
// 50 KiB.
const (
	maxStrangers          = 4096
	maxStrangersPerOrigin = 256
)

// Bounds of connections that have shown a key and carry nothing now. Browsers keep some 30 to a proxy.
const (
	maxIdle       = 1 << 16
	maxIdlePerKey = 128
)

// HTTP/2's bounds. What a stream may send ahead of its target is kept here meanwhile, so a connection's window is larger
// than a stream's: targets that take nothing must not stop the other streams of the browser.
const (
	maxStreams       = 256
	streamWindow     = 256 << 10
	connectionWindow = 16 << 20
)

// Plane serves the proxy. It implements dataplane.Plane.
type Plane struct {
	ledger   *dataplane.Ledger
	egress   *dataplane.Egress
	failures *dataplane.Failures
	site     http.Handler
	ring     *keyring
	relay    dataplane.Relay
	buffers  *dataplane.Buffers
	plain    *httputil.ReverseProxy

	server  *http.Server
	serving sync.WaitGroup
	shut    sync.Once

	links     *dataplane.Links
	origins   dataplane.Origins
	strangers *dataplane.Strangers
	idle      *dataplane.Strangers // by key

	mu        sync.Mutex
	listeners []*Listener
	isRunning bool
	isClosed  bool
}

// New returns a plane that Run serves.
func New(c Config) (*Plane, error) {
	if c.Ledger == nil || c.Egress == nil || c.TLS == nil {
		return nil, errors.New("httpsproxy: a ledger, an egress and a TLS configuration are required")
	}
	if c.Site == nil {
		c.Site = http.HandlerFunc(emptySite)
	}
	p := &Plane{
		ledger: c.Ledger, egress: c.Egress, failures: dataplane.NewFailures(c.Log), site: c.Site, ring: newKeyring(c.Door), relay: dataplane.DefaultRelay(),
		buffers: dataplane.NewBuffers(), links: dataplane.NewLinks(),
		origins: dataplane.NewOrigins(), strangers: dataplane.NewStrangers(maxStrangers, maxStrangersPerOrigin),
		idle: dataplane.NewStrangers(maxIdle, maxIdlePerKey),
	}
	if c.Listener != nil {
		p.listeners = []*Listener{c.Listener}
	}
	p.plain = p.newPlain()
	config := c.TLS.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	for _, own := range []string{"http/1.1", "h2"} {
		if !slices.Contains(config.NextProtos, own) {
			config.NextProtos = append([]string{own}, config.NextProtos...)
		}
	}
	p.server = &http.Server{
		Handler: p, TLSConfig: config, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ConnContext: p.meet,
		ErrorLog:    log.New(io.Discard, "", 0), // its messages name addresses
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connectionWindow,
		},
	}
	return p, p.speakSecond()
}

// wireKey finds a request's connection in its context.
type wireKey struct{}

// meet counts a fresh connection among the strangers, until it shows a key or ends.
func (p *Plane) meet(ctx context.Context, conn net.Conn) context.Context {
	w := wireOf(conn.(*tls.Conn)) //nolint:forcetypeassert // ServeTLS makes nothing else
	w.stranger = p.strangers.Enter(p.origins.OfPeer(w.TCPConn), func() {
		p.ledger.Refuse()
		_ = w.TCPConn.Close()
	})
	return context.WithValue(ctx, wireKey{}, w)
}

// Protocol is "https".
func (p *Plane) Protocol() string { return "https" }

// Serve serves one more listener, which is the plane's from now on. Sessions go on, and so do the others.
func (p *Plane) Serve(l *Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isClosed {
		_ = l.Close()
		return
	}
	p.listeners = append(p.listeners, l)
	if p.isRunning {
		p.serve(l)
	}
}

// Leave closes the listener of a port, if there is one. Connections that came by it go on.
func (p *Plane) Leave(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners = slices.DeleteFunc(p.listeners, func(l *Listener) bool {
		isIt := l.Port() == port
		if isIt {
			_ = l.Close()
		}
		return isIt
	})
}

// Listens reports whether the plane listens on a port.
func (p *Plane) Listens(port int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.listeners, func(l *Listener) bool { return l.Port() == port })
}

// serve starts a listener; the caller holds the lock.
func (p *Plane) serve(l *Listener) {
	p.serving.Go(func() { _ = p.server.ServeTLS(l, "", "") }) // it ends when the listener closes
}

// Apply learns and forgets keys, as dataplane.Plane says.
func (p *Plane) Apply(put []dataplane.Key, remove []int64, full bool) error {
	p.ring.apply(put, remove, full)
	return nil
}

// Run serves, as dataplane.Plane says. It may be called once.
func (p *Plane) Run(ctx context.Context) error {
	p.links.Serve(ctx, func() {
		p.server.BaseContext = func(net.Listener) context.Context { return ctx }
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, l := range p.listeners {
			p.serve(l)
		}
		p.isRunning = true
	})
	_ = p.Close(ctx)
	return nil
}

// Close ends the plane, as dataplane.Plane says.
func (p *Plane) Close(ctx context.Context) error {
	err := p.links.Close(ctx, p.stopAccepting)
	p.shut.Do(func() {
		_ = p.server.Shutdown(ctx) // lets what was written arrive
		_ = p.server.Close()
		p.serving.Wait()
	})
	return err
}

// stopAccepting closes all listeners, for good.
func (p *Plane) stopAccepting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isClosed = true
	for _, l := range p.listeners {
		_ = l.Close()
	}
}

var _ dataplane.Plane = (*Plane)(nil)
