package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"stile/vpn"
	"stile/wire"
)

// TestAdminLimits goes one past every limit of administration: a clear 422 that names a field of the call, and nothing is made.
func TestAdminLimits(t *testing.T) {
	w, d := setup(t, engines[0].dsn(t)), newDocument(t)
	router := newRouter((&API{}).entries(), slog.DiscardHandler)
	token := w.owner()
	user := "/api/admin/users/" + id(w.user.ID)
	long := strings.Repeat("я", maxText+1)
	ids := strings.TrimSuffix(strings.Repeat("1,", vpn.MaxBulk+1), ",")
	plan := func(fields string) string { return `{"code":"c","name_en":"n","device_limit":1,` + fields + `}` }
	server := func(fields string) string {
		return `{"name":"n","country":"NL","host":"h","shadowsocks_port":1,` + fields + `}`
	}
	for name, c := range map[string]struct{ method, path, body string }{
		"e-mail":            {"POST", "/api/admin/users", `{"email":"` + strings.Repeat("a", maxText) + `@example.com","password":"password123"}`},
		"short password":    {"POST", "/api/admin/users", `{"email":"x@example.com","password":"1234567"}`},
		"password":          {"POST", "/api/admin/users", `{"email":"x@example.com","password":"` + strings.Repeat("x", maxPassword+1) + `"}`},
		"name":              {"POST", "/api/admin/users", `{"email":"x@example.com","password":"password123","name":"` + long + `"}`},
		"locale":            {"POST", "/api/admin/users", `{"email":"x@example.com","password":"password123","locale":"de"}`},
		"new password":      {"POST", "/api/password", `{"token":"x","password":"1234567"}`},
		"reset token":       {"POST", "/api/password", `{"token":"` + long + `","password":"password123"}`},
		"job without ids":   {"POST", "/api/admin/jobs", `{"action":"block"}`},
		"job with ids":      {"POST", "/api/admin/jobs", `{"action":"block","ids":[` + ids + `]}`},
		"job's filter":      {"POST", "/api/admin/jobs", `{"action":"block","all":true,"status":"gone"}`},
		"job's plan":        {"POST", "/api/admin/jobs", `{"action":"block","all":true,"plan_is":"none"}`},
		"job's days":        {"POST", "/api/admin/jobs", `{"action":"extend","all":true,"days":36501}`},
		"job's action":      {"POST", "/api/admin/jobs", `{"action":"erase","all":true}`},
		"webhook's address": {"POST", "/api/admin/webhooks", `{"url":"https://` + strings.Repeat("x", 2048) + `","events":["*"]}`},
		"webhook's scheme":  {"POST", "/api/admin/webhooks", `{"url":"ftp://x","events":["*"]}`},
		"webhook's events":  {"POST", "/api/admin/webhooks", `{"url":"https://x","events":[]}`},
		"webhook's text":    {"POST", "/api/admin/webhooks", `{"url":"https://x","events":"*"}`},
		"no event":          {"POST", "/api/admin/webhooks", `{"url":"https://x","events":["key.issue"]}`},
		"export's filter":   {"GET", "/api/admin/users/export?expires_after=tomorrow", ``},
		"test mail's":       {"POST", "/api/admin/settings/test-mail", `{"to":"nobody"}`},
		"no ids":            {"POST", "/api/admin/users/bulk", `{"action":"block","ids":[]}`},
		"ids":               {"POST", "/api/admin/users/bulk", `{"action":"block","ids":[` + ids + `]}`},
		"an id":             {"POST", "/api/admin/users/bulk", `{"action":"block","ids":[9223372036854775808]}`},
		"ids of texts":      {"POST", "/api/admin/users/bulk", `{"action":"block","ids":["1"]}`},
		"ids in an object":  {"POST", "/api/admin/users/bulk", `{"action":"block","ids":{"1":1}}`},
		"action":            {"POST", "/api/admin/users/bulk", `{"action":"erase","ids":[1]}`},
		"bulk days":         {"POST", "/api/admin/users/bulk", `{"action":"extend","ids":[1],"days":36501}`},
		"bulk periods":      {"POST", "/api/admin/users/bulk", `{"action":"plan","ids":[1],"plan":"standard","periods":1201}`},
		"status":            {"PATCH", user, `{"status":"gone"}`},
		"role":              {"PUT", user + "/role", `{"role":"operator"}`},
		"periods":           {"POST", user + "/subscription", `{"plan":"standard","periods":1201}`},
		"no such plan":      {"POST", user + "/subscription", `{"plan":"none"}`},
		"days":              {"POST", user + "/extension", `{"days":36501}`},
		"days, 64 bits":     {"POST", user + "/extension", `{"days":4294967297}`},
		"expiry":            {"PUT", user + "/expiry", `{"expires_at":"10000-01-01T00:00:00Z"}`},
		"expiry in UTC":     {"PUT", user + "/expiry", `{"expires_at":"9999-12-31T23:59:59-01:00"}`},
		"no expiry":         {"PUT", user + "/expiry", `{}`},
		"diagnosis' device": {"GET", user + "/diagnosis?device_id=x", ""},
		"plan's code":       {"POST", "/api/admin/plans", `{"code":"` + strings.Repeat("c", 65) + `","name_en":"n","device_limit":1}`},
		"plan's code, /":    {"POST", "/api/admin/plans", `{"code":"a/b","name_en":"n","device_limit":1}`},
		"devices":           {"POST", "/api/admin/plans", `{"code":"c","name_en":"n","device_limit":10001}`},
		"no devices":        {"POST", "/api/admin/plans", `{"code":"c","name_en":"n","device_limit":0}`},
		"period":            {"POST", "/api/admin/plans", plan(`"period_days":36501`)},
		"grace":             {"POST", "/api/admin/plans", plan(`"grace_days":366`)},
		"speed":             {"POST", "/api/admin/plans", plan(`"speed_limit_mbps":1000001`)},
		"traffic":           {"POST", "/api/admin/plans", plan(`"traffic_limit":-1`)},
		"trial":             {"POST", "/api/admin/plans", plan(`"is_trial":"perhaps"`)},
		"server's name":     {"POST", "/api/admin/servers", `{"name":"` + long + `","country":"NL","host":"h","shadowsocks_port":1}`},
		"country":           {"POST", "/api/admin/servers", `{"name":"n","country":"NLD","host":"h","shadowsocks_port":1}`},
		"no country":        {"POST", "/api/admin/servers", `{"name":"n","country":"QQ","host":"h","shadowsocks_port":1}`},
		"host":              {"POST", "/api/admin/servers", `{"name":"n","country":"NL","host":"h:1","shadowsocks_port":1}`},
		"ping's address":    {"POST", "/api/admin/servers", server(`"ping_url":"ftp://h"`)},
		"port":              {"POST", "/api/admin/servers", `{"name":"n","country":"NL","host":"h","shadowsocks_port":65536}`},
		"ports":             {"POST", "/api/admin/servers", server(`"shadowsocks_ports":65536`)},
		"method":            {"POST", "/api/admin/servers", server(`"shadowsocks_method":"rc4-md5"`)},
		"HTTPS port":        {"POST", "/api/admin/servers", server(`"https_port":65536`)},
		"public name":       {"POST", "/api/admin/servers", `{"name":"n","country":"NL","host":"https://h.example","shadowsocks_port":1}`},
		"two hosts":         {"POST", "/api/admin/servers", `{"name":"n","country":"NL","host":"h.example\nss://other","shadowsocks_port":1}`},
		"ping URL":          {"POST", "/api/admin/servers", server(`"ping_url":"javascript:alert(1)"`)},
		"ping URL's host":   {"POST", "/api/admin/servers", server(`"ping_url":"https://*/ping"`)},
		"latitude":          {"POST", "/api/admin/servers", server(`"latitude":90.1`)},
		"longitude":         {"POST", "/api/admin/servers", server(`"longitude":"-180.1"`)},
		"no number":         {"POST", "/api/admin/servers", server(`"latitude":"NaN"`)},
		"capacity":          {"POST", "/api/admin/servers", server(`"capacity":2147483648`)},
		"state":             {"POST", "/api/admin/servers", server(`"state":"gone"`)},
		"no configuration":  {"POST", "/api/admin/config", `{}`},
		"config port":       {"POST", "/api/admin/config", `{"shadowsocks_port":65536}`},
		"config ports":      {"POST", "/api/admin/config", `{"shadowsocks_port":1,"shadowsocks_ports":4097}`},
		"config HTTPS port": {"POST", "/api/admin/config", `{"https_port":65536}`},
		"config method":     {"POST", "/api/admin/config", `{"shadowsocks_method":"rot13"}`},
		"config servers":    {"POST", "/api/admin/config", `{"https_port":443,"servers":[999999]}`},
		"config servers' 1": {"POST", "/api/admin/config", `{"https_port":443,"servers":["1"]}`},
		"config no servers": {"POST", "/api/admin/config", `{"https_port":443,"servers":[]}`},
		"config hold":       {"POST", "/api/admin/config", `{"https_port":443,"hold_seconds":604801}`},
		"config keep old":   {"POST", "/api/admin/config", `{"https_port":443,"keep_old_seconds":59}`},
		"config keep 0":     {"POST", "/api/admin/config", `{"https_port":443,"keep_old_seconds":0}`},
		"config history":    {"GET", "/api/admin/config/history?limit=1001", ""},
		"codes":             {"POST", "/api/admin/vouchers", `{"plan":"standard","count":1001}`},
		"uses":              {"POST", "/api/admin/vouchers", `{"plan":"standard","uses":1000001}`},
		"note":              {"POST", "/api/admin/vouchers", `{"plan":"standard","note":"` + long + `"}`},
		"expired voucher":   {"POST", "/api/admin/vouchers", `{"plan":"standard","expires_at":"2020-01-01T00:00:00Z"}`},
		"voucher in UTC":    {"POST", "/api/admin/vouchers", `{"plan":"standard","expires_at":"9999-12-31T23:59:59-01:00"}`},
		"page of payments":  {"GET", "/api/admin/payments?limit=1001", ""},
		"page of audit":     {"GET", "/api/admin/audit?limit=-1", ""},
		"page of vouchers":  {"GET", "/api/admin/vouchers?before=x", ""},
		"brand":             {"PUT", "/api/admin/settings", `{"brand":"` + strings.Repeat("я", 46) + `"}`},
		"link":              {"PUT", "/api/admin/settings", `{"account_url":"https://x/` + strings.Repeat("x", maxLink) + `"}`},
		"no link":           {"PUT", "/api/admin/settings", `{"renew_url":"javascript:alert(1)"}`},
		"no help":           {"PUT", "/api/admin/settings", `{"support_url":"help@example.net"}`},
		"sign-up":           {"PUT", "/api/admin/settings", `{"sign_up":"sometimes"}`},
		"sender":            {"PUT", "/api/admin/settings", `{"mail_from":"nobody"}`},
		"invited e-mail":    {"POST", "/api/admin/invitations", `{"email":"nobody"}`},
		"invitation's plan": {"POST", "/api/admin/invitations", `{"plan":"none"}`},
		"invitation's days": {"POST", "/api/admin/invitations", `{"days":366}`},
		"invitation's note": {"POST", "/api/admin/invitations", `{"note":"` + long + `"}`},
		"no day":            {"POST", "/api/admin/invitations", `{"days":0}`},
		"export":            {"GET", "/api/admin/audit/export?after=9223372036854775808", ""},
	} {
		got := w.as(token, c.method, c.path, c.body)
		if got.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
		if strings.Contains(got.body, "validation.") {
			t.Errorf("%s: no message for a person: %s", name, got.body)
		}
		var problem wire.Problem
		if err := json.Unmarshal([]byte(got.body), &problem); err != nil || len(problem.Errors) == 0 {
			t.Errorf("%s: %v %s", name, err, got.body)
		}
		path, _, _ := strings.Cut(c.path, "?")
		inputs := d.inputs(c.method, router.find(path).path)
		for _, e := range problem.Errors {
			if !slices.Contains(inputs, e.Field) {
				t.Errorf("%s: the call has no field %q, but %v", name, e.Field, inputs)
			}
		}
	}
	for _, path := range []string{"users", "plans", "servers", "vouchers"} {
		if got := w.as(token, "GET", "/api/admin/"+path, ""); strings.Contains(got.body, `"c"`) || strings.Contains(got.body, "x@example.com") {
			t.Errorf("%s were made: %s", path, got.body)
		}
	}
	// Ids beyond 64 bits name nothing.
	for _, path := range []string{"/api/admin/users/9223372036854775808", "/api/admin/users/x", "/api/admin/users/-1/diagnosis"} {
		wantProblem(t, w.as(token, "GET", path, ""), 404, vpn.CodeNotFound)
	}
	for _, line := range strings.Split(w.log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") {
			t.Error(line)
		}
	}
}

