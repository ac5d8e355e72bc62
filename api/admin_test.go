package api

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stile/store/storetest"
	"stile/vpn"
	"stile/wire"
)

// admin is an owner at the API, whose calls are all held against openapi.yaml.
type admin struct {
	*world
	*testing.T
	document *document
	token    string
}

func (a *admin) call(method, path, body string, headers ...string) reply {
	a.Helper()
	r := must(http.NewRequestWithContext(a.T.Context(), method, a.server.URL+path, strings.NewReader(body)))(a.T)
	r.Header.Set("Authorization", "Bearer "+a.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, v, _ := strings.Cut(h, ": ")
		r.Header.Set(name, v)
	}
	again := r.Clone(a.T.Context())
	answer := a.send(r)
	again.Body = io.NopCloser(strings.NewReader(body))
	a.document.check(a.T, again, answer)
	return answer
}

func ask[T any](a *admin, status int, method, path, body string, headers ...string) T {
	a.Helper()
	return decode[T](a.T, a.call(method, path, body, headers...), status)
}

func (a *admin) do(method, path, body string) {
	a.Helper()
	if r := a.call(method, path, body); r.StatusCode != http.StatusNoContent || r.body != "" {
		a.Fatalf("%s %s: %d %s", method, path, r.StatusCode, r.body)
	}
}

// TestAdmin runs the service through the API alone, on both engines.
func TestAdmin(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, engine.dsn(t))
			a := &admin{world: w, T: t, document: newDocument(t), token: w.owner()}
			a.users()
			a.connecting()
			a.fleet()
			a.money()
			a.settings()
			a.entries()
			a.crowds()
			a.events()
			a.machines()
			a.journal()
		})
	}
}

func (a *admin) users() {
	made := ask[wire.AdminUser](a, 200, "POST", "/api/admin/users", `{"email":"Anna@Example.com","password":"password123","name":"Анна","locale":"en"}`)
	if made.Email != "anna@example.com" || made.Role != "user" || made.Locale != "en" {
		a.Errorf("made %+v", made)
	}
	wantProblem(a.T, a.call("POST", "/api/admin/users", `{"email":"anna@example.com","password":"password123"}`), 409, vpn.CodeConflict)
	wantProblem(a.T, a.call("POST", "/api/admin/users", `{"email":"b@example.com","password":"short"}`), 422, vpn.CodeValidationFailed)
	path := "/api/admin/users/" + id(made.ID)
	a.do("PUT", path+"/role", `{"role":"support"}`)
	staff := ask[wire.Page[wire.AdminUser, int64]](a, 200, "GET", "/api/admin/users?staff=1&search=anna", "")
	if len(staff.Data) != 1 || staff.Data[0].Role != "support" || staff.Next != nil {
		a.Errorf("staff: %+v", staff)
	}
	var seen []string
	for after := "0"; ; {
		p := ask[wire.Page[wire.AdminUser, int64]](a, 200, "GET", "/api/admin/users?limit=2&after="+after, "")
		for _, u := range p.Data {
			seen = append(seen, u.Email)
		}
		if p.Next == nil {
			break
		}
		after = id(*p.Next)
	}
	if len(seen) != 5 || seen[4] != "anna@example.com" {
		a.Errorf("pages hold %v", seen)
	}
	for query, want := range map[string]int{
		"email=STR": 1, "plan=standard": 2, "status=blocked": 0, "status=active&limit=1000": 5, "expires_before=2020-01-01T00:00:00Z": 0,
		"expires_after=2020-01-01T00:00:00Z&email=user": 1,
	} {
		if p := ask[wire.Page[wire.AdminUser, int64]](a, 200, "GET", "/api/admin/users?"+query, ""); len(p.Data) != want {
			a.Errorf("%s: %d accounts, want %d", query, len(p.Data), want)
		}
	}
	for _, query := range []string{"limit=0", "limit=1001", "status=x", "expires_after=tomorrow", "plan=none", "after=x", "staff=maybe"} {
		wantProblem(a.T, a.call("GET", "/api/admin/users?"+query, ""), 422, vpn.CodeValidationFailed)
	}
	a.do("PATCH", path, `{"status":"blocked"}`)
	reset := ask[wire.AdminReset](a, 200, "POST", path+"/reset", "")
	a.do("POST", "/api/password", `{"token":"`+reset.Token+`","password":"another one"}`)
	wantProblem(a.T, a.call("POST", "/api/password", `{"token":"`+reset.Token+`","password":"another one"}`), 422, vpn.CodeResetInvalid)
	bulk := ask[wire.AdminBulk](a, 200, "POST", "/api/admin/users/bulk", `{"action":"unblock","ids":[`+id(made.ID)+`,999999]}`)
	if bulk.Done != 1 || len(bulk.Data) != 2 || *bulk.Data[1].Code != "not_found" {
		a.Errorf("bulk: %+v", bulk)
	}
	a.do("DELETE", path, "")
	wantProblem(a.T, a.call("GET", path, ""), 404, vpn.CodeNotFound)
}

