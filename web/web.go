package web

import (
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"stile/vpn"
)

// Config is what the dashboard needs besides the service.
type Config struct {
	// PublicURL is where browsers reach the service, such as https://vpn.example.net; "" = plain HTTP, as each request
	// says. With https, cookies are for https alone.
	PublicURL string
	// Document is the description of the API, an OpenAPI file in YAML.
	Document []byte
	// ClientAddress says who asks, for the throttle of sign-ins.
	ClientAddress func(*http.Request) netip.Addr
	// Observe is told of each request once it is answered: the method (GET, HEAD, POST or "other"), the path of the route
	// ("none" where there is none), the status, and how long it took; nil = nobody.
	Observe func(method, route string, status int, took time.Duration)
	// JoinLine makes the line by which a machine joins as the node of a server, for the actor; "" when the service listens
	// for no nodes. Nil is always "".
	JoinLine func(ctx context.Context, a *vpn.Actor, serverID int64) (string, error)
	// SendTestMail hands a test mail in a language over to the mail server; nil = there is none.
	SendTestMail func(ctx context.Context, from, to, lang string) error
	Log          *slog.Logger // default slog.Default
}

// Site serves the routes of routes.go.
type Site struct {
	service   *vpn.Service
	log       *slog.Logger
	observe   func(method, route string, status int, took time.Duration)
	texts     *texts
	pages     *pages
	assets    *assets
	reference *reference
	guard     *http.CrossOriginProtection
	mux       *http.ServeMux
	fragments fragments
	glances   glances
	live      live
	zippers   sync.Pool // of *gzip.Writer
	address   func(*http.Request) netip.Addr
	joinLine  func(context.Context, *vpn.Actor, int64) (string, error)
	// sendTestMail is Config.SendTestMail.
	sendTestMail func(ctx context.Context, from, to, lang string) error
	publicURL    string
	isSecure     bool
}

// New joins the dashboard to the service. It fails when PublicURL is no address of a web server, or Document no
// description of an API.
func New(service *vpn.Service, config Config) (*Site, error) {
	u, err := url.Parse(config.PublicURL)
	if config.PublicURL != "" && (err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http")) {
		return nil, fmt.Errorf("web: PublicURL %q is not like https://vpn.example.net", config.PublicURL)
	}
	s := &Site{
		service: service, log: config.Log, observe: config.Observe, address: config.ClientAddress, joinLine: config.JoinLine,
		sendTestMail: config.SendTestMail,
		guard:        http.NewCrossOriginProtection(),
		publicURL:    strings.TrimRight(config.PublicURL, "/"), isSecure: err == nil && u.Scheme == "https",
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if config.PublicURL != "" { // a proxy may hand on another Host than the one that browsers see
		if err := s.guard.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("web: PublicURL: %w", err)
		}
	}
	s.zippers.New = func() any {
		z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
		return z
	}
	if s.texts, err = loadTexts(); err != nil {
		return nil, err
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.pages, err = findPages(s.texts, s.assets); err != nil {
		return nil, err
	}
	if s.reference, err = newReference(config.Document, s.texts); err != nil {
		return nil, fmt.Errorf("web: the API's document: %w", err)
	}
	s.mux = s.newMux()
	return s, nil
}

// ServeHTTP serves one request and writes one event about it.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &visit{site: s, w: w, r: r, startedAt: time.Now(), id: newRequestID()}
	v.lang, v.theme = s.texts.preferred(r), preferredTheme(r)
	defer v.end() //nolint:contextcheck // a visit holds its request, and so the context
	v.setHeaders()
	if err := s.guard.Check(r); err != nil {
		v.refuse(errCrossOrigin) //nolint:contextcheck // a visit holds its request, and so the context
		return
	}
	if r.ContentLength > maxFormBytes {
		v.refuse(errTooLarge) //nolint:contextcheck // as above
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
}

// visitKey finds the visit in the context that the mux hands on.
type visitKey struct{}
