package web

import (
	"net/http"
	"slices"
	"strings"
)

// Route is one line of the map.
type Route struct {
	Method string
	// Path may hold {names}, each for one segment.
	Path string
	// IsPublic reports that the route asks for no session.
	IsPublic bool
}

// Routes returns the whole map in the order of this file. HEAD goes with every GET.
func Routes() []Route {
	entries := (&Site{}).entries()
	routes := make([]Route, len(entries))
	for i, e := range entries {
		method, path, _ := strings.Cut(e.pattern, " ")
		routes[i] = Route{Method: method, Path: strings.TrimSuffix(path, "{$}"), IsPublic: public[e.pattern]}
	}
	return routes
}

// public are the routes without a session. All others lead to the sign-in without one.
var public = map[string]bool{
	"GET /{$}":                      true,
	"GET /signin":                   true,
	"POST /signin":                  true,
	"POST /signin/passkey/options":  true,
	"POST /signin/passkey":          true,
	"GET /sign-up":                  true,
	"POST /sign-up":                 true,
	"GET /sign-up/{invitation}":     true, // the address is its own secret
	"POST /sign-up/{invitation}":    true,
	"GET /sign-up/confirm/{token}":  true, // so is this one
	"POST /sign-up/confirm/{token}": true,
	"GET /reset":                    true,
	"POST /reset":                   true,
	"GET /reset/{token}":            true, // and this one
	"POST /reset/{token}":           true,
	"GET /setup/{token}":            true, // the address is its own secret
	"POST /setup/{token}":           true,
	"POST /preferences":             true,
	"GET /docs":                     true,
	"GET /docs/openapi.yaml":        true,
	"GET /docs/openapi.json":        true,
	"GET /assets/{name}":            true,
}

// entry is a route with what serves it.
type entry struct {
	pattern string // METHOD /path
	serve   handler
}

func (s *Site) entries() []entry {
	return slices.Concat(s.publicEntries(), s.accountEntries(), s.consoleEntries())
}

// publicEntries are where a visitor comes in, and what all may read.
func (s *Site) publicEntries() []entry {
	return []entry{
		{"GET /{$}", s.home},
		{"GET /signin", s.signInPage},
		{"POST /signin", s.signIn},
		{"POST /signin/passkey/options", s.signInOptions},
		{"POST /signin/passkey", s.signInByPasskey},
		{"POST /signout", s.signOut},
		{"GET /sign-up", s.signUpPage},
		{"POST /sign-up", s.signUp},
		{"GET /sign-up/{invitation}", s.signUpPage},
		{"POST /sign-up/{invitation}", s.signUp},
		{"GET /sign-up/confirm/{token}", s.confirmPage},
		{"POST /sign-up/confirm/{token}", s.confirmSignUp},
		{"GET /reset", s.askPage},
		{"POST /reset", s.askReset},
		{"GET /reset/{token}", s.resetPage},
		{"POST /reset/{token}", s.resetPassword},
		{"GET /setup/{token}", s.setupPage},
		{"POST /setup/{token}", s.setup},
		{"POST /preferences", s.setPreferences},

		{"GET /docs", s.docs},
		{"GET /docs/openapi.yaml", s.documentYAML},
		{"GET /docs/openapi.json", s.documentJSON},
		{"GET /assets/{name}", s.asset},
	}
}

// accountEntries are a user's own.
func (s *Site) accountEntries() []entry {
	return []entry{
		{"GET /account", s.overview},
		{"POST /account/voucher", s.redeemVoucher},
		{"GET /account/devices", s.devices},
		{"POST /account/devices", s.addDevice},
		{"POST /account/devices/{id}/rename", s.renameDevice},
		{"POST /account/devices/{id}/remove", s.removeDevice},
		{"GET /account/devices/{id}/subscription", s.subscription},
		{"GET /account/devices/{id}/subscription/qr.png", s.subscriptionPNG},
		{"POST /account/devices/{id}/subscription/rotate", s.rotateAddress},
		{"GET /account/live", s.liveTraffic},
		{"GET /account/servers", s.servers},
		{"GET /account/servers/live", s.liveServers},
		{"GET /account/connect", s.connect},
		{"POST /account/connect", s.makeKey},
		{"GET /account/connect/{device}/{server}", s.key},
		{"GET /account/connect/{device}/{server}/qr.png", s.keyPNG},
		{"POST /account/connect/{device}/{server}/rotate", s.rotateKey},
		{"GET /account/tokens", s.tokens},
		{"POST /account/tokens", s.addToken},
		{"POST /account/tokens/{id}/remove", s.removeToken},
		{"GET /account/settings", s.settings},
		{"POST /account/password", s.changePassword},
		{"POST /account/signout", s.signOutEverywhere},
		{"GET " + factorPath, s.secondFactor},
		{"POST " + factorPath, s.beginFactor},
		{"POST /account/second-factor/confirm", s.confirmFactor},
		{"POST /account/second-factor/codes", s.renewCodes},
		{"POST /account/second-factor/off", s.removeFactor},
		{"GET " + passkeysPath, s.passkeys},
		{"POST " + passkeysPath, s.addPasskey},
		{"POST /account/passkeys/options", s.passkeyOptions},
		{"POST /account/passkeys/{id}/rename", s.renamePasskey},
		{"POST /account/passkeys/{id}/remove", s.removePasskey},
		{"GET /account/export", s.export},
		{"POST /account/erase", s.erase},
	}
}