func (a *admin) settings() {
	const route = "/api/admin/settings"
	first := ask[wire.AdminSettingsView](a, 200, "GET", route, "")
	if first.Kept != (wire.AdminSettings{}) || *first.InForce.Brand != "Stile" || *first.InForce.SignUp != "closed" || len(first.Fixed) != 0 || !first.SendsMail {
		a.Errorf("at first %+v", first)
	}
	set := ask[wire.AdminSettingsView](a, 200, "PUT", route, `{"brand":"Тихая гавань","renew_url":null,"support_url":"mailto:help@example.net","sign_up":"open"}`)
	if *set.Kept.Brand != "Тихая гавань" || *set.InForce.SupportURL != *set.Kept.SupportURL || *set.InForce.SignUp != "open" || *set.InForce.RenewURL != "https://vpn.example.net/renew" {
		a.Errorf("set %+v", set)
	}
	wantProblem(a.T, a.call("PUT", route, `{"sign_up":"sometimes"}`), 422, vpn.CodeValidationFailed)
	ask[wire.AdminSettingsView](a, 200, "PUT", route, `{}`)
}

func (a *admin) entries() {
	const route = "/api/admin/invitations"
	made := ask[wire.AdminNewInvitation](a, 200, "POST", route, `{"email":"Guest@example.com","plan":"standard","periods":2,"note":"a guest"}`)
	if *made.Email != "guest@example.com" || made.Periods != 2 || !strings.HasSuffix(made.URL, "/sign-up/"+made.Token) || made.UsedAt != nil {
		a.Errorf("made %+v", made)
	}
	wantProblem(a.T, a.call("POST", route, `{"email":"user@example.com"}`), 409, vpn.CodeConflict)
	ask[wire.AdminNewInvitation](a, 200, "POST", route, `{}`)
	page := ask[wire.Page[wire.AdminInvitation, int64]](a, 200, "GET", route+"?limit=1", "")
	if len(page.Data) != 1 || page.Next == nil || page.Data[0].Email != nil {
		a.Errorf("page %+v", page)
	}
	a.do("DELETE", route+"/"+id(made.ID), "")
	wantProblem(a.T, a.call("DELETE", route+"/"+id(made.ID), ""), 404, vpn.CodeNotFound)

	path := "/api/admin/users/" + id(a.user.ID)
	if p := ask[wire.AdminProfile](a, 200, "GET", path, ""); p.SecondFactor != nil || p.Passkeys != 0 {
		a.Errorf("profile %+v", p)
	}
	a.factors(a.user.ID)
	if p := ask[wire.AdminProfile](a, 200, "GET", path, ""); p.SecondFactor == nil || p.Passkeys != 1 {
		a.Errorf("profile %+v", p)
	}
	for _, what := range []string{"/second-factor", "/passkeys"} {
		a.do("DELETE", path+what, "")
		wantProblem(a.T, a.call("DELETE", path+what, ""), 404, vpn.CodeNotFound)
	}
	reset := ask[wire.AdminReset](a, 200, "POST", path+"/reset", "")
	if !strings.HasSuffix(reset.URL, "/reset/"+reset.Token) {
		a.Errorf("reset %+v", reset)
	}
	token, _ := a.signIn("user@example.com", "phone")
	a.do("POST", "/api/password", `{"token":"`+reset.Token+`","password":"`+examplePassword+`","keep_devices":true}`)
	decode[struct{}](a.T, a.as(token, "GET", "/api/user", ""), 200)
}

