package api

import (
	"encoding/csv"
	"strings"

	"stile/vpn"
	"stile/wire"
)

// crowds are what is done to many, and taken along.
func (a *admin) crowds() {
	ctx, shell := a.T.Context(), vpn.Shell()
	for _, name := range []string{"=cmd", "two", "three"} {
		u := must(a.service.AddUser(ctx, shell, vpn.NewAccount{Email: strings.Trim(name, "=") + "@crowd.example.com", Name: name, Password: examplePassword}))(a.T)
		if name != "three" {
			must(a.service.Subscribe(ctx, shell, u.ID, "standard", 1))(a.T)
		}
	}
	j := ask[wire.AdminJob](a, 200, "POST", "/api/admin/jobs", `{"action":"extend","days":7,"all":true,"search":"@crowd.example"}`)
	path := "/api/admin/jobs/" + id(j.ID)
	if j.State != "selecting" || j.Percent != 0 || j.EndedAt != nil {
		a.Errorf("begun: %+v", j)
	}
	if err := a.service.WorkOff(ctx, 1); err != nil {
		a.Fatal(err)
	}
	if j = ask[wire.AdminJob](a, 200, "GET", path, ""); j.State != "done" || j.Selected != 3 || j.Done != 2 || j.Refused != 1 || j.Percent != 100 || j.EndedAt == nil {
		a.Errorf("done: %+v", j)
	}
	refused := ask[wire.Page[wire.AdminOutcome, int64]](a, 200, "GET", path+"/refusals", "")
	if len(refused.Data) != 1 || *refused.Data[0].Code != "subscription_required" {
		a.Errorf("refused: %+v", refused)
	}
	wantProblem(a.T, a.call("POST", path+"/cancel", ""), 409, vpn.CodeConflict)
	next := ask[wire.AdminJob](a, 200, "POST", "/api/admin/jobs", `{"action":"sign_out","ids":[`+id(a.stranger.ID)+`]}`, "Idempotency-Key: job")
	again := ask[wire.AdminJob](a, 200, "POST", "/api/admin/jobs", `{"action":"sign_out","ids":[`+id(a.stranger.ID)+`]}`, "Idempotency-Key: job")
	cancelled := ask[wire.AdminJob](a, 200, "POST", "/api/admin/jobs/"+id(next.ID)+"/cancel", "")
	if again.ID != next.ID || cancelled.State != "cancelled" || cancelled.Selected != 1 {
		a.Errorf("%+v, %+v, %+v", next, again, cancelled)
	}
	if p := ask[wire.Page[wire.AdminJob, int64]](a, 200, "GET", "/api/admin/jobs?limit=1", ""); len(p.Data) != 1 || p.Data[0].ID != next.ID || *p.Next != next.ID {
		a.Errorf("page: %+v", p)
	}
	table := a.call("GET", "/api/admin/users/export?search=@crowd", "")
	lines, err := csv.NewReader(strings.NewReader(table.body)).ReadAll()
	if err != nil || table.StatusCode != 200 || len(lines) != 4 || len(lines[1]) != len(vpn.ExportColumns()) || lines[1][2] != "'=cmd" || lines[2][7] != "standard" || lines[3][8] != "none" {
		a.Errorf("%d %q, %v", table.StatusCode, lines, err)
	}
	if none := a.call("GET", "/api/admin/users/export?search=nobody-at-all", ""); none.StatusCode != 200 || strings.Count(none.body, "\n") != 1 {
		a.Errorf("%d %q", none.StatusCode, none.body)
	}
}

// events are webhooks.
func (a *admin) events() {
	made := ask[wire.AdminWebhook](a, 200, "POST", "/api/admin/webhooks", `{"url":"http://127.0.0.1:9/hook","events":["User.*","user.*","plan.add"]}`)
	path := "/api/admin/webhooks/" + id(made.ID)
	if !strings.HasPrefix(made.Secret, "whsec_") || len(made.Events) != 2 || !made.IsActive {
		a.Errorf("made: %+v", made)
	}
	if r := a.call("GET", path, ""); strings.Contains(r.body, "secret") || strings.Contains(a.call("GET", "/api/admin/webhooks", "").body, made.Secret) {
		a.Errorf("the secret is shown again: %s", r.body)
	}
	test := ask[wire.AdminDelivery](a, 200, "POST", path+"/test", "")
	if test.Event != vpn.EventTest || test.State != "waiting" || test.DueAt == nil {
		a.Errorf("test: %+v", test)
	}
	wantProblem(a.T, a.call("POST", "/api/admin/deliveries/"+id(test.ID)+"/retry", ""), 404, vpn.CodeNotFound) // it has not ended
	a.ended(vpn.Delivery{ID: test.ID, WebhookID: made.ID})
	all := ask[wire.Page[wire.AdminDelivery, int64]](a, 200, "GET", path+"/deliveries", "")
	if len(all.Data) != 1 || all.Data[0].State != "failed" || *all.Data[0].Error != "down" {
		a.Errorf("deliveries: %+v", all)
	}
	a.do("POST", "/api/admin/deliveries/"+id(test.ID)+"/retry", "")
	paused := ask[wire.AdminWebhook](a, 200, "PUT", path, `{"url":"http://127.0.0.1:9/other","events":["*"],"is_active":false}`)
	if paused.IsActive || paused.URL != "http://127.0.0.1:9/other" || paused.Secret != "" {
		a.Errorf("paused: %+v", paused)
	}
	a.do("DELETE", path, "")
	wantProblem(a.T, a.call("GET", path+"/deliveries", ""), 404, vpn.CodeNotFound)
}

// machines are nodes and mails.
func (a *admin) machines() {
	server := "/api/admin/servers/" + id(a.servers[0].ID)
	join := ask[wire.AdminJoin](a, 200, "POST", server+"/join", "")
	if !strings.HasPrefix(join.Line, "stile node join ") || !join.ExpiresAt.After(a.now()) {
		a.Errorf("join: %+v", join)
	}
	a.do("POST", server+"/revoke", "")
	nodes := ask[wire.Page[wire.AdminNode, int64]](a, 200, "GET", "/api/admin/nodes", "")
	if n := nodes.Data[0]; n.RevokedAt == nil || n.JoinedAt != nil || n.RefusedKeys != 0 {
		a.Errorf("node: %+v", n)
	}
	a.do("POST", "/api/admin/settings/test-mail", `{"to":"Me@example.com"}`)
	a.isMailDown = true
	if r := a.call("POST", "/api/admin/settings/test-mail", `{"to":"me@example.com"}`); r.StatusCode != 422 || !strings.Contains(r.body, `"reason":"554 no"`) {
		a.Errorf("%d %s", r.StatusCode, r.body)
	}
}
