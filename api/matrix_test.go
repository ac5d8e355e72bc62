package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"stile/vpn"
)

// TestAuthorizationMatrix calls every route as nobody, with a bad token, as its user, with other people's objects (and
// the user's own other device), as the operator, and with a token whose device was signed out. A route without a row
// fails, and so does a row without a route.
func TestAuthorizationMatrix(t *testing.T) {
	const unauthenticated = "401 unauthenticated"
	// A row says what comes back, as "status" or "status code". In other, the objects named are those of another user.
	type row struct{ body, user, other, operator string }
	ok := func(body string) row { return row{body: body, user: "200", operator: "200"} }
	rows := map[string]row{
		"POST /api/login":         {body: `{}`, user: "422 validation_failed", operator: "422 validation_failed"},
		"POST /api/logout":        ok(``),
		"GET /api/user":           ok(``),
		"GET /api/subscription":   ok(``),
		"GET /api/userApp":        ok(``),
		"POST /api/servers":       {body: `{"device_id":{DEVICE}}`, user: "200", other: "404 device_not_found", operator: "200"},
		"GET /api/servers":        {body: `?device_id={DEVICE}`, user: "200", other: "404 device_not_found", operator: "200"},
		"GET /api/servers/status": ok(``),
		// The operator has no subscription: the rules of keys hold for everybody.
		"POST /api/key":             {body: `{"server_id":{SERVER},"device_id":{DEVICE}}`, user: "200", other: "404 device_not_found", operator: "402 subscription_required"},
		"GET /api/devices":          ok(``),
		"PATCH /api/devices/{id}":   {body: `{"name":"new"}`, user: "200", other: "404 device_not_found", operator: "200"},
		"DELETE /api/devices/{id}":  {user: "200", other: "404 device_not_found", operator: "200"},
		"POST /api/vouchers/redeem": {body: `{"code":"none"}`, user: "422 voucher_invalid", operator: "422 voucher_invalid"},
		// A signature says who may; no token does.
		"POST /api/payments":           {body: `{}`, user: "401 signature_invalid", operator: "401 signature_invalid"},
		"POST /api/password":           {body: `{"token":"none","password":"password123"}`, user: "422 reset_invalid", operator: "422 reset_invalid"},
		"GET /api/ssconf/{id}/{token}": {user: "200", other: "200 not_found", operator: "200 not_found"},
		// A wrong address is a path that does not exist; the operator's leads to an entry that says why there are no keys.
		"GET /sub/{token}":  {user: "200", other: "404 not_found", operator: "200 subscription_required"},
		"GET /ping":         {user: "204", operator: "204"},
		"GET /healthz":      ok(``),
		"GET /readyz":       ok(``),
		"GET /openapi.yaml": ok(``),
	}
	w := setup(t, engines[0].dsn(t))
	others, othersDevice := w.signIn("stranger@example.com", "the stranger's")
	othersKey := must(w.service.IssueKey(t.Context(), must(w.service.Authenticate(t.Context(), others))(t), vpn.IssueKey{ServerID: w.servers[0].ID}))(t).Key

	for _, r := range Routes() {
		if strings.HasPrefix(r.Path, "/api/admin/") {
			continue // TestAdminMatrix
		}
		route := r.Method + " " + r.Path
		want, isThere := rows[route]
		if !isThere {
			t.Errorf("%s has no row: say who may call it", route)
			continue
		}
		delete(rows, route)
		t.Run(route, func(t *testing.T) {
			// call is made with fresh sessions, because some routes end them.
			call := func(token string, device int64, key vpn.Key) string {
				path := strings.NewReplacer("/devices/{id}", "/devices/"+id(device), "{id}", id(key.ID), "/sub/{token}", "/sub/"+w.address(device, key), "{token}", key.Seed.DynamicToken()).Replace(r.Path)
				body := strings.NewReplacer("{DEVICE}", id(device), "{SERVER}", id(w.servers[0].ID)).Replace(want.body)
				if r.Method == http.MethodGet {
					path, body = path+body, ""
				}
				var headers []string
				if token != "" {
					headers = []string{"Authorization: Bearer " + token}
				}
				answer := w.call(r.Method, path, body, append(headers, "Content-Type: application/json")...)
				return strings.TrimSpace(fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("X-Error-Code")))
			}
			session := func(email string) (string, int64, vpn.Key) {
				token, device := w.signIn(email, "mine")
				actor := must(w.service.Authenticate(t.Context(), token))(t)
				issued, err := w.service.IssueKey(t.Context(), actor, vpn.IssueKey{ServerID: w.servers[0].ID, Rotate: true})
				if err != nil {
					return token, device, vpn.Key{} // the operator
				}
				return token, device, issued.Key
			}
			check := func(who, got, want string) {
				if got != want {
					t.Errorf("%s: %s, want %s", who, got, want)
				}
			}
			_, device, key := session("user@example.com")
			refused := unauthenticated
			if r.IsPublic {
				refused = want.user
			}
			signedOut, _ := w.signIn("user@example.com", "to be signed out")
			if err := w.service.SignOut(t.Context(), must(w.service.Authenticate(t.Context(), signedOut))(t)); err != nil {
				t.Fatal(err)
			}
			check("none", call("", device, key), refused)
			userToken, userDevice, userKey := session("user@example.com")
			check("bad token", call(userToken+"x", userDevice, userKey), refused)
			check("signed out", call(signedOut, userDevice, userKey), refused)
			if want.other != "" {
				wrongSeed := vpn.Key{ID: othersKey.ID, Seed: userKey.Seed}
				check("other's objects", call(userToken, othersDevice, wrongSeed), want.other)
			}
			check("user", call(userToken, userDevice, userKey), want.user)
			operatorToken, operatorDevice, operatorKey := session("operator@example.com")
			check("operator", call(operatorToken, operatorDevice, operatorKey), want.operator)
			if want.other != "" {
				// An operator has no more rights here than a user: what is somebody else's is not there.
				token, _, _ := session("operator@example.com")
				check("operator, other's objects", call(token, othersDevice, vpn.Key{ID: othersKey.ID}), want.other)
			}
		})
	}
	for route := range rows {
		t.Errorf("%s has a row and no route", route)
	}
	if devices := must(w.store.Devices(t.Context(), w.stranger.ID))(t); len(devices) != 1 || devices[0].Name != "iPhone 12" {
		t.Errorf("the stranger's devices were changed: %+v", devices)
	}
	if answer := w.as(others, "GET", "/api/user", ""); answer.StatusCode != http.StatusOK {
		t.Errorf("the stranger's token was ended: %d", answer.StatusCode)
	}
}