func (a *admin) connecting() {
	path := "/api/admin/users/" + id(a.user.ID)
	token, device := a.signIn("user@example.com", "phone")
	server := id(a.servers[0].ID)
	decode[struct{}](a.T, a.as(token, "POST", "/api/key", `{"server_id":`+server+`}`), 200)
	p := ask[wire.AdminProfile](a, 200, "GET", path, "")
	if len(p.Devices) != 1 || len(p.Devices[0].Keys) != 1 || p.Devices[0].Keys[0].ServerID != a.servers[0].ID || p.Reason != nil {
		a.Errorf("profile: %+v", p)
	}
	is := func(query, code string) {
		a.Helper()
		d := ask[wire.AdminDiagnoses](a, 200, "GET", path+"/diagnosis"+query, "")
		if (d.Code == nil) != d.OK || d.OK != (code == "") || (code != "" && *d.Code != code) || d.Message.RU == "" || d.Message.EN == "" ||
			(d.Remedy.EN == "") != d.OK {
			a.Errorf("diagnosis%s: %+v, want %q", query, d, code)
		}
	}
	is("", "")
	every := ask[wire.AdminDiagnoses](a, 200, "GET", path+"/diagnosis", "")
	if len(every.Keys) != 1 || *every.Keys[0].DeviceID != device || *every.Keys[0].ServerID != a.servers[0].ID || !every.Keys[0].OK || every.Keys[0].ConfirmedAt == nil {
		a.Errorf("each key: %+v", every.Keys)
	}
	is("?device_id=999999", "device_not_found")
	is("?device_id="+id(device)+"&server_id="+id(a.servers[1].ID), "plan_upgrade_required")
	is("?server_id="+id(a.servers[2].ID), "server_maintenance")
	a.do("PUT", path+"/expiry", `{"expires_at":"2026-01-01T00:00:00Z"}`)
	is("", "subscription_expired")
	extended := ask[wire.AdminProfile](a, 200, "POST", path+"/extension", `{"days":7}`)
	if at := extended.Subscription.ExpiresAt; at == nil || at.Sub(a.now()) > 7*24*time.Hour {
		a.Errorf("extended until %v", at)
	}
	wantProblem(a.T, a.call("POST", path+"/extension", `{"days":0}`), 422, vpn.CodeValidationFailed)
	ask[wire.AdminProfile](a, 200, "POST", path+"/subscription", `{"plan":"standard","periods":2}`)
	is("", "")
	a.do("DELETE", path+"/devices/"+id(device), "")
	wantProblem(a.T, a.as(token, "GET", "/api/user", ""), 401, vpn.CodeUnauthenticated)
	is("", "no_device")
	second, _ := a.signIn("user@example.com", "laptop")
	a.do("POST", path+"/sign-out", "")
	wantProblem(a.T, a.as(second, "GET", "/api/user", ""), 401, vpn.CodeUnauthenticated)
}

