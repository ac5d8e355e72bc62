package cli

import (
	"net/http"
	"net/netip"
	"strings"

	"stile/api"
	"stile/web"
)

// newSite makes the dashboard beside the API.
func (a *app) newSite() (*web.Site, error) {
	return web.New(a.service, web.Config{
		PublicURL: a.cfg.publicURL, Document: api.Document(), Log: a.cfg.log,
		ClientAddress: func(r *http.Request) netip.Addr { return api.ClientAddress(r, a.cfg.trustedProxies) },
	})
}

// beside serves what the API's map has, or would refuse as its own, by the API, and all else by the dashboard.
func beside(apiHandler, site http.Handler) http.Handler {
	paths := map[string]bool{"/api": true}
	for _, r := range api.Routes() {
		if !strings.HasPrefix(r.Path, "/api/") {
			paths[r.Path] = true
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		if strings.HasPrefix(p, "/api/") || strings.HasPrefix(p, "//") || paths[p] {
			apiHandler.ServeHTTP(w, r)
			return
		}
		site.ServeHTTP(w, r)
	})
}