// address is a device's subscription address, if the key is the device's; otherwise it has the right number and a wrong secret.
func (w *world) address(device int64, key vpn.Key) string {
	w.t.Helper()
	_, address, err := w.store.Addressed(w.t.Context(), device)
	if err != nil || key.ID != 0 && key.DeviceID != device {
		return id(device) + "." + strings.Repeat("A", 22)
	}
	return address.Reveal()
}

// A blocked account's tokens still show why; keys and new sign-ins are refused at once.
func TestBlockedAccount(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	token, _ := w.signIn("user@example.com", "phone")
	body := `{"server_id":` + id(w.servers[0].ID) + `}`
	decode[struct{}](t, w.as(token, "POST", "/api/key", body), http.StatusOK)
	if err := w.service.SetUserStatus(t.Context(), vpn.Shell(), w.user.ID, vpn.UserBlocked); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, w.as(token, "POST", "/api/key", body), http.StatusForbidden, vpn.CodeAccountBlocked)
	login := `{"email":"user@example.com","password":"password123","device_id":"phone","device_name":"n"}`
	wantProblem(t, w.as("", "POST", "/api/login", login), http.StatusForbidden, vpn.CodeAccountBlocked)
	wrong := strings.Replace(login, "password123", "nope", 1)
	wantProblem(t, w.as("", "POST", "/api/login", wrong), http.StatusUnauthorized, vpn.CodeInvalidCredentials)
}