func (a *admin) fleet() {
	made := ask[wire.AdminServer](a, 200, "POST", "/api/admin/servers",
		`{"name":"Oslo","country":"no","city_en":"Oslo","latitude":59.9,"longitude":"10.7","host":"o.example.net","shadowsocks_port":8388,"capacity":10}`)
	if made.Country != "NO" || made.Latitude != 59.9 || made.Longitude != 10.7 || made.State != "active" {
		a.Errorf("made %+v", made)
	}
	path := "/api/admin/servers/" + id(made.ID)
	wantProblem(a.T, a.call("POST", "/api/admin/servers", `{"name":"Oslo","country":"no","host":"o","shadowsocks_port":1}`), 409, vpn.CodeConflict)
	wantProblem(a.T, a.call("POST", "/api/admin/servers", `{"name":"X","country":"no","host":"o","shadowsocks_port":65536}`), 422, vpn.CodeValidationFailed)
	if s := ask[wire.AdminServer](a, 200, "PATCH", path, `{"state":"drained"}`); s.Status != "offline" {
		a.Errorf("drained: %+v", s)
	}
	s := ask[wire.AdminServer](a, 200, "PUT", path, `{"name":"Oslo 2","country":"NO","host":"o2.example.net","shadowsocks_port":9000,"shadowsocks_method":"2022-blake3-aes-128-gcm","https_port":443}`)
	if s.Name != "Oslo 2" || s.State != "drained" || s.ShadowsocksPort != 9000 || s.ShadowsocksMethod != "2022-blake3-aes-128-gcm" || s.HTTPSPort != 443 || len(s.Protocols) != 2 {
		a.Errorf("replaced: %+v", s)
	}
	wantProblem(a.T, a.call("PATCH", path, `{"state":"gone"}`), 422, vpn.CodeValidationFailed)
	nodes := ask[wire.Page[wire.AdminNode, int64]](a, 200, "GET", "/api/admin/nodes", "")
	if len(nodes.Data) != 4 || !nodes.Data[0].IsOnline || nodes.Data[0].Revision == 0 {
		a.Errorf("nodes: %+v", nodes)
	}
	a.do("DELETE", path, "")
	if all := ask[wire.Page[wire.AdminServer, int64]](a, 200, "GET", "/api/admin/servers", ""); len(all.Data) != 3 {
		a.Errorf("servers: %+v", all)
	}
}

func (a *admin) money() {
	made := ask[wire.AdminPlan](a, 200, "POST", "/api/admin/plans", `{"code":"Gold","name_en":"Gold","tier":2,"period_days":30,"device_limit":9,"is_trial":false}`)
	path := "/api/admin/plans/" + id(made.ID)
	ask[wire.AdminPlan](a, 200, "PUT", path, `{"code":"gold","name_en":"Gold","tier":3,"period_days":30,"device_limit":9}`)
	wantProblem(a.T, a.call("PUT", path, `{"code":"standard","name_en":"Gold","device_limit":9}`), 409, vpn.CodeConflict)
	plans := ask[wire.Page[wire.AdminPlan, int64]](a, 200, "GET", "/api/admin/plans", "")
	if len(plans.Data) != 2 || plans.Data[1].Tier != 3 {
		a.Errorf("plans: %+v", plans)
	}
	codes := ask[wire.AdminCodes](a, 200, "POST", "/api/admin/vouchers", `{"plan":"gold","count":3,"note":"fair"}`)
	if len(codes.Codes) != 3 {
		a.Errorf("codes: %+v", codes)
	}
	wantProblem(a.T, a.call("POST", "/api/admin/vouchers", `{"plan":"gold","count":1001}`), 422, vpn.CodeValidationFailed)
	vouchers := ask[wire.Page[wire.AdminVoucher, int64]](a, 200, "GET", "/api/admin/vouchers?limit=2", "")
	if len(vouchers.Data) != 2 || vouchers.Next == nil || vouchers.Data[0].Note != "fair" {
		a.Errorf("vouchers: %+v", vouchers)
	}
	rest := ask[wire.Page[wire.AdminVoucher, int64]](a, 200, "GET", "/api/admin/vouchers?limit=2&before="+id(*vouchers.Next), "")
	if len(rest.Data) != 1 || rest.Next != nil {
		a.Errorf("the rest: %+v", rest)
	}
	a.do("DELETE", "/api/admin/vouchers/"+id(rest.Data[0].ID), "")
	for i := range 3 {
		must(a.service.TakePayment(a.T.Context(), vpn.NewPayment{ID: "p" + id(int64(i)), Email: "user@example.com", Plan: "standard", Amount: 5, Currency: "EUR"}))(a.T)
	}
	var seen []string
	for before := ""; ; {
		p := ask[wire.Page[wire.AdminPayment, string]](a, 200, "GET", "/api/admin/payments?limit=2&user_id="+id(a.user.ID)+"&before="+before, "")
		for i := range p.Data {
			seen = append(seen, p.Data[i].ID)
		}
		if p.Next == nil {
			break
		}
		before = *p.Next
	}
	if len(seen) != 3 {
		a.Errorf("payments: %v", seen)
	}
	stats := ask[wire.AdminStats](a, 200, "GET", "/api/admin/stats?days=2", "")
	if stats.Users != 4 || stats.Subscribed != 2 || stats.Nodes != 3 || stats.NodesOnline != 3 {
		a.Errorf("stats: %+v", stats)
	}
	wantProblem(a.T, a.call("GET", "/api/admin/stats?days=367", ""), 422, vpn.CodeValidationFailed)
}

