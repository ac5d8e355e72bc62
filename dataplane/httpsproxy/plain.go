package httpsproxy

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"stile/dataplane"
)

// errand is one plain request on its way, in the request's context.
type errand struct {
	link   *dataplane.Link
	target dataplane.Target
	idle   time.Duration
	pulse  *dataplane.Pulse
	timer  atomic.Pointer[time.Timer]
}

type errandKey struct{}

// newPlain makes what carries requests for http:// URLs. Each has a connection of its own to the target, so that its
// bytes are its key's.
func (p *Plane) newPlain() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.RawQuery = "http", r.In.Host, r.In.URL.RawQuery
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{
			DialContext:       p.dialErrand,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 256 << 10,
			ExpectContinueTimeout: time.Second, // RFC 9110, section 10.1.1: until then the body waits for the target's word
		},
		FlushInterval: -1, // what arrives is passed on, also the slow kind
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			refuse(w, errandOf(r.Context()).link, err)
		},
	}
}

func errandOf(ctx context.Context) *errand { return ctx.Value(errandKey{}).(*errand) }

// forward serves a request for an http:// URL.
func (p *Plane) forward(w http.ResponseWriter, r *http.Request, l *dataplane.Link, to dataplane.Target) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // a target may answer while the body is on its way: net/http would throw the rest of it away
	if !l.Attach(func() { abort(control) }) {
		refuse(w, l, dataplane.ErrEnded)
		return
	}
	e := &errand{link: l, target: to, idle: p.relay.Idle, pulse: dataplane.NewPulse()}
	e.check()
	defer func() { e.timer.Load().Stop() }()
	p.plain.ServeHTTP(w, r.WithContext(context.WithValue(l.Context(), errandKey{}, e)))
}

// check ends the errand if nothing moved for too long, or looks again later.
func (e *errand) check() {
	left := time.Until(e.pulse.Last().Add(e.idle))
	if left <= 0 {
		e.link.Cut()
		return
	}
	e.timer.Store(time.AfterFunc(left, e.check))
}

// dialErrand reaches the target of the request that the context belongs to, on a goroutine of the transport.
func (p *Plane) dialErrand(ctx context.Context, _, _ string) (conn net.Conn, err error) {
	defer p.failures.Contain(func() { conn, err = nil, dataplane.ErrUnreachable })
	e := errandOf(ctx)
	target, err := e.link.Dial(p.egress, e.target)
	if err != nil {
		return nil, err
	}
	return &counted{Conn: target, errand: e}, nil
}

// counted is a target's connection whose bytes are counted and wait for the key's limits. It hides the ReadFrom of a TCP
// connection, which would pass the count by.
type counted struct {
	net.Conn
	errand *errand
}

// Read implements net.Conn.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.errand.pulse.Beat(time.Now())
		if endErr := c.errand.link.Session().Down(n); endErr != nil {
			return 0, endErr
		}
	}
	return n, err
}

// Write implements net.Conn.
func (c *counted) Write(p []byte) (int, error) {
	c.errand.pulse.Beat(time.Now())
	if err := c.errand.link.Session().Up(len(p)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
