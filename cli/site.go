package cli

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"stile/api"
	"stile/extension"
	"stile/internal/buildinfo"
	"stile/vpn"
	"stile/web"
)

// site is what is served beside the API.
type site struct {
	dashboard *web.Site
	downloads *downloads
}

// newSite makes the dashboard and the browser extension's archives.
func (a *app) newSite(ctx context.Context) (*site, error) {
	s := site{downloads: &downloads{brand: func(ctx context.Context) string { return a.service.Settings(ctx).Brand }, log: a.cfg.log, config: extension.Config{
		URL: a.url(), Language: a.cfg.language, Version: buildinfo.Version(),
	}}}
	var err error
	if s.dashboard, err = web.New(a.service, web.Config{ //nolint:contextcheck // handlers take the contexts of their requests
		PublicURL: a.cfg.publicURL, Document: api.Document(), Observe: a.cfg.monitor.answered(), Log: a.cfg.log,
		ClientAddress: func(r *http.Request) netip.Addr { return api.ClientAddress(r, a.cfg.trustedProxies) },
		JoinLine:      a.joinLine, SendTestMail: a.sendTestMail,
	}); err != nil {
		return nil, err
	}
	_, err = s.downloads.packed(ctx)
	return &s, err
}

// joinLine is what the console shows to join a node by; "" when the service listens for none.
func (a *app) joinLine(ctx context.Context, actor *vpn.Actor, serverID int64) (string, error) {
	line, err := joinLine(ctx, a.store, a.service, actor, serverID)
	if errors.Is(err, errNoNodesURL) { // the page says what to do
		return "", nil
	}
	return line, err
}

// beside serves what the API's map has, or would refuse as its own, by the API, the extension where it is, and all else by
// the dashboard.
func (s *site) beside(apiHandler http.Handler) http.Handler {
	paths := map[string]bool{"/api": true}
	prefixes := []string{"/api/", "//"}
	for _, r := range api.Routes() {
		if before, _, hasName := strings.Cut(r.Path, "{"); hasName {
			prefixes = append(prefixes, before)
		} else {
			paths[r.Path] = true
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch p := r.URL.Path; {
		case paths[p] || slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(p, prefix) }):
			apiHandler.ServeHTTP(w, r)
		case strings.HasPrefix(p, extension.Path):
			s.downloads.ServeHTTP(w, r)
		default:
			s.dashboard.ServeHTTP(w, r)
		}
	})
}