// A blank text is the same as an absent field, also where absent means something else than zero.
func TestBlankIsAbsent(t *testing.T) {
	read := func(body string) (p publicationInput) {
		in := &input{x: &exchange{api: &API{texts: testTexts(t)}, r: &http.Request{}}, values: must(jsonValues([]byte(body)))(t)}
		if p.read(in); len(in.faults) > 0 {
			t.Errorf("%s: %v", body, in.faults)
		}
		return p
	}
	const blanks = `{"shadowsocks_port":9000,"https_port":"","shadowsocks_method":" ","servers":"","first":"","hold_seconds":"","keep_old_seconds":""}`
	if got, want := read(blanks), read(`{"shadowsocks_port":9000}`); !reflect.DeepEqual(got, want) {
		t.Errorf("blanks publish %+v, nothing publishes %+v", got, want)
	}
	w := setup(t, engines[0].dsn(t))
	token := w.owner()
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/api/admin/users?limit=", "", `"next":null`},
		{"POST", "/api/admin/invitations", `{"email":"","days":""}`, `"email":null`},
		{"POST", "/api/admin/invitations", `{"email":null,"days":null}`, `"email":null`},
		{"POST", "/api/admin/webhooks", `{"url":"https://x.example","events":["*"],"is_active":""}`, `"is_active":true`},
		{"PUT", "/api/admin/webhooks/1", `{"url":"https://x.example","events":["*"],"is_active":" "}`, `"is_active":true`},
	} {
		if got := w.as(token, c.method, c.path, c.body); got.StatusCode != http.StatusOK || !strings.Contains(got.body, c.want) {
			t.Errorf("%s %s: %d %s", c.path, c.body, got.StatusCode, got.body)
		}
	}
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"", "k", strings.Repeat("k", maxIdempotencyKey+1), "a b", "\x7f", "ключ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if isIdempotencyKey(key) && (len(key) == 0 || len(key) > maxIdempotencyKey || strings.ContainsAny(key, "\x00\r\n\x7f")) {
			t.Errorf("%q names a request", key)
		}
	})
}