// consoleEntries are the operators'.
func (s *Site) consoleEntries() []entry {
	return []entry{
		{"GET /admin", s.operate(s.glance)},
		{"GET /admin/live", s.operate(s.liveFleet)},
		{"GET /admin/users", s.operate(s.users)},
		{"POST /admin/users", s.operate(s.once(s.addUser))},
		{"GET /admin/users/{id}", s.operate(s.user)},
		{"POST /admin/jobs", s.operate(s.once(s.bulk))},
		{"GET /admin/export/users", s.operate(s.exportUsers)},
		{"POST /admin/users/{id}/extension", s.operate(s.once(s.extend))},
		{"POST /admin/users/{id}/signout", s.operate(s.signOutUser)},
		{"POST /admin/users/{id}/reset", s.operate(s.makeReset)},
		{"POST /admin/users/{id}/role", s.operate(s.setRole)},
		{"GET /admin/jobs", s.operate(s.jobs)},
		{"GET /admin/jobs/{id}", s.operate(s.job)},
		{"GET /admin/jobs/{id}/progress", s.operate(s.jobProgress)},
		{"POST /admin/jobs/{id}/cancel", s.operate(s.cancelJob)},
		{"POST /admin/users/{id}/status", s.operate(s.setStatus)},
		{"POST /admin/users/{id}/subscription", s.operate(s.once(s.subscribe))},
		{"POST /admin/users/{id}/expiry", s.operate(s.setExpiry)},
		{"POST /admin/users/{id}/password", s.operate(s.setPassword)},
		{"POST /admin/users/{id}/devices/{device}/remove", s.operate(s.removeUserDevice)},
		{"POST /admin/users/{id}/remove", s.operate(s.removeUser)},
		{"POST /admin/users/{id}/second-factor/off", s.operate(s.resetUserFactor)},
		{"POST /admin/users/{id}/passkeys/remove", s.operate(s.resetUserPasskeys)},
		{"GET /admin/invitations", s.operate(s.invitations)},
		{"POST /admin/invitations", s.operate(s.once(s.addInvitation))},
		{"POST /admin/invitations/{id}/remove", s.operate(s.removeInvitation)},
		{"GET /admin/servers", s.operate(s.fleetPage)},
		{"POST /admin/servers", s.operate(s.once(s.addServer))},
		{"GET /admin/servers/{id}", s.operate(s.server)},
		{"POST /admin/servers/{id}", s.operate(s.updateServer)},
		{"POST /admin/servers/{id}/state", s.operate(s.setServerState)},
		{"POST /admin/servers/{id}/join", s.operate(s.joinNode)},
		{"POST /admin/servers/{id}/revoke", s.operate(s.revokeNode)},
		{"POST /admin/servers/{id}/remove", s.operate(s.removeServer)},
		{"GET /admin/config", s.operate(s.rollouts)},
		{"POST /admin/config", s.operate(s.publishConfig)},
		{"POST /admin/config/resume", s.operate(s.resumeConfig)},
		{"POST /admin/config/abort", s.operate(s.abortConfig)},
		{"POST /admin/config/rollback", s.operate(s.rollBackConfig)},
		{"GET /admin/plans", s.operate(s.plans)},
		{"POST /admin/plans", s.operate(s.addPlan)},
		{"GET /admin/plans/{id}", s.operate(s.plan)},
		{"POST /admin/plans/{id}", s.operate(s.updatePlan)},
		{"GET /admin/vouchers", s.operate(s.vouchers)},
		{"POST /admin/vouchers", s.operate(s.once(s.addVouchers))},
		{"POST /admin/vouchers/{id}/remove", s.operate(s.removeVoucher)},
		{"GET /admin/payments", s.operate(s.payments)},
		{"GET /admin/webhooks", s.operate(s.webhooks)},
		{"POST /admin/webhooks", s.operate(s.once(s.addWebhook))},
		{"GET /admin/webhooks/{id}", s.operate(s.webhook)},
		{"POST /admin/webhooks/{id}", s.operate(s.updateWebhook)},
		{"POST /admin/webhooks/{id}/state", s.operate(s.setWebhookState)},
		{"POST /admin/webhooks/{id}/test", s.operate(s.testWebhook)},
		{"POST /admin/webhooks/{id}/deliveries/{delivery}/retry", s.operate(s.redeliver)},
		{"POST /admin/webhooks/{id}/remove", s.operate(s.removeWebhook)},
		{"GET /admin/audit", s.operate(s.auditLog)},
		{"GET /admin/audit/verify", s.operate(s.verifyAudit)},
		{"GET /admin/audit/export", s.operate(s.exportAudit)},
		{"GET /admin/settings", s.operate(s.serviceSettings)},
		{"POST /admin/settings", s.operate(s.saveServiceSettings)},
		{"POST /admin/settings/mail", s.operate(s.testMail)},
	}
}

// newMux makes the handler of all routes. What matches none is a 404, or a 405 where another method would match.
func (s *Site) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, e := range s.entries() {
		method, path, _ := strings.Cut(e.pattern, " ")
		methods[path] = append(methods[path], method)
		mux.HandleFunc(e.pattern, func(_ http.ResponseWriter, r *http.Request) {
			v := visitOf(r)
			v.route = strings.TrimSuffix(path, "{$}")
			v.serve(e.serve, public[e.pattern]) //nolint:contextcheck // a visit holds its request, and so the context
		})
	}
	for path, known := range methods {
		allow := strings.ReplaceAll(strings.Join(known, ", "), "GET", "GET, HEAD")
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			v := visitOf(r)
			v.route = strings.TrimSuffix(path, "{$}")
			w.Header().Set("Allow", allow)
			v.refuse(errNoMethod) //nolint:contextcheck // as above
		})
	}
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { visitOf(r).refuse(errNoPage) }) //nolint:contextcheck // as above
	return mux
}

// visitOf returns the visit of a request that the mux hands on, with the values of the path.
func visitOf(r *http.Request) *visit {
	v, _ := r.Context().Value(visitKey{}).(*visit)
	v.r = r
	return v
}
