package web

import (
	"crypto/sha256"
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
		// In the console: what admins, support and viewers get. "" is what the operator gets, but for support and viewers at
		// what changes something, who may not.
		admin, support, viewer string
	}
	page, console := row{user: "200", operator: "200"}, row{user: "403", operator: "200"}
	const devices, tokens = "303 /account/devices", "303 /account/tokens"
	rows := map[string]row{
		"GET /":                        {user: "303 /account", operator: "303 /account", nobody: "303 /signin"},
		"GET /signin":                  {user: "303 /account", operator: "303 /account", nobody: "200"},
		"POST /signin":                 {user: "401", operator: "401"},
		"POST /signout":                {user: "303 /signin", operator: "303 /signin"},
		"GET /setup/{token}":           {user: "404", operator: "404"},
		"POST /setup/{token}":          {form: "email=x@example.com&password=password123", user: "404", operator: "404"},
		"POST /signin/passkey/options": {user: "200", operator: "200"},
		"POST /signin/passkey":         {form: "credential=x", user: "401", operator: "401"},
		// TestSignUpIsClosed has these while nobody may sign up.
		"GET /sign-up":                  {user: "303 /account", operator: "303 /account", nobody: "200"},
		"POST /sign-up":                 {form: "email=nobody", user: "422", operator: "422"},
		"GET /sign-up/{invitation}":     {user: "404", operator: "404"},
		"POST /sign-up/{invitation}":    {form: "email=x@example.com&password=password123", user: "404", operator: "404"},
		"GET /sign-up/confirm/{token}":  {user: "404", operator: "404"},
		"POST /sign-up/confirm/{token}": {form: "password=password123", user: "404", operator: "404"},
		"GET /reset":                    page,
		"POST /reset":                   {form: "email=x@example.com", user: "404", operator: "404"}, // no mail is sent
		"GET /reset/{token}":            {user: "404", operator: "404"},
		"POST /reset/{token}":           {form: "password=password123", user: "404", operator: "404"},
		"POST /preferences":             {form: "back=/docs", user: "303 /docs", operator: "303 /docs"},
		"GET /account":                  page,
		"POST /account/voucher":         {form: "code=7K3M-Q2VX-9T4B-HN0D", user: "422", operator: "422"},
		"GET /account/devices":          page,
		"POST /account/devices":         {form: "name=Tablet", user: "303 /account/connect", operator: "303 /account/connect"},
		"GET /account/live":             page,
		"GET /account/servers":          page,
		"GET /account/servers/live":     page,
		"GET /account/connect":          page,
		"GET /account/tokens":           page,
		"POST /account/tokens":          {form: "name=x&days=30&scope=account", user: "201", operator: "201"},
		"GET /account/settings":         page,
		"GET /account/export":           page,
		"POST /account/password":        {form: "old=wrong&password=password456", user: "401", operator: "401"},
		"POST /account/signout":         {user: "303 /signin", operator: "303 /signin"},
		"POST /account/erase":           {form: "password=wrong", user: "401", operator: "403"},

		"GET /account/second-factor":          page,
		"POST /account/second-factor":         {form: "password=wrong", user: "401", operator: "401"},
		"POST /account/second-factor/confirm": {form: "code=123456", user: "404", operator: "404"},
		"POST /account/second-factor/codes":   {form: "password=password123", user: "404", operator: "404"},
		"POST /account/second-factor/off":     {form: "password=password123", user: "404", operator: "404"},

		"GET /account/passkeys":              page,
		"POST /account/passkeys":             {form: "name=x&credential=x", user: "401", operator: "401"},
		"POST /account/passkeys/options":     {form: "password=wrong", user: "401", operator: "401"},
		"POST /account/passkeys/{id}/rename": {form: "name=new", user: "303 /account/passkeys", other: "404", operator: "303 /account/passkeys"},
		"POST /account/passkeys/{id}/remove": {user: "303 /account/passkeys", other: "404", operator: "303 /account/passkeys"},

		"POST /account/devices/{id}/rename":              {form: "name=new", user: devices, other: "404", operator: devices},
		"POST /account/devices/{id}/remove":              {user: devices, other: "404", operator: devices},
		"GET /account/devices/{id}/subscription":         {user: "200", other: "404", operator: "200"},
		"GET /account/devices/{id}/subscription/qr.png":  {user: "200", other: "404", operator: "200"},
		"POST /account/devices/{id}/subscription/rotate": {user: "303 /account/devices/", other: "404", operator: "303 /account/devices/"},
		"POST /account/tokens/{id}/remove":               {user: tokens, other: "404", operator: tokens},
		// The operator has no subscription: the rules of keys hold for everybody.
		"POST /account/connect":                          {form: "device={device}&server={server}", user: "303 /account/connect/", other: "404", operator: "402"},
		"GET /account/connect/{device}/{server}":         {user: "200", other: "404", operator: "303 /account/connect"},
		"GET /account/connect/{device}/{server}/qr.png":  {user: "200", other: "404", operator: "404"},
		"POST /account/connect/{device}/{server}/rotate": {user: "303 /account/connect/", other: "404", operator: "402"},

		// The console is the operator's alone. What it names is another user's, server's …, made anew for each row.
		"GET /admin":                                            console,
		"GET /admin/live":                                       console,
		"GET /admin/users":                                      console,
		"POST /admin/users":                                     {form: "email=new{unique}@example.com&plan=standard", user: "403", operator: "201"},
		"GET /admin/users/{id}":                                 console,
		"POST /admin/users/{id}/status":                         {form: "status=blocked", user: "403", operator: "303 /admin/users/"},
		"POST /admin/users/{id}/subscription":                   {form: "plan=standard&periods=1", user: "403", operator: "303 /admin/users/"},
		"POST /admin/users/{id}/expiry":                         {form: "until=2027-01-01", user: "403", operator: "303 /admin/users/"},
		"POST /admin/users/{id}/password":                       {user: "403", operator: "200"},
		"POST /admin/users/{id}/devices/{device}/remove":        {user: "403", operator: "303 /admin/users/", support: "303 /admin/users/"},
		"POST /admin/users/{id}/remove":                         {form: "email=victim@example.com", user: "403", operator: "303 /admin/users"},
		"GET /admin/servers":                                    console,
		"POST /admin/servers":                                   {form: "name=Oslo{unique}&country=NO&host=o.example.net&ports=8388", user: "403", operator: "201"},
		"GET /admin/servers/{id}":                               console,
		"POST /admin/servers/{id}":                              {form: "name=Victim&country=NO&host=o.example.net&ports=8388", user: "403", operator: "303 /admin/servers/"},
		"POST /admin/servers/{id}/state":                        {form: "state=drained", user: "403", operator: "303 /admin/servers/"},
		"POST /admin/servers/{id}/join":                         {user: "403", operator: "200"},
		"POST /admin/servers/{id}/revoke":                       {user: "403", operator: "303 /admin/servers/"},
		"POST /admin/servers/{id}/remove":                       {user: "403", operator: "303 /admin/servers"},
		"GET /admin/config":                                     console,
		"POST /admin/config":                                    {form: "ports=9000&hold=1&keep_old=24", user: "403", operator: "409"}, // one is under way
		"POST /admin/config/resume":                             {form: "leave={server}", user: "403", operator: "303 /admin/config"},
		"POST /admin/config/abort":                              {user: "403", operator: "303 /admin/config"},
		"POST /admin/config/rollback":                           {user: "403", operator: "303 /admin/config"},
		"GET /admin/plans":                                      console,
		"POST /admin/plans":                                     {form: "code=new{unique}&name_en=New&devices=1", user: "403", operator: "303 /admin/plans"},
		"GET /admin/plans/{id}":                                 console,
		"POST /admin/plans/{id}":                                {form: "name_en=Changed&devices=1", user: "403", operator: "303 /admin/plans/"},
		"GET /admin/vouchers":                                   console,
		"POST /admin/vouchers":                                  {form: "plan=standard&periods=1&uses=1&count=1", user: "403", operator: "201"},
		"POST /admin/vouchers/{id}/remove":                      {user: "403", operator: "303 /admin/vouchers"},
		"GET /admin/audit":                                      console,
		"GET /admin/audit/verify":                               console,
		"GET /admin/audit/export":                               console,
		"GET /admin/payments":                                   console,
		"GET /admin/export/users":                               console,
		"GET /admin/jobs":                                       console,
		"POST /admin/jobs":                                      {form: "action=extend&days=3&id={id}&sure=yes", user: "403", operator: "303 /admin/jobs/"},
		"GET /admin/jobs/{id}":                                  console,
		"GET /admin/jobs/{id}/progress":                         console,
		"POST /admin/jobs/{id}/cancel":                          {user: "403", operator: "303 /admin/jobs/"},
		"POST /admin/users/{id}/extension":                      {form: "days=3", user: "403", operator: "303 /admin/users/", support: "303 /admin/users/"},
		"POST /admin/users/{id}/signout":                        {user: "403", operator: "303 /admin/users/", support: "303 /admin/users/"},
		"POST /admin/users/{id}/reset":                          {user: "403", operator: "200", support: "200"},
		"POST /admin/users/{id}/role":                           {form: "role=viewer", user: "403", operator: "303 /admin/users/", admin: "403"},
		"GET /admin/webhooks":                                   {user: "403", operator: "200", support: "403"},
		"POST /admin/webhooks":                                  {form: "url=http://127.0.0.1:9/&noun=user", user: "403", operator: "201"},
		"GET /admin/webhooks/{id}":                              {user: "403", operator: "200", support: "403"},
		"POST /admin/webhooks/{id}":                             {form: "url=http://127.0.0.1:9/&noun=*", user: "403", operator: "303 /admin/webhooks/"},
		"POST /admin/webhooks/{id}/state":                       {form: "state=paused", user: "403", operator: "303 /admin/webhooks/"},
		"POST /admin/webhooks/{id}/test":                        {user: "403", operator: "303 /admin/webhooks/"},
		"POST /admin/webhooks/{id}/deliveries/{delivery}/retry": {user: "403", operator: "303 /admin/webhooks/"},
		"POST /admin/webhooks/{id}/remove":                      {user: "403", operator: "303 /admin/webhooks"},
		"GET /admin/settings":                                   console,
		"POST /admin/settings":                                  {form: "brand=Gate&sign_up=closed", user: "403", operator: "303 /admin/settings"},
		"POST /admin/settings/mail":                             {form: "to=me@example.com", user: "403", operator: "409"},
		"POST /admin/users/{id}/second-factor/off":              {user: "403", operator: "303 /admin/users/"},
		"POST /admin/users/{id}/passkeys/remove":                {user: "403", operator: "303 /admin/users/"},
		"GET /admin/invitations":                                console,
		"POST /admin/invitations":                               {form: "plan=standard&periods=1&days=7", user: "403", operator: "201"},
		"POST /admin/invitations/{id}/remove":                   {user: "403", operator: "303 /admin/invitations"},

		"GET /docs":              page,
		"GET /docs/openapi.yaml": page,
		"GET /docs/openapi.json": page,
		"GET /assets/{name}":     {user: "404", operator: "404"},
	}
	w := setup(t).populate()
	w.allow(vpn.SignUpOpen, "")
	w.staff()
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
			var managed int64 // what a route of the console names
			// call asks with a session of its own, because some routes end it.
			call := func(v *visitor, device, token int64, headers ...string) string {
				w.pass(61 * time.Second) // the throttle forgets
				id := device
				if strings.Contains(r.Path, "/tokens/") {
					id = token
				}
				if strings.Contains(r.Path, "/passkeys/") {
					id = w.passkeys[device]
				}
				if isConsole(r.Path) {
					id = managed
				}
				fill := strings.NewReplacer("{id}", number(id), "{device}", number(device), "{delivery}", number(device), "{unique}", number(w.unique()), "{server}", number(w.servers[0].ID), "{token}", "nothing", "{name}", "nothing")
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
			manage := func() {
				if strings.HasPrefix(r.Path, "/admin/") {
					managed, device = w.managed(strings.Split(r.Path, "/")[2])
				}
			}
			manage()
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
			if managed != 0 {
				operatorsDevice = device
			}
			check("operator", call(operators, operatorsDevice, operatorsToken), want.operator)
			if isConsole(r.Path) {
				for role, got := range map[vpn.Role]string{vpn.RoleAdmin: want.admin, vpn.RoleSupport: want.support, vpn.RoleViewer: want.viewer} {
					if got == "" {
						got = want.operator
						if r.Method == http.MethodPost && role != vpn.RoleAdmin {
							got = "403"
						}
					}
					manage()
					check(role.String(), call(w.signedIn(role.String()+"@example.com", "en"), device, token), got)
				}
			}
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

// staff makes an admin, a supporter and a viewer: admin@example.com and so on.
func (w *world) staff() {
	w.t.Helper()
	for _, role := range []vpn.Role{vpn.RoleAdmin, vpn.RoleSupport, vpn.RoleViewer} {
		u := must(w.service.AddUser(w.t.Context(), vpn.Shell(), vpn.NewAccount{Email: role.String() + "@example.com", Name: role.String(), Password: password}))(w.t)
		if err := w.service.SetRole(w.t.Context(), vpn.Shell(), u.ID, role); err != nil {
			w.t.Fatal(err)
		}
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
	w.passkeys[device] = w.passkey(user.ID)
	return device, tokens[len(tokens)-1].ID
}

// passkey gives a user one that no authenticator has made.
func (w *world) passkey(userID int64) int64 {
	w.t.Helper()
	ctx, name := w.t.Context(), []byte(number(w.passkeyCount.Add(1)))
	use := vpn.PasskeyUse{Challenge: sha256.Sum256(name), ChallengeUntil: w.now().Add(time.Minute)}
	if err := w.store.AddPasskey(ctx, vpn.Passkey{UserID: userID, Credential: name, PublicKey: []byte{1}, Name: "mine"}, use, 20, vpn.Audit{Action: "user.passkey_add"}); err != nil {
		w.t.Fatal(err)
	}
	all := must(w.store.Passkeys(ctx, userID))(w.t)
	return all[len(all)-1].ID
}

// factor turns a user's second factor on.
func (w *world) factor(userID int64) {
	w.t.Helper()
	ctx := w.t.Context()
	if err := w.store.BeginSecondFactor(ctx, userID, vpn.OTPSecret{1}, vpn.Audit{Action: "second_factor.begin"}); err != nil {
		w.t.Fatal(err)
	}
	f := must(w.store.SecondFactor(ctx, userID))(w.t)
	if err := w.store.ConfirmSecondFactor(ctx, f.ID, 1, []vpn.TokenHash{{1}}, vpn.Audit{Action: "second_factor.on"}); err != nil {
		w.t.Fatal(err)
	}
}

// managed makes something for the console to manage, such as one of "users", with a device.
func (w *world) managed(what string) (id, device int64) {
	w.t.Helper()
	ctx, shell := w.t.Context(), vpn.Shell()
	switch what {
	case "users":
		if u, err := w.service.FindUser(ctx, shell, "victim@example.com"); err == nil {
			if err := w.service.RemoveUser(ctx, shell, u.ID); err != nil {
				w.t.Fatal(err)
			}
		}
		u := must(w.service.AddUser(ctx, shell, vpn.NewAccount{Email: "victim@example.com", Password: password}))(w.t)
		must(w.service.Subscribe(ctx, shell, u.ID, "standard", 1))(w.t)
		if err := w.service.SetExpiry(ctx, shell, u.ID, w.now().AddDate(0, 0, 1)); err != nil { // within what support may do
			w.t.Fatal(err)
		}
		w.passkey(u.ID)
		w.factor(u.ID)
		return u.ID, must(w.service.AddDevice(ctx, &vpn.Actor{User: u}, "theirs", vpn.PlatformIOS))(w.t)
	case "invitations":
		i, _, err := w.service.Invite(ctx, shell, vpn.NewInvitation{Days: 1})
		return must(i, err)(w.t).ID, 0
	case "servers":
		for _, s := range must(w.store.Servers(ctx))(w.t) {
			if s.Name == "Victim" {
				if err := w.service.RemoveServer(ctx, shell, s.ID); err != nil {
					w.t.Fatal(err)
				}
			}
		}
		s := must(w.service.AddServer(ctx, shell, vpn.Server{Name: "Victim", CountryCode: "SE", Host: "v.example.net", ShadowsocksPort: 8388, ShadowsocksPorts: 1}))(w.t)
		if _, _, err := w.service.NodeJoinToken(ctx, shell, s.ID); err != nil {
			w.t.Fatal(err)
		}
		return s.ID, 0
	case "plans":
		if _, err := w.service.AddPlan(ctx, shell, vpn.Plan{Code: "victim", Name: vpn.Text{EN: "Victim"}, DeviceLimit: 1}); err != nil && vpn.CodeOf(err) != vpn.CodeConflict {
			w.t.Fatal(err)
		}
		plans := must(w.service.Plans(ctx, shell))(w.t)
		return plans[len(plans)-1].ID, 0
	case "config":
		w.takesConfigurations()
		if _, err := w.service.AbortConfig(ctx, shell); err != nil && vpn.CodeOf(err) != vpn.CodeRolloutState {
			w.t.Fatal(err)
		}
		p := vpn.Publication{Change: vpn.ConfigChange{ShadowsocksPort: 9000, ShadowsocksPorts: 1}, KeepOld: vpn.DefaultKeepOld}
		return must(w.service.PublishConfig(ctx, shell, p))(w.t).Rev, 0
	case "jobs":
		u := must(w.service.FindUser(ctx, shell, strangerEmail))(w.t)
		return must(w.service.StartJob(ctx, shell, vpn.Bulk{Action: vpn.BulkExtend, Days: 1, IDs: []int64{u.ID}}, nil))(w.t).ID, 0
	case "webhooks":
		for _, hook := range must(w.service.Webhooks(ctx, shell))(w.t) {
			if err := w.service.RemoveWebhook(ctx, shell, hook.ID); err != nil {
				w.t.Fatal(err)
			}
		}
		hook, _, err := w.service.AddWebhook(ctx, shell, "http://127.0.0.1:9/", []string{"user.*"})
		if err != nil {
			w.t.Fatal(err)
		}
		return hook.ID, w.delivered(hook.ID, false)
	case "vouchers":
		must(w.service.AddVouchers(ctx, shell, vpn.NewVouchers{Plan: "standard", Periods: 1, Count: 1, Uses: 1}))(w.t)
		return must(w.service.Vouchers(ctx, shell, 0, 1))(w.t)[0].ID, 0
	default:
		return 0, 0
	}
}

// unique returns a number not returned before.
func (w *world) unique() int64 { return w.last.Add(1) }

// delivered sends a test event to a webhook, with or without success, and returns the delivery.
func (w *world) delivered(webhook int64, isTaken bool) int64 {
	w.t.Helper()
	ctx := w.t.Context()
	d := must(w.service.TestWebhook(ctx, vpn.Shell(), webhook))(w.t)
	for _, c := range must(w.store.ClaimDeliveries(ctx, webhook, time.Minute, 10))(w.t) {
		a := vpn.Attempt{DeliveryID: c.ID, Number: c.Attempts, IsDelivered: isTaken, Status: 204}
		if !isTaken {
			a.Status, a.Error = 503, "503 Service Unavailable"
		}
		if err := w.store.EndAttempts(ctx, []vpn.Attempt{a}); err != nil {
			w.t.Fatal(err)
		}
	}
	return d.ID
}

// reset takes back what rows before have left, so that no limit is met.
func (w *world) reset() {
	w.t.Helper()
	for _, email := range []string{userEmail, operatorEmail} {
		user := must(w.store.UserByEmail(w.t.Context(), email))(w.t)
		_ = w.service.ResetPasskeys(w.t.Context(), vpn.Shell(), user.ID) // there may be none
		for _, token := range must(w.store.Tokens(w.t.Context(), user.ID))(w.t) {
			if err := w.service.RemoveToken(w.t.Context(), &vpn.Actor{User: user}, token.ID); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, d := range must(w.store.Devices(w.t.Context(), user.ID))(w.t) {
			if err := w.service.RemoveDevice(w.t.Context(), &vpn.Actor{User: user}, d.ID); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, token := range must(w.store.Tokens(w.t.Context(), user.ID))(w.t) {
			if err := w.service.RemoveToken(w.t.Context(), &vpn.Actor{User: user}, token.ID); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}
