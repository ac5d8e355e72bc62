package api

import (
	"slices"
	"strings"

	"stile/vpn"
)

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
	"POST /api/password":           true, // the link's secret is in the body
	"GET /api/ssconf/{id}/{token}": true, // the address is its own secret
	"GET /sub/{token}":             true, // so is this one
	"GET /ping":                    true,
	"GET /healthz":                 true,
	"GET /readyz":                  true,
	"GET /openapi.yaml":            true,
}

// narrow are the routes that a token with a narrower scope is good for. All others outside of administration need
// vpn.ScopeAccount, which tokens of devices have.
var narrow = map[string]vpn.Scopes{
	"GET /api/user":           vpn.ScopeAccountRead,
	"GET /api/subscription":   vpn.ScopeAccountRead,
	"GET /api/userApp":        vpn.ScopeAccountRead,
	"GET /api/devices":        vpn.ScopeAccountRead,
	"POST /api/servers":       vpn.ScopeServersRead,
	"GET /api/servers":        vpn.ScopeServersRead,
	"GET /api/servers/status": vpn.ScopeServersRead,
	"POST /api/key":           vpn.ScopeKeys,
}

// entry is a route with what serves it.
type entry struct {
	pattern string // METHOD /path
	serve   handler
}

func (a *API) entries() []entry {
	return slices.Concat(a.clientEntries(), a.adminEntries())
}

// clientEntries are what apps, extensions and balancers ask.
func (a *API) clientEntries() []entry {
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
		{"POST /api/password", a.throttled(handle(a.newPassword))},

		{"GET /api/ssconf/{id}/{token}", a.dynamicKey},
		{"GET /sub/{token}", a.bundle},
		{"GET /ping", ping},
		{"GET /healthz", healthz},
		{"GET /readyz", a.readyz},
		{"GET /openapi.yaml", a.openAPI},
	}
}

// adminEntries are the operators'.
func (a *API) adminEntries() []entry {
	return []entry{
		{"GET /api/admin/users", handle(a.adminUsers)},
		{"POST /api/admin/users", once(handle(a.addUser))},
		{"POST /api/admin/users/bulk", once(handle(a.bulk))},
		{"GET /api/admin/users/export", a.exportUsers},
		{"GET /api/admin/users/{id}", handle(a.profile)},
		{"PATCH /api/admin/users/{id}", handle(a.setStatus)},
		{"DELETE /api/admin/users/{id}", handle(a.removeUser)},
		{"GET /api/admin/users/{id}/diagnosis", handle(a.diagnosis)},
		{"PUT /api/admin/users/{id}/role", handle(a.setRole)},
		{"POST /api/admin/users/{id}/reset", once(handle(a.resetPassword))},
		{"POST /api/admin/users/{id}/sign-out", handle(a.signOutUser)},
		{"DELETE /api/admin/users/{id}/second-factor", handle(a.resetFactor)},
		{"DELETE /api/admin/users/{id}/passkeys", handle(a.resetPasskeys)},
		{"DELETE /api/admin/users/{id}/devices/{device}", handle(a.signOutDevice)},
		{"POST /api/admin/users/{id}/subscription", once(handle(a.subscribe))},
		{"POST /api/admin/users/{id}/extension", once(handle(a.extend))},
		{"PUT /api/admin/users/{id}/expiry", handle(a.setExpiry)},
		{"GET /api/admin/plans", handle(a.plans)},
		{"POST /api/admin/plans", once(handle(a.addPlan))},
		{"PUT /api/admin/plans/{id}", handle(a.updatePlan)},
		{"GET /api/admin/servers", handle(a.adminServers)},
		{"POST /api/admin/servers", once(handle(a.addServer))},
		{"PUT /api/admin/servers/{id}", handle(a.updateServer)},
		{"PATCH /api/admin/servers/{id}", handle(a.setServerState)},
		{"DELETE /api/admin/servers/{id}", handle(a.removeServer)},
		{"POST /api/admin/servers/{id}/join", once(handle(a.joinNode))},
		{"POST /api/admin/servers/{id}/revoke", handle(a.revokeNode)},
		{"GET /api/admin/nodes", handle(a.nodes)},
		{"GET /api/admin/jobs", handle(a.jobs)},
		{"POST /api/admin/jobs", once(handle(a.startJob))},
		{"GET /api/admin/jobs/{id}", handle(a.job)},
		{"POST /api/admin/jobs/{id}/cancel", handle(a.cancelJob)},
		{"GET /api/admin/jobs/{id}/refusals", handle(a.jobRefusals)},
		{"GET /api/admin/webhooks", handle(a.webhooks)},
		{"POST /api/admin/webhooks", once(handle(a.addWebhook))},
		{"GET /api/admin/webhooks/{id}", handle(a.webhook)},
		{"PUT /api/admin/webhooks/{id}", handle(a.setWebhook)},
		{"DELETE /api/admin/webhooks/{id}", handle(a.removeWebhook)},
		{"POST /api/admin/webhooks/{id}/test", once(handle(a.testWebhook))},
		{"GET /api/admin/webhooks/{id}/deliveries", handle(a.deliveries)},
		{"POST /api/admin/deliveries/{id}/retry", handle(a.redeliver)},
		{"GET /api/admin/config", handle(a.configStatus)},
		{"POST /api/admin/config", once(handle(a.publishConfig))},
		{"GET /api/admin/config/history", handle(a.rollouts)},
		{"POST /api/admin/config/resume", once(handle(a.resumeConfig))},
		{"POST /api/admin/config/abort", once(handle(a.abortConfig))},
		{"POST /api/admin/config/rollback", once(handle(a.rollBackConfig))},
		{"GET /api/admin/vouchers", handle(a.vouchers)},
		{"POST /api/admin/vouchers", once(handle(a.addVouchers))},
		{"DELETE /api/admin/vouchers/{id}", handle(a.removeVoucher)},
		{"GET /api/admin/invitations", handle(a.invitations)},
		{"POST /api/admin/invitations", once(handle(a.addInvitation))},
		{"DELETE /api/admin/invitations/{id}", handle(a.removeInvitation)},
		{"GET /api/admin/payments", handle(a.payments)},
		{"GET /api/admin/audit", handle(a.audit)},
		{"GET /api/admin/audit/verify", handle(a.verifyAudit)},
		{"GET /api/admin/audit/export", a.exportAudit},
		{"GET /api/admin/stats", handle(a.stats)},
		{"GET /api/admin/settings", handle(a.settings)},
		{"PUT /api/admin/settings", handle(a.setSettings)},
		{"POST /api/admin/settings/test-mail", handle(a.testMail)},
	}
}
