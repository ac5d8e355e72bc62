package httpsproxy

import (
	"errors"
	"net/http"

	"stile/accesskey"
	"stile/dataplane"
)

// ServeHTTP decides what a request is: a user's, or anybody's.
func (p *Plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer p.contain()
	keyID, issued := int64(0), false
	if shown := r.Header["Proxy-Authorization"]; len(shown) == 1 {
		keyID, issued = p.ring.judge(shown[0])
	}
	goesOn := false
	if keyID != 0 {
		conn := r.Context().Value(wireKey{}).(*wire) //nolint:forcetypeassert // meet puts it there
		conn.begin()
		defer func() {
			if !goesOn {
				conn.end(p.idle, keyID)
			}
		}()
	}
	host, target, isTarget := targetOf(r)
	isProbe := p.ring.isProbe(host)
	switch {
	case keyID != 0 && isProbe:
		probed(w, r)
	case keyID != 0 && isTarget:
		goesOn = p.carry(w, r, keyID, target)
	case keyID == 0 && (issued || isProbe):
		challenge(w)
	default:
		p.visit(w, r)
	}
}

// contain tells of a panic what net/http would tell with a client's address, and has it end the request alone.
func (p *Plane) contain() {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		p.failures.Panicked(cause)
	}
	panic(http.ErrAbortHandler)
}

// challenge asks a browser for credentials: those it has not sent yet, or newer ones.
func challenge(w http.ResponseWriter) {
	w.Header().Set("Proxy-Authenticate", `Basic realm="`+accesskey.Realm+`", charset="UTF-8"`)
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(http.StatusProxyAuthRequired), http.StatusProxyAuthRequired)
}

// probed answers a user's probe: the credentials are good. A tunnel to it leads nowhere.
func probed(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		http.Error(w, "nothing is here but the answer to a GET", http.StatusBadGateway)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// visit serves whoever is not a user.
func (p *Plane) visit(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		notAllowed(w)
		return
	}
	r.Header.Del("Proxy-Authorization")
	r.Header.Del("Proxy-Connection")
	p.site.ServeHTTP(w, r)
}

// emptySite is a web server with nothing on it.
func emptySite(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		notAllowed(w)
		return
	}
	http.NotFound(w, r)
}

func notAllowed(w http.ResponseWriter) {
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
}

// carry opens a session of the key and takes the request to its target. It reports whether that goes on, with the connection.
func (p *Plane) carry(w http.ResponseWriter, r *http.Request, keyID int64, target dataplane.Target) (goesOn bool) {
	l := p.links.Open(r.Context())
	if l == nil {
		w.Header().Set("Connection", "close")
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return false
	}
	defer func() {
		if !goesOn {
			p.links.Leave(l)
		}
	}()
	if err := l.Admit(p.ledger, keyID); err != nil {
		refuse(w, l, err)
		return false
	}
	switch {
	case r.Method != http.MethodConnect:
		p.forward(w, r, l, target) //nolint:contextcheck // a link holds the request's context
	case r.ProtoMajor == 1:
		goesOn = p.tunnel(w, l, target)
	default:
		p.tunnelStream(w, r, l, target)
	}
	return goesOn
}

// refuse tells a user why there is no way to the target. A key that ended meanwhile is asked for again.
func refuse(w http.ResponseWriter, l *dataplane.Link, err error) {
	status := http.StatusBadGateway
	switch {
	case l.IsCut() || errors.Is(err, dataplane.ErrUnknownKey) || errors.Is(err, dataplane.ErrExpired):
		challenge(w)
		return
	case errors.Is(err, dataplane.ErrTooManySessions):
		status = http.StatusTooManyRequests
	case errors.Is(err, dataplane.ErrForbidden):
		status = http.StatusForbidden
	}
	http.Error(w, http.StatusText(status), status)
}
