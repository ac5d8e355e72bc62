package api

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// staff makes an account with a role, and API tokens of it by scopes.
func (w *world) staff(role vpn.Role) (u vpn.User, token func(...vpn.Scopes) string) {
	w.t.Helper()
	ctx, shell := w.t.Context(), vpn.Shell()
	u = must(w.service.AddUser(ctx, shell, vpn.NewAccount{Email: role.String() + id(w.now().UnixNano()) + "@example.com", Password: examplePassword}))(w.t)
	if err := w.service.SetRole(ctx, shell, u.ID, role); err != nil {
		w.t.Fatal(err)
	}
	return u, func(scopes ...vpn.Scopes) string {
		w.t.Helper()
		return must(w.service.AddToken(ctx, shell, u.ID, "script", time.Time{}, scopes...))(w.t)
	}
}

// newRollout makes a roll-out to the first server's node, which runs unless it is to be ended.
func (w *world) newRollout(isRunning bool) (server int64) {
	w.t.Helper()
	ctx, shell := w.t.Context(), vpn.Shell()
	_, _ = w.service.AbortConfig(ctx, shell) // if there is one
	server = must(w.service.AllServers(ctx, shell))(w.t)[0].ID
	must(w.service.NoteServing(ctx, server, vpn.NodeServing{NodeConfig: vpn.NodeConfig{NodePorts: vpn.NodePorts{Shadowsocks: 8388, Count: 16, Method: "aes-256-gcm"}}}))(w.t)
	https := 443
	must(w.service.PublishConfig(ctx, shell, vpn.Publication{Change: vpn.ConfigChange{HTTPSPort: &https}, KeepOld: vpn.DefaultKeepOld}))(w.t)
	if !isRunning {
		must(w.service.AbortConfig(ctx, shell))(w.t)
	}
	return server
}

// owner is an owner's token that may do everything.
func (w *world) owner() string {
	_, token := w.staff(vpn.RoleOwner)
	return token(vpn.ScopeAdminWrite)
}

// webhook returns one that is there.
func (w *world) webhook() int64 {
	w.t.Helper()
	ctx, shell := w.t.Context(), vpn.Shell()
	if all := must(w.service.Webhooks(ctx, shell))(w.t); len(all) > 20 { // there may be a hundred
		if err := w.service.RemoveWebhook(ctx, shell, all[0].ID); err != nil {
			w.t.Fatal(err)
		}
	}
	hook, _, err := w.service.AddWebhook(ctx, shell, "http://127.0.0.1:9/", []string{"user.*"})
	if err != nil {
		w.t.Fatal(err)
	}
	return hook.ID
}

// ended ends a delivery and returns its number.
func (w *world) ended(d vpn.Delivery) int64 {
	w.t.Helper()
	ctx := w.t.Context()
	claimed := must(w.store.ClaimDeliveries(ctx, d.WebhookID, time.Minute, 10))(w.t)
	for _, c := range claimed {
		if err := w.store.EndAttempts(ctx, []vpn.Attempt{{DeliveryID: c.ID, Number: c.Attempts, Error: "down"}}); err != nil {
			w.t.Fatal(err)
		}
	}
	return d.ID
}

