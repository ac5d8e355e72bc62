package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// TestScopeMatrix calls every route outside of administration with a token of each scope: what the token is made for is
// served, everything else is refused with what it would need. A route without a row needs all of the account.
func TestScopeMatrix(t *testing.T) {
	rows := map[string]string{
		"GET /api/user": "account:read", "GET /api/subscription": "account:read", "GET /api/userApp": "account:read", "GET /api/devices": "account:read",
		"POST /api/servers": "servers:read", "GET /api/servers": "servers:read", "GET /api/servers/status": "servers:read", "POST /api/key": "keys",
		"POST /api/logout": "account", "PATCH /api/devices/{id}": "account", "DELETE /api/devices/{id}": "account", "POST /api/vouchers/redeem": "account",
	}
	w := setup(t, engines[0].dsn(t))
	for _, r := range Routes() {
		if r.IsPublic || strings.HasPrefix(r.Path, "/api/admin/") {
			continue
		}
		route := r.Method + " " + r.Path
		needed, isThere := rows[route]
		if !isThere {
			t.Errorf("%s has no row: say which scope it needs", route)
			continue
		}
		delete(rows, route)
		for _, words := range []string{"", "account", "account:read", "servers:read", "keys", "account:read servers:read keys", "admin:read admin:write"} {
			scopes, _ := vpn.ParseScopes(words)
			token := must(w.service.AddToken(t.Context(), vpn.Shell(), w.user.ID, "script", time.Time{}, scopes))(t)
			_, device := w.signIn("user@example.com", "phone")
			body := strings.NewReplacer("{DEVICE}", id(device), "{SERVER}", id(w.servers[0].ID)).Replace(`{"name":"n","code":"none","server_id":{SERVER},"device_id":{DEVICE}}`)
			answer := w.as(token, r.Method, strings.Replace(r.Path, "{id}", id(device), 1), body)
			got := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("X-Error-Code"))
			isGood := words == "" || words == "account" || strings.Contains(" "+words+" ", " "+needed+" ")
			switch {
			case isGood && (answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized):
				t.Errorf("%s with %q: %s", route, words, got)
			case !isGood && got != "403 insufficient_scope":
				t.Errorf("%s with %q: %s, want 403 insufficient_scope", route, words, got)
			case !isGood:
				if p := wantProblem(t, answer, http.StatusForbidden, vpn.CodeInsufficientScope); p.Details.Scope != needed {
					t.Errorf("%s with %q would need %q, want %q", route, words, p.Details.Scope, needed)
				}
			}
			if err := w.service.SignOutUser(t.Context(), vpn.Shell(), w.user.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	for route := range rows {
		t.Errorf("%s has a row and no route", route)
	}
}
