package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Bounds of a request for the ping.
const (
	pingTimeout     = 10 * time.Second // of a handshake, a head, and an answer
	pingIdle        = 30 * time.Second
	pingHeaderBytes = 8 << 10
)

// Ping is the endpoint that clients time a node by. It listens; Run serves.
type Ping struct {
	listener net.Listener
	server   *http.Server
	isTLS    bool
}

// NewPing serves PingHandler on a listener, over TLS if there is a configuration for it. Nothing is logged: what net/http
// complains of names addresses of clients.
func NewPing(listener net.Listener, config *tls.Config) *Ping {
	return &Ping{
		listener: Bounded(listener), isTLS: config != nil,
		server: &http.Server{
			Handler: PingHandler(), TLSConfig: config, ReadTimeout: pingTimeout, WriteTimeout: pingTimeout, IdleTimeout: pingIdle,
			MaxHeaderBytes: pingHeaderBytes, ErrorLog: log.New(io.Discard, "", 0),
		},
	}
}

// PingHandler answers GET and HEAD of /ping, from any web page, and is an empty web server to everything else.
func PingHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ping" || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Timing-Allow-Origin", "*")
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})
}

// URL is what clients time, for a node that they know by this host. The port is the listener's.
func (p *Ping) URL(host string) string {
	scheme, usual := "http", "80"
	if p.isTLS {
		scheme, usual = "https", "443"
	}
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	if port != usual {
		return scheme + "://" + net.JoinHostPort(host, port) + "/ping"
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = "[" + host + "]"
	}
	return scheme + "://" + host + "/ping"
}

// Run serves until ctx ends.
func (p *Ping) Run(ctx context.Context) error {
	stopped := context.AfterFunc(ctx, func() { _ = p.server.Close() })
	defer stopped()
	var err error
	if p.isTLS {
		err = p.server.ServeTLS(p.listener, "", "")
	} else {
		err = p.server.Serve(p.listener)
	}
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("node: ping: %w", err)
}

// servePing runs the ping, if there is one; its failure is the agent's.
func (a *Agent) servePing(ctx context.Context, stop context.CancelCauseFunc) {
	if a.cfg.Ping == nil {
		return
	}
	if err := a.cfg.Ping.Run(ctx); err != nil {
		stop(err)
	}
}