// TestAdminMatrix calls every route of administration as nobody, with a bad token, as a user, as an owner with a device's token
// and with one for the account, as an owner with a token that only reads, and as each role; and the routes that change an
// account, on one of the same rank. A route without a row fails.
func TestAdminMatrix(t *testing.T) {
	const forbidden = "403 forbidden"
	// A row says what roles get. reader is an owner whose token only reads; onStaff is an admin at an owner's account, "" where
	// the route is about no account or about its subscription.
	type row struct{ body, owner, admin, support, viewer, reader, onStaff string }
	look := func() row { return row{"", "200", "200", "200", "200", "200", ""} }
	change := func(ok, body string) row { return row{body, ok, ok, forbidden, forbidden, forbidden, ""} }
	help := func(ok, body string) row { return row{body, ok, ok, ok, forbidden, forbidden, ""} }
	unsupported := func(r row) row { r.support = forbidden; return r }
	guarded := func(r row) row { r.onStaff = forbidden; return r }
	plan := `{"code":"{UNIQUE}","name_en":"P","device_limit":3}`
	server := `{"name":"{UNIQUE}","country":"NL","host":"h.example.net","shadowsocks_port":8388}`
	rows := map[string]row{
		"GET /api/admin/users":                          look(),
		"POST /api/admin/users":                         change("200", `{"email":"{UNIQUE}@example.com","password":"password123"}`),
		"POST /api/admin/users/bulk":                    change("200", `{"action":"extend","ids":[{USER}],"days":3}`),
		"GET /api/admin/users/{id}":                     look(),
		"PATCH /api/admin/users/{id}":                   guarded(change("204", `{"status":"blocked"}`)),
		"DELETE /api/admin/users/{id}":                  guarded(change("204", ``)),
		"GET /api/admin/users/{id}/diagnosis":           look(),
		"PUT /api/admin/users/{id}/role":                {`{"role":"viewer"}`, "204", forbidden, forbidden, forbidden, forbidden, forbidden},
		"POST /api/admin/users/{id}/reset":              guarded(help("200", ``)),
		"POST /api/admin/users/{id}/sign-out":           guarded(help("204", ``)),
		"DELETE /api/admin/users/{id}/devices/{device}": guarded(help("204", ``)),
		"POST /api/admin/users/{id}/subscription":       change("200", `{"plan":"standard"}`),
		"POST /api/admin/users/{id}/extension":          help("200", `{"days":3}`),
		"PUT /api/admin/users/{id}/expiry":              change("204", `{"expires_at":"2027-01-01T00:00:00Z"}`),
		"DELETE /api/admin/users/{id}/second-factor":    guarded(change("204", ``)),
		"DELETE /api/admin/users/{id}/passkeys":         guarded(change("204", ``)),
		"GET /api/admin/invitations":                    look(),
		"POST /api/admin/invitations":                   change("200", `{"email":"{UNIQUE}@example.com","plan":"standard"}`),
		"DELETE /api/admin/invitations/{id}":            change("204", ``),
		"GET /api/admin/plans":                          look(),
		"POST /api/admin/plans":                         change("200", plan),
		"PUT /api/admin/plans/{id}":                     change("200", plan),
		"GET /api/admin/servers":                        look(),
		"POST /api/admin/servers":                       change("200", server),
		"PUT /api/admin/servers/{id}":                   change("200", server),
		"PATCH /api/admin/servers/{id}":                 change("200", `{"state":"maintenance"}`),
		"DELETE /api/admin/servers/{id}":                change("204", ``),
		"GET /api/admin/users/export":                   look(),
		"POST /api/admin/servers/{id}/join":             change("200", ``),
		"POST /api/admin/servers/{id}/revoke":           change("204", ``),
		"GET /api/admin/jobs":                           look(),
		"POST /api/admin/jobs":                          change("200", `{"action":"extend","ids":[{USER}],"days":3}`),
		"GET /api/admin/jobs/{id}":                      look(),
		"POST /api/admin/jobs/{id}/cancel":              change("200", ``),
		"GET /api/admin/jobs/{id}/refusals":             look(),
		"GET /api/admin/webhooks":                       unsupported(look()),
		"POST /api/admin/webhooks":                      change("200", `{"url":"http://127.0.0.1:9/","events":["user.*"]}`),
		"GET /api/admin/webhooks/{id}":                  unsupported(look()),
		"PUT /api/admin/webhooks/{id}":                  change("200", `{"url":"http://127.0.0.1:9/","events":["*"]}`),
		"DELETE /api/admin/webhooks/{id}":               change("204", ``),
		"POST /api/admin/webhooks/{id}/test":            change("200", ``),
		"GET /api/admin/webhooks/{id}/deliveries":       unsupported(look()),
		"POST /api/admin/deliveries/{id}/retry":         change("204", ``),
		"POST /api/admin/settings/test-mail":            change("204", `{"to":"me@example.com"}`),
		"GET /api/admin/nodes":                          look(),
		"GET /api/admin/config":                         look(),
		"POST /api/admin/config":                        change("200", `{"shadowsocks_port":9000}`),
		"GET /api/admin/config/history":                 look(),
		"POST /api/admin/config/resume":                 change("200", `{"leave":[{SERVER}]}`),
		"POST /api/admin/config/abort":                  change("200", ``),
		"POST /api/admin/config/rollback":               change("200", ``),
		"GET /api/admin/vouchers":                       look(),
		"POST /api/admin/vouchers":                      change("200", `{"plan":"standard"}`),
		"DELETE /api/admin/vouchers/{id}":               change("204", ``),
		"GET /api/admin/payments":                       look(),
		"GET /api/admin/audit":                          look(),
		"GET /api/admin/audit/verify":                   look(),
		"GET /api/admin/audit/export":                   look(),
		"GET /api/admin/stats":                          look(),
		"GET /api/admin/settings":                       look(),
		"PUT /api/admin/settings":                       change("200", `{"brand":"{UNIQUE}"}`),
	}
	w := setup(t, engines[0].dsn(t))
	ctx, shell := t.Context(), vpn.Shell()
	if err := w.service.ChainAudit(ctx); err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{"none": "", "bad token": "1|x"}
	for _, role := range []vpn.Role{vpn.RoleOwner, vpn.RoleAdmin, vpn.RoleSupport, vpn.RoleViewer} {
		_, token := w.staff(role)
		tokens[role.String()] = token(vpn.ScopeAccount, vpn.ScopeAdminWrite)
	}
	owner, ownerToken := w.staff(vpn.RoleOwner)
	tokens["reader"], tokens["account scope"], tokens["no scope"] = ownerToken(vpn.ScopeAdminRead), ownerToken(vpn.ScopeAccount), ownerToken()
	tokens["owner's device"], _ = w.signIn(owner.Email, "phone")
	tokens["user"] = must(w.service.AddToken(ctx, shell, w.user.ID, "x", time.Time{}, vpn.ScopeAdminWrite))(t)
	unique := 0
	// call makes what the route is about anew, for it may be gone after.
	call := func(r Route, body, token string, target *vpn.User) string {
		unique++
		name := "u" + id(int64(unique))
		if target == nil {
			u := must(w.service.AddUser(ctx, shell, vpn.NewAccount{Email: name + "-target@example.com", Password: examplePassword}))(t)
			must(w.service.Subscribe(ctx, shell, u.ID, "standard", 1))(t)
			if err := w.service.SetExpiry(ctx, shell, u.ID, w.now().AddDate(0, 0, 1)); err != nil {
				t.Fatal(err)
			}
			target = &u
		}
		_, device := w.signIn(target.Email, "target")
		object := target.ID
		switch {
		case strings.HasPrefix(r.Path, "/api/admin/plans/"):
			object = must(w.service.AddPlan(ctx, shell, vpn.Plan{Code: name + "-old", Name: vpn.Text{EN: "x"}, DeviceLimit: 1}))(t).ID
		case strings.HasPrefix(r.Path, "/api/admin/servers/"):
			object = must(w.service.AddServer(ctx, shell, vpn.Server{Name: name + "-old", CountryCode: "NL", Host: "h", ShadowsocksPort: 1, ShadowsocksPorts: 1}))(t).ID
			if _, _, err := w.service.NodeJoinToken(ctx, shell, object); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(r.Path, "/api/admin/jobs/"):
			object = must(w.service.StartJob(ctx, shell, vpn.Bulk{Action: vpn.BulkExtend, Days: 1, IDs: []int64{target.ID}}, nil))(t).ID
		case strings.HasPrefix(r.Path, "/api/admin/webhooks/"):
			object = w.webhook()
		case strings.HasPrefix(r.Path, "/api/admin/deliveries/"):
			object = w.ended(must(w.service.TestWebhook(ctx, shell, w.webhook()))(t))
		case strings.HasSuffix(r.Path, "/second-factor"), strings.HasSuffix(r.Path, "/passkeys"):
			w.factors(target.ID)
		case strings.HasPrefix(r.Path, "/api/admin/invitations/"):
			i, _, err := w.service.Invite(ctx, shell, vpn.NewInvitation{Days: 1})
			object = must(i, err)(t).ID
		case strings.HasPrefix(r.Path, "/api/admin/config"):
			body = strings.ReplaceAll(body, "{SERVER}", id(w.newRollout(r.Path != "/api/admin/config")))
		case strings.HasPrefix(r.Path, "/api/admin/vouchers/"):
			must(w.service.AddVouchers(ctx, shell, vpn.NewVouchers{Plan: "standard", Periods: 1, Uses: 1, Count: 1}))(t)
			object = must(w.service.Vouchers(ctx, shell, 0, 1))(t)[0].ID
		}
		path := strings.NewReplacer("{id}", id(object), "{device}", id(device)).Replace(r.Path)
		body = strings.NewReplacer("{UNIQUE}", name, "{USER}", id(target.ID)).Replace(body)
		var headers []string
		if token != "" {
			headers = []string{"Authorization: Bearer " + token}
		}
		answer := w.call(r.Method, path, body, append(headers, "Content-Type: application/json")...)
		_ = w.store.RemoveSecondFactor(ctx, target.ID, vpn.Audit{Action: "second_factor.off"}) // it may be gone
		if strings.HasPrefix(r.Path, "/api/admin/users/{id}") && answer.StatusCode == http.StatusForbidden {
			if got := must(w.store.User(ctx, target.ID))(t); got.Status != target.Status || got.Role != target.Role {
				t.Errorf("refused, and changed: %+v", got)
			}
		}
		return strings.TrimSpace(fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("X-Error-Code")))
	}
	for _, r := range Routes() {
		if !strings.HasPrefix(r.Path, "/api/admin/") {
			continue
		}
		route := r.Method + " " + r.Path
		row, isThere := rows[route]
		if !isThere {
			t.Errorf("%s has no row: say who may call it", route)
			continue
		}
		delete(rows, route)
		want := map[string]string{
			"none": "401 unauthenticated", "bad token": "401 unauthenticated", "user": forbidden, "account scope": forbidden, "no scope": forbidden,
			"owner's device": forbidden, "reader": row.reader, "owner": row.owner, "admin": row.admin, "support": row.support, "viewer": row.viewer,
		}
		for _, who := range slices.Sorted(maps.Keys(want)) {
			if got := call(r, row.body, tokens[who], nil); got != want[who] {
				t.Errorf("%s as %s: %s, want %s", route, who, got, want[who])
			}
		}
		if row.onStaff != "" {
			target := must(w.store.User(ctx, owner.ID))(t)
			if got := call(r, row.body, tokens["admin"], &target); got != row.onStaff {
				t.Errorf("%s as an admin at an owner: %s, want %s", route, got, row.onStaff)
			}
		}
		if strings.Contains(r.Path, "{id}") {
			missing := r
			missing.Path = strings.Replace(r.Path, "{id}", "999999", 1)
			if got := call(missing, row.body, tokens["owner"], nil); !strings.HasPrefix(got, "404 ") {
				t.Errorf("%s of what is not there: %s", route, got)
			}
		}
	}
	for route := range rows {
		t.Errorf("%s has a row and no route", route)
	}
	// A token for administration alone is good for nothing else.
	if got := w.as(tokens["reader"], "GET", "/api/user", ""); got.StatusCode != http.StatusForbidden {
		t.Errorf("GET /api/user with a token for administration: %d", got.StatusCode)
	}
	for _, line := range strings.Split(w.log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") {
			t.Error(line)
		}
	}
}

// factors turn a user's second factor on and give them a passkey.
func (w *world) factors(userID int64) {
	w.t.Helper()
	ctx := w.t.Context()
	_ = w.store.BeginSecondFactor(ctx, userID, vpn.OTPSecret{1}, vpn.Audit{Action: "second_factor.begin"}) // one may be on
	f := must(w.store.SecondFactor(ctx, userID))(w.t)
	if !f.IsOn() {
		if err := w.store.ConfirmSecondFactor(ctx, f.ID, 1, nil, vpn.Audit{Action: "second_factor.on"}); err != nil {
			w.t.Fatal(err)
		}
	}
	name := sha256.Sum256([]byte(id(w.now().UnixNano())))
	use := vpn.PasskeyUse{Challenge: name, ChallengeUntil: w.now().Add(time.Minute)}
	if err := w.store.AddPasskey(ctx, vpn.Passkey{UserID: userID, Credential: name[:], PublicKey: []byte{1}, Name: "x"}, use, 1000, vpn.Audit{Action: "user.passkey_add"}); err != nil {
		w.t.Fatal(err)
	}
}
