package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"stile/internal/locale"
	"stile/vpn"
)

// Config is what the API needs besides the service. The zero Config works.
type Config struct {
	// PublicURL is where clients reach the API, such as https://vpn.example.net; "" = as each request says. Dynamic keys
	// hold it.
	PublicURL string
	// TrustedProxies may say in X-Forwarded-For for whom they ask; nobody else is believed.
	TrustedProxies []netip.Prefix
	// App is what GET /api/userApp tells of the app's versions; "" = nothing.
	App AppVersions
	// PaymentSecret is what payments are signed with; empty = none are taken.
	PaymentSecret []byte
	// Ready reports whether the service can serve, for /readyz; nil = always.
	Ready func(context.Context) error
	// Observe is told of each request once it is answered: the method (one of net/http's, or "other"), the route's
	// pattern as routes.go has it ("none" without one), the status, and how long it took; nil = nobody.
	Observe func(method, route string, status int, took time.Duration)
	// JoinLine makes the line by which a machine joins as the node of a server, for the actor; "" when the service listens
	// for no nodes. Nil is always "".
	JoinLine func(ctx context.Context, a *vpn.Actor, serverID int64) (string, error)
	// SendTestMail hands a test mail in a language over to the mail server; nil = there is none.
	SendTestMail func(ctx context.Context, from, to, lang string) error
	Log          *slog.Logger // default slog.Default
}

// AppVersions are the versions of the operator's app.
type AppVersions struct {
	Min       string // older ones must update
	Latest    string
	UpdateURL string
}

// API serves the routes of routes.go.
type API struct {
	service   *vpn.Service
	config    Config
	log       *slog.Logger
	router    *router
	texts     *locale.Texts
	readers   []reader
	listings  *listings
	pingHosts pingHosts
	exchanges sync.Pool
}

// New joins the API to the service. It fails when PublicURL is no address of a web server.
func New(service *vpn.Service, config Config) (*API, error) {
	if u, err := url.Parse(config.PublicURL); config.PublicURL != "" && (err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http")) {
		return nil, fmt.Errorf("api: PublicURL %q is not like https://vpn.example.net", config.PublicURL)
	}
	texts, err := locale.Load(messageFiles)
	if err != nil {
		return nil, err
	}
	readers, err := loadReaders()
	if err != nil {
		return nil, err
	}
	a := &API{service: service, config: config, log: config.Log, texts: texts, readers: readers, listings: newListings()}
	if a.log == nil {
		a.log = slog.Default()
	}
	a.config.PublicURL = strings.TrimRight(config.PublicURL, "/")
	a.exchanges.New = func() any { return new(exchange) }
	a.router = newRouter(a.entries(), a.log.Handler())
	return a, nil
}

// ServeHTTP serves one request and writes one event about it.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, _ := a.exchanges.Get().(*exchange)
	*x = exchange{api: a, w: w, r: r, startedAt: time.Now(), id: newRequestID(), body: x.body[:0]}
	defer x.end() //nolint:contextcheck // an exchange holds its request, and so the context
	x.setHeaders()
	if x.isAPI && r.Method == http.MethodOptions {
		x.preflight() //nolint:contextcheck // as above
		return
	}
	if err := x.route(); err != nil { //nolint:contextcheck // as above
		x.refuse(err) //nolint:contextcheck // as above
	}
}

// route finds what serves the request, and who asks.
func (x *exchange) route() error {
	x.resource = x.api.router.find(x.r.URL.Path)
	if x.resource == nil {
		return errNoRoute
	}
	serve := x.resource.serve[x.r.Method]
	if serve == nil {
		return errNoMethod
	}
	if x.r.ContentLength > maxBodyBytes {
		return errTooLarge()
	}
	if !x.resource.isPublic[x.r.Method] {
		actor, err := x.api.service.Authenticate(x.r.Context(), bearer(x.r.Header["Authorization"]))
		if err != nil {
			return err
		}
		if err := x.resource.admits(x.r.Method, actor); err != nil {
			return err
		}
		x.actor = actor
	}
	return serve(x)
}

// bearer returns the token of an Authorization header, or "".
func bearer(values []string) string {
	const scheme = "Bearer "
	if len(values) != 1 || len(values[0]) <= len(scheme) || !strings.EqualFold(values[0][:len(scheme)], scheme) {
		return ""
	}
	return strings.Trim(values[0][len(scheme):], " ")
}
