package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// TestAuthorizationMatrix calls every route as nobody, with a bad and an ended session, as its user, with other people's
// objects, as the operator, and from a page of another site. A route without a row fails, and so does a row without a route.
func TestAuthorizationMatrix(t *testing.T) {
	// A row says what comes back, as "status" or "status location". In other, the objects named are those of another user.
	type row struct {
		form                  string
		user, other, operator string
		nobody                string // where it differs from a public page's user
	}
	page := row{user: "200", operator: "200"}
	const devices, tokens = "303 /account/devices", "303 /account/tokens"
	rows := map[string]row{
		"GET /":                  {user: "303 /account", operator: "303 /account", nobody: "303 /signin"},
		"GET /signin":            {user: "303 /account", operator: "303 /account", nobody: "200"},
		"POST /signin":           {user: "401", operator: "401"},
		"POST /signout":          {user: "303 /signin", operator: "303 /signin"},
		"GET /setup/{token}":     {user: "404", operator: "404"},
		"POST /setup/{token}":    {form: "email=x@example.com&password=password123", user: "404", operator: "404"},
		"POST /preferences":      {form: "back=/docs", user: "303 /docs", operator: "303 /docs"},
		"GET /account":           page,
		"POST /account/voucher":  {form: "code=7K3M-Q2VX-9T4B-HN0D", user: "422", operator: "422"},
		"GET /account/devices":   page,
		"POST /account/devices":  {form: "name=Tablet", user: "303 /account/connect", operator: "303 /account/connect"},
		"GET /account/servers":   page,
		"GET /account/connect":   page,
		"GET /account/tokens":    page,
		"POST /account/tokens":   {form: "name=x&days=30", user: "201", operator: "201"},
		"GET /account/settings":  page,
		"GET /account/export":    page,
		"POST /account/password": {form: "old=wrong&password=password456", user: "401", operator: "401"},
		"POST /account/signout":  {user: "303 /signin", operator: "303 /signin"},
		"POST /account/erase":    {form: "password=wrong", user: "401", operator: "403"},

		"POST /account/devices/{id}/rename": {form: "name=new", user: devices, other: "404", operator: devices},
		"POST /account/devices/{id}/remove": {user: devices, other: "404", operator: devices},
		"POST /account/tokens/{id}/remove":  {user: tokens, other: "404", operator: tokens},
		// The operator has no subscription: the rules of keys hold for everybody.
		"POST /account/connect":                          {form: "device={device}&server={server}", user: "303 /account/connect/", other: "404", operator: "402"},
		"GET /account/connect/{device}/{server}":         {user: "200", other: "404", operator: "303 /account/connect"},
		"GET /account/connect/{device}/{server}/qr.png":  {user: "200", other: "404", operator: "404"},
		"POST /account/connect/{device}/{server}/rotate": {user: "303 /account/connect/", other: "404", operator: "402"},

		"GET /docs":              page,
		"GET /docs/openapi.yaml": page,
		"GET /docs/openapi.json": page,
		"GET /assets/{name}":     {user: "404", operator: "404"},
	}
	w := setup(t).populate()
	theirDevice, theirToken := w.belongings(strangerEmail)

	for _, r := range Routes() {
		route := r.Method + " " + r.Path
		want, isThere := rows[route]
		if !isThere {
			t.Errorf("%s has no row: say who may call it", route)
			continue
		}
		delete(rows, route)
		t.Run(route, func(t *testing.T) {
			// call asks with a session of its own, because some routes end it.
			call := func(v *visitor, device, token int64, headers ...string) string {
				w.pass(61 * time.Second) // the throttle forgets
				id := device
				if strings.Contains(r.Path, "/tokens/") {
					id = token
				}
				fill := strings.NewReplacer("{id}", number(id), "{device}", number(device), "{server}", number(w.servers[0].ID), "{token}", "nothing", "{name}", "nothing")
				var form url.Values
				if r.Method == http.MethodPost {
					form, _ = url.ParseQuery(fill.Replace(want.form))
				}
				v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				p := v.do(r.Method, fill.Replace(r.Path), form, headers...)
				return strings.TrimSpace(fmt.Sprint(p.StatusCode, " ", p.Header.Get("Location")))
			}
			check := func(who, got, want string) {
				t.Helper()
				if status, place, hasPlace := strings.Cut(want, " "); !strings.HasPrefix(got, status) || (hasPlace && !strings.HasPrefix(got, status+" "+place)) {
					t.Errorf("%s: %s, want %s", who, got, want)
				}
			}
			w.reset()
			device, token := w.belongings(userEmail)
			refused := "303 /signin"
			if r.IsPublic {
				if refused = want.nobody; refused == "" {
					refused = want.user
				}
			}
			check("nobody", call(w.visitor("en"), device, token), refused)
			bad := w.visitor("en")
			bad.client.Jar.SetCookies(must(url.Parse(w.server.URL))(t), []*http.Cookie{{Name: "stile", Value: "x"}})
			check("bad session", call(bad, device, token), refused)
			ended := w.signedIn(userEmail, "en")
			cookies := ended.client.Jar.Cookies(must(url.Parse(w.server.URL))(t))
			ended.submit(ended.open("/account"), "/signout")
			ended.client.Jar.SetCookies(must(url.Parse(w.server.URL))(t), cookies)
			check("ended session", call(ended, device, token), refused)
			if r.Method == http.MethodPost {
				check("another site", call(w.signedIn(userEmail, "en"), device, token, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"), "403")
				check("another site, old browser", call(w.signedIn(userEmail, "en"), device, token, "Sec-Fetch-Site: ", "Origin: https://evil.example"), "403")
			}
			if want.other != "" {
				check("other's objects", call(w.signedIn(userEmail, "en"), theirDevice, theirToken), want.other)
			}
			check("user", call(w.signedIn(userEmail, "en"), device, token), want.user)
			operators := w.signedIn(operatorEmail, "en")
			operatorsDevice, operatorsToken := w.belongings(operatorEmail)
			check("operator", call(operators, operatorsDevice, operatorsToken), want.operator)
			if want.other != "" {
				// An operator has no more rights here than a user: what is somebody else's is not there.
				check("operator, other's objects", call(w.signedIn(operatorEmail, "en"), theirDevice, theirToken), "404")
			}
		})
	}
	for route := range rows {
		t.Errorf("%s has a row and no route", route)
	}
	if devices := must(w.store.Devices(t.Context(), w.stranger.ID))(t); len(devices) != 1 || devices[0].Name != "mine" {
		t.Errorf("the stranger's devices were changed: %+v", devices)
	}
	if tokens := must(w.store.Tokens(t.Context(), w.stranger.ID))(t); len(tokens) != 1 {
		t.Errorf("the stranger's tokens were changed: %+v", tokens)
	}
}

// belongings are a device with a key, where its user may have one, and an API token.
func (w *world) belongings(email string) (device, token int64) {
	w.t.Helper()
	ctx := w.t.Context()
	user := must(w.store.UserByEmail(ctx, email))(w.t)
	actor := &vpn.Actor{User: user}
	device = must(w.service.AddDevice(ctx, actor, "mine", vpn.PlatformIOS))(w.t)
	if _, err := w.service.IssueKey(ctx, actor, vpn.IssueKey{ServerID: w.servers[0].ID, Device: vpn.DeviceRef(number(device))}); err != nil && email != operatorEmail {
		w.t.Fatal(err)
	}
	must(w.service.AddToken(ctx, actor, user.ID, "mine", w.now().AddDate(1, 0, 0)))(w.t)
	tokens := must(w.store.Tokens(ctx, user.ID))(w.t)
	return device, tokens[len(tokens)-1].ID
}

// reset takes back what rows before have left, so that no limit is met.
func (w *world) reset() {
	w.t.Helper()
	for _, email := range []string{userEmail, operatorEmail} {
		user := must(w.store.UserByEmail(w.t.Context(), email))(w.t)
		for _, d := range must(w.store.Devices(w.t.Context(), user.ID))(w.t) {
			if err := w.service.RemoveDevice(w.t.Context(), &vpn.Actor{User: user}, d.ID); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}