func FuzzKeptAnswer(f *testing.F) {
	f.Add(200, []byte("{}"))
	f.Add(204, []byte(nil))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		splitAnswer(body) // whatever is kept
		gotStatus, got := splitAnswer(joinAnswer(status&0xffff, body))
		if gotStatus != status&0xffff || string(got) != string(body) {
			t.Errorf("%d %q became %d %q", status, body, gotStatus, got)
		}
	})
}

func FuzzIDs(f *testing.F) {
	for _, seed := range []string{`[1,2]`, `[]`, `null`, `["1"]`, `[9223372036854775808]`, `{"a":1}`, `[1e3]`} {
		f.Add(seed)
	}
	texts := testTexts(f)
	f.Fuzz(func(t *testing.T, list string) {
		values, err := jsonValues([]byte(`{"ids":` + list + `}`))
		if err != nil {
			return
		}
		in := &input{x: &exchange{api: &API{texts: texts}, r: &http.Request{}}, values: values}
		if ids := in.ids("ids"); len(ids) > 0 && len(in.faults) > 0 {
			t.Errorf("%s: both %v and %v", list, ids, in.faults)
		}
	})
}

// The last page of a list is known for the last, also where it is full.
func TestLastPagesHaveNoNext(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	ctx, shell, token := t.Context(), vpn.Shell(), w.owner()
	must(w.service.AddVouchers(ctx, shell, vpn.NewVouchers{Plan: "standard", Periods: 1, Uses: 1, Count: 3}))(t)
	hook := w.webhook()
	for i := range 3 {
		_, _, err := w.service.Invite(ctx, shell, vpn.NewInvitation{Days: 1})
		must(0, err)(t)
		must(w.service.TakePayment(ctx, vpn.NewPayment{ID: "p" + id(int64(i)), Email: w.user.Email, Plan: "standard"}))(t)
		must(w.service.TestWebhook(ctx, shell, hook))(t)
		must(w.service.StartJob(ctx, shell, vpn.Bulk{Action: vpn.BulkExtend, Days: 1, IDs: []int64{901, 902, 903}}, nil))(t)
	}
	must(0, w.service.WorkOff(ctx, 1))(t)
	serving := vpn.NodeServing{NodeConfig: vpn.NodeConfig{NodePorts: vpn.NodePorts{Shadowsocks: 8388, Count: 1, Method: "aes-256-gcm"}}}
	must(w.service.NoteServing(ctx, w.servers[0].ID, serving))(t)
	for port := range 3 {
		must(w.service.PublishConfig(ctx, shell, vpn.Publication{Change: vpn.ConfigChange{ShadowsocksPort: 9000 + port, ShadowsocksPorts: 1}, KeepOld: vpn.DefaultKeepOld}))(t)
		must(w.service.AbortConfig(ctx, shell))(t)
	}
	type page = wire.Page[json.RawMessage, json.RawMessage]
	for path, cursor := range map[string]string{
		"vouchers": "before", "invitations": "before", "payments": "before", "audit": "before", "jobs": "before", "config/history": "before",
		"webhooks/" + id(hook) + "/deliveries": "before", "jobs/1/refusals": "after", "users": "after",
	} {
		get := func(query string) page {
			return decode[page](t, w.as(token, "GET", "/api/admin/"+path+"?"+query, ""), http.StatusOK)
		}
		n := len(get("limit=1000").Data)
		if n < 3 {
			t.Errorf("%s: %d rows", path, n)
		}
		if full := get("limit=" + id(int64(n))); len(full.Data) != n || full.Next != nil {
			t.Errorf("%s: all %d rows in a page, and then %s", path, n, *full.Next)
		}
		most := get("limit=" + id(int64(n-1)))
		if len(most.Data) != n-1 || most.Next == nil {
			t.Fatalf("%s: %d of %d rows, and then nothing", path, len(most.Data), n)
		}
		if rest := get("limit=1&" + cursor + "=" + strings.Trim(string(*most.Next), `"`)); len(rest.Data) != 1 || rest.Next != nil {
			t.Errorf("%s: %d rows are left, and then %v", path, len(rest.Data), rest.Next)
		}
	}
}