func (a *admin) journal() {
	if err := a.service.ChainAudit(a.T.Context()); err != nil {
		a.Fatal(err)
	}
	chain := ask[wire.AdminChain](a, 200, "GET", "/api/admin/audit/verify", "")
	page := ask[wire.Page[wire.AdminAudit, int64]](a, 200, "GET", "/api/admin/audit?limit=3", "")
	if !chain.OK || chain.Entries == 0 || len(page.Data) != 3 || page.Next == nil || page.Data[0].ID != chain.LastID {
		a.Errorf("chain %+v, page %+v", chain, page)
	}
	of := ask[wire.Page[wire.AdminAudit, int64]](a, 200, "GET", "/api/admin/audit?limit=1000&user_id="+id(a.user.ID), "")
	for _, e := range of.Data {
		if e.ActorID != a.user.ID && e.SubjectID != a.user.ID {
			a.Errorf("not of this user: %+v", e)
		}
	}
	export := a.call("GET", "/api/admin/audit/export", "")
	lines := strings.Split(strings.TrimSpace(export.body), "\n")
	if int64(len(lines)) != chain.Entries || export.Header.Get("Content-Type") != "application/jsonl" {
		a.Fatalf("%d lines of %s, want %d", len(lines), export.Header.Get("Content-Type"), chain.Entries)
	}
	var hash vpn.AuditHash // as anybody can compute it
	for _, line := range lines {
		var e wire.AdminAudit
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			a.Fatal(err)
		}
		hash = hash.Next(&vpn.Audit{ID: e.ID, ActorID: e.ActorID, Action: e.Action, SubjectID: e.SubjectID, At: e.At})
		if hex.EncodeToString(hash[:]) != e.Hash {
			a.Fatalf("entry %d has another hash", e.ID)
		}
	}
	if hex.EncodeToString(hash[:]) != chain.Head {
		a.Error("the last line is not the head")
	}
	if rest := a.call("GET", "/api/admin/audit/export?after="+id(chain.LastID), ""); rest.StatusCode != 200 || rest.body != "" {
		a.Errorf("nothing is left: %d %s", rest.StatusCode, rest.body)
	}
}

// What comes again under its key is answered again and not done again, also on another replica and at the same time.
func TestIdempotencyKeys(t *testing.T) {
	for _, engine := range []func(testing.TB) string{engines[0].dsn, storetest.Postgres} {
		w := setup(t, engine(t))
		a := &admin{world: w, T: t, document: newDocument(t), token: w.owner()}
		const route, body = "/api/admin/vouchers", `{"plan":"standard","count":2}`
		first := a.call("POST", route, body, "Idempotency-Key: k1")
		again := a.call("POST", route, body, "Idempotency-Key: k1")
		if first.StatusCode != 200 || again.StatusCode != 200 || first.body != again.body || again.Header.Get("Idempotent-Replayed") != "true" ||
			first.Header.Get("Idempotent-Replayed") != "" {
			t.Fatalf("%d %s, then %d %s", first.StatusCode, first.body, again.StatusCode, again.body)
		}
		wantProblem(t, a.call("POST", route, `{"plan":"standard","count":3}`, "Idempotency-Key: k1"), 422, vpn.CodeKeyReused)
		wantProblem(t, a.call("POST", "/api/admin/plans", body, "Idempotency-Key: k1"), 422, vpn.CodeKeyReused)
		if other := a.call("POST", route, body, "Idempotency-Key: k2"); other.body == first.body {
			t.Error("another key got the same codes")
		}
		// Another owner's keys are others; a refusal is not kept.
		b := &admin{world: w, T: t, document: a.document, token: w.owner()}
		if other := b.call("POST", route, body, "Idempotency-Key: k1"); other.StatusCode != 200 || other.body == first.body {
			t.Errorf("another owner: %d %s", other.StatusCode, other.body)
		}
		newUser := `{"email":"new@example.com","password":"password123","locale":"xx"}`
		wantProblem(t, a.call("POST", "/api/admin/users", newUser, "Idempotency-Key: k3"), 422, vpn.CodeValidationFailed)
		ask[wire.AdminUser](a, 200, "POST", "/api/admin/users", strings.Replace(newUser, "xx", "en", 1), "Idempotency-Key: k3")
		for _, bad := range []string{"", strings.Repeat("k", maxIdempotencyKey+1), "ключ"} {
			if got := w.as(a.token, "POST", route, body, "Idempotency-Key: "+bad); got.StatusCode != 400 {
				t.Errorf("key %q: %d", bad, got.StatusCode)
			}
		}
		count := func() int { return len(must(w.service.Vouchers(t.Context(), vpn.Shell(), 0, 1000))(t)) }
		before := count()
		var sent sync.WaitGroup
		for range 8 {
			sent.Go(func() {
				if r := w.as(a.token, "POST", route, body, "Idempotency-Key: together"); r.StatusCode != 200 && r.StatusCode != 409 {
					t.Errorf("at the same time: %d %s", r.StatusCode, r.body)
				}
			})
		}
		sent.Wait()
		if made := count() - before; made != 2 {
			t.Errorf("%d vouchers were made at once, want 2", made)
		}
		w.pass(25 * time.Hour)
		if later := a.call("POST", route, body, "Idempotency-Key: k1"); later.StatusCode != 200 || later.body == first.body {
			t.Errorf("a day later: %d", later.StatusCode)
		}
	}
}

