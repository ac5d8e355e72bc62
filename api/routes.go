package api

import "strings"

// Route is one line of the map.
type Route struct {
	Method string
	// Path may hold {names}, each for one segment.
	Path string
	// IsPublic reports that the route asks for no token.
	IsPublic bool
}

// Routes returns the whole map in the order of this file. HEAD goes with every GET.
func Routes() []Route {
	entries := (&API{}).entries()
	routes := make([]Route, len(entries))
	for i, e := range entries {
		method, path, _ := strings.Cut(e.pattern, " ")
		routes[i] = Route{Method: method, Path: path, IsPublic: public[e.pattern]}
	}
	return routes
}

// public are the routes without a token. All others are refused without one.
var public = map[string]bool{
	"POST /api/login":              true,
	"POST /api/payments":           true, // the body is signed
	"GET /api/ssconf/{id}/{token}": true, // the address is its own secret
	"GET /ping":                    true,
	"GET /healthz":                 true,
	"GET /readyz":                  true,
	"GET /openapi.yaml":            true,
}

// entry is a route with what serves it.
type entry struct {
	pattern string // METHOD /path
	serve   handler
}

func (a *API) entries() []entry {
	return []entry{
		{"POST /api/login", a.throttled(handle(a.login))},
		{"POST /api/logout", handle(a.logout)},
		{"GET /api/user", handle(a.user)},
		{"GET /api/subscription", handle(a.subscription)},
		{"GET /api/userApp", handle(a.userApp)},
		{"POST /api/servers", handle(a.servers)},
		{"GET /api/servers", handle(a.servers)},
		{"GET /api/servers/status", handle(a.serverStatus)},
		{"POST /api/key", handle(a.issueKey)},
		{"GET /api/devices", handle(a.devices)},
		{"PATCH /api/devices/{id}", handle(a.renameDevice)},
		{"DELETE /api/devices/{id}", handle(a.removeDevice)},
		{"POST /api/vouchers/redeem", handle(a.redeemVoucher)},
		{"POST /api/payments", a.payment},
		{"GET /api/ssconf/{id}/{token}", a.dynamicKey},
		{"GET /ping", ping},
		{"GET /healthz", healthz},
		{"GET /readyz", a.readyz},
		{"GET /openapi.yaml", a.openAPI},
	}
}
