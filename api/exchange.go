package api

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"stile/internal/locale"
	"stile/vpn"
)

// exchange is one request with its answer. It is used again for later ones: nothing may keep it.
type exchange struct {
	api       *API
	w         http.ResponseWriter
	r         *http.Request
	startedAt time.Time
	id        string
	isAPI     bool
	resource  *resource // nil where there is no route
	actor     *vpn.Actor
	lang      locale.Lang
	body      []byte // room for an answer
	// isHeld keeps an answer back, in held, instead of sending it.
	isHeld bool
	held   []byte

	// What became of it, for the event.
	status int
	code   vpn.Code
	err    error
}

// handler serves one route. It writes the answer, or returns the error to answer with.
type handler func(*exchange) error

// readable is input that fills itself from a request.
type readable[T any] interface {
	*T
	read(*input)
}

// sendable is an answer that writes itself. All others are written as JSON.
type sendable interface {
	send(*exchange)
}

// handle is the transport of a use case: it reads and checks the input, calls, and writes what comes back.
func handle[Req any, P readable[Req], Resp any](call func(context.Context, *vpn.Actor, Req) (Resp, error)) handler {
	return func(x *exchange) error {
		var req Req
		if err := x.read(P(&req)); err != nil {
			return err
		}
		resp, err := call(x.r.Context(), x.actor, req)
		if err != nil {
			return err
		}
		if s, ok := any(resp).(sendable); ok {
			s.send(x)
			return nil
		}
		return x.sendJSON(http.StatusOK, resp)
	}
}

// The headers of every answer under /api. The slices are shared between answers.
var (
	jsonType      = []string{"application/json"}
	cacheControl  = []string{"no-cache, private"}
	noStore       = []string{"no-cache, private, no-store"}
	anyOrigin     = []string{"*"}
	exposeHeaders = []string{"ETag, Retry-After, X-Error-Code, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining"}
)

func (x *exchange) setHeaders() {
	h := x.w.Header()
	h["X-Request-Id"] = []string{x.id}
	path := x.r.URL.Path
	x.isAPI = strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "//") || path == "/api"
	if x.isAPI {
		h["Content-Type"] = jsonType
		h["Cache-Control"] = cacheControl
		h["Access-Control-Allow-Origin"] = anyOrigin
		h["Access-Control-Expose-Headers"] = exposeHeaders
	}
}

// preflight answers OPTIONS: what a browser asks before a call from another origin, and what methods a path has.
func (x *exchange) preflight() {
	h := x.w.Header()
	x.resource = x.api.router.find(x.r.URL.Path)
	if method := x.r.Header.Get("Access-Control-Request-Method"); method != "" {
		h.Set("Access-Control-Allow-Methods", strings.ToUpper(method))
		if headers := x.r.Header.Get("Access-Control-Request-Headers"); headers != "" {
			h.Set("Access-Control-Allow-Headers", headers)
		}
		h.Set("Access-Control-Max-Age", "600")
		h.Set("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	} else if x.resource == nil {
		x.refuse(errNoRoute)
		return
	} else {
		h.Set("Allow", x.resource.allow)
	}
	x.send(http.StatusNoContent, nil)
}

// send writes an answer.
func (x *exchange) send(status int, body []byte) {
	x.status = status
	if x.isHeld {
		x.held = bytes.Clone(body)
		return
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // whoever asked may be gone
}

// sendJSON writes a value as compact JSON, letters of all alphabets and HTML as they are.
func (x *exchange) sendJSON(status int, v any) error {
	b := bytes.NewBuffer(x.body[:0])
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	x.body = b.Bytes()
	x.send(status, bytes.TrimSuffix(x.body, []byte{'\n'}))
	return nil
}

// newRequestID names a request to those who ask about it later: 16 hex digits that need only be rare.
func newRequestID() string {
	const digits = "0123456789abcdef"
	var b [16]byte
	n := rand.Uint64() //nolint:gosec // no secret
	for i := range b {
		b[i] = digits[n&15]
		n >>= 4
	}
	return string(b[:])
}