// A first answer may hold a secret: nobody gets it again who could not get it now, neither with a token that only looks nor after
// the role was taken.
func TestFirstAnswersAreForTheirToken(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	u, token := w.staff(vpn.RoleAdmin)
	writes, looks := token(vpn.ScopeAdminWrite), token(vpn.ScopeAdminRead)
	post := func(token string) reply {
		return w.as(token, "POST", "/api/admin/vouchers", `{"plan":"standard"}`, "Idempotency-Key: k")
	}
	if first := post(writes); first.StatusCode != 200 {
		t.Fatalf("%d %s", first.StatusCode, first.body)
	}
	wantProblem(t, post(looks), 422, vpn.CodeKeyReused)
	for what, take := range map[string]func() error{
		"the role": func() error { return w.service.SetRole(t.Context(), vpn.Shell(), u.ID, vpn.RoleSupport) },
		"access": func() error {
			return errors.Join(w.service.SetRole(t.Context(), vpn.Shell(), u.ID, vpn.RoleAdmin), w.service.SetUserStatus(t.Context(), vpn.Shell(), u.ID, vpn.UserBlocked))
		},
	} {
		if err := take(); err != nil {
			t.Fatal(err)
		}
		if got := post(writes); got.StatusCode == 200 || strings.Contains(got.body, "codes") {
			t.Errorf("without %s: %d %s", what, got.StatusCode, got.body)
		}
	}
}

// Nothing that a support role gets says what opens something.
func TestSupportSeesNoSecret(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	token, _ := w.signIn("user@example.com", "phone")
	actor := must(w.service.Authenticate(t.Context(), token))(t)
	issued := must(w.service.IssueKey(t.Context(), actor, vpn.IssueKey{ServerID: w.servers[0].ID}))(t)
	codes := must(w.service.AddVouchers(t.Context(), vpn.Shell(), vpn.NewVouchers{Plan: "standard", Periods: 1, Uses: 1, Count: 1}))(t)
	_, staffToken := w.staff(vpn.RoleSupport)
	support := staffToken(vpn.ScopeAdminWrite)
	_, secret, _ := strings.Cut(token, "|")
	secrets := []string{secret, issued.Key.Seed.DynamicToken(), codes[0], strings.ReplaceAll(codes[0], "-", ""), examplePassword}
	for _, r := range Routes() {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.Path, "/api/admin/") {
			continue
		}
		got := w.as(support, "GET", strings.Replace(r.Path, "{id}", id(w.user.ID), 1), "")
		for _, s := range secrets {
			if strings.Contains(got.body, s) {
				t.Errorf("%s tells %q", r.Path, s)
			}
		}
	}
}
