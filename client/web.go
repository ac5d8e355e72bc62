package client

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
)

// handler answers what comes as HTTP to the proxy at address. Tunnels end with work, and not with their request's
// context, which ends already when a program has sent all it has to send.
func (p *Proxy) handler(work context.Context, address net.Addr) http.Handler {
	plain := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host, r.Out.URL.RawQuery = r.In.Host, r.In.URL.RawQuery // the library's own would lack what it can't parse
		},
		Transport:     p.plain,
		FlushInterval: -1, // what arrives is passed on, also the slow kind
		ErrorLog:      silentLog(),
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, err error) { refuse(w, err) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			p.connect(work, w, r)
		case r.URL.Scheme == "http" && r.URL.Host != "":
			// A site may answer while the body is still on its way: net/http would throw the rest of it away.
			_ = http.NewResponseController(w).EnableFullDuplex()
			plain.ServeHTTP(w, r)
		case r.URL.IsAbs():
			http.Error(w, "stile: the proxy carries http:// requests itself and everything else by CONNECT", http.StatusBadRequest)
		default:
			http.Error(w, "stile: this is a proxy, not a site: name it in the settings of a browser, or curl --proxy "+address.String(), http.StatusBadRequest)
		}
	})
}

// connect serves the CONNECT method (RFC 9110 section 9.3.6).
func (p *Proxy) connect(work context.Context, w http.ResponseWriter, r *http.Request) {
	if !isDestination(r.Host) {
		http.Error(w, "stile: CONNECT needs host:port", http.StatusBadRequest)
		return
	}
	far, err := p.dialer.DialContext(work, "tcp", r.Host)
	if err != nil {
		refuse(w, err)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = far.Close()
		http.Error(w, "stile: CONNECT needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	near := conn.(*local) //nolint:forcetypeassert // our queue gives net/http nothing else
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = far.Close()
		_ = near.Close()
		return
	}
	relay(near, buffered.Reader, far)
}

// refuse tells a program why there is no way to its destination.
func refuse(w http.ResponseWriter, err error) {
	reason := "stile: no way through: " + err.Error()
	if refusal, ok := errors.AsType[*Error](err); ok {
		reason = "stile: the access key was refused: " + refusal.Message
	}
	http.Error(w, reason, http.StatusBadGateway)
}

// isDestination reports whether s is "host:port" with a host that fits a Shadowsocks address and a port other than 0.
func isDestination(s string) bool {
	host, digits, err := net.SplitHostPort(s)
	if err != nil || host == "" || len(host) > 255 {
		return false
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && port > 0
}

func silentLog() *log.Logger { return log.New(io.Discard, "", 0) }
