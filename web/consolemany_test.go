package web

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"stile/vpn"
)

// post sends a form that is made of pairs, some of one name perhaps.
func (v *visitor) post(path string, pairs ...string) *document {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return v.do("POST", path, form)
}

func TestConsoleJobsWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	owner := must(w.service.FindUser(t.Context(), vpn.Shell(), operatorEmail))(t)
	v.open("/admin/jobs").says(200, "No jobs so far.")
	v.open("/admin/users?status=blocked").says(200, "Nobody matches.")
	v.open("/admin/users?ends=month&has=standard&q=ivan").says(200, userEmail)
	v.open("/admin/users?staff=yes").says(200, operatorEmail, "owner")
	v.open("/admin/users?ends=ended&status=never&has=none").says(200)

	// Those ticked, and the question before.
	v.post("/admin/jobs", "action", "extend", "days", "5").says(422, "Nobody is chosen")
	v.post("/admin/jobs", "action", "extend", "days", "x", "id", "1").says(422, "Days: There is no such choice.")
	v.post("/admin/jobs", "action", "extend", "days", "0", "id", "1").says(422, "Days: There is no such choice.")
	v.post("/admin/jobs", "action", "erase", "id", "1").says(422, "There is no such choice.")
	v.post("/admin/jobs", "action", "plan", "plan", "none", "periods", "1", "id", "1").says(422, "There is no such choice.")
	ask := v.post("/admin/jobs", "action", "extend", "days", "5", "id", number(w.user.ID), "id", number(owner.ID)).says(200, "Is that what you mean?", "2 accounts", "Extend: 5 days")
	page := v.submit(ask, "/admin/jobs", "id", number(w.user.ID)).says(200, "The job has begun.", "Done 0 of 1", "running")
	if page.find("form", "action", page.path+"/cancel") == nil {
		t.Error("it can't be cancelled")
	}
	before := must(w.store.Entitlement(t.Context(), w.user.ID))(t).Subscription.ExpiresAt
	if err := w.service.WorkOff(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if after := must(w.store.Entitlement(t.Context(), w.user.ID))(t).Subscription.ExpiresAt; !after.Equal(before.AddDate(0, 0, 5)) {
		t.Errorf("%v became %v", before, after)
	}
	v.open(page.path).says(200, "Done 1 of 1, left out 0.")

	// All that a filter finds, but the operator who asks.
	v.post("/admin/jobs", "action", "block", "all", "yes").says(200, "3 accounts, all there are", "You, and operators of your rank")
	ask = v.post("/admin/jobs", "action", "block", "all", "yes", "q", "@example.com").says(200, "3 accounts, all that the filter finds")
	page = v.submit(ask, "/admin/jobs").says(200, "selecting")
	if err := w.service.WorkOff(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	v.open(page.path).says(200, "Done 2 of 3, left out 1.", "Who was left out", operatorEmail, "no right to change this account")
	if u := must(w.store.User(t.Context(), w.stranger.ID))(t); u.Status != vpn.UserBlocked {
		t.Errorf("%+v", u)
	}
	var now struct {
		Percent int    `json:"percent"`
		Said    string `json:"said"`
		IsOver  bool   `json:"is_over"`
	}
	if err := json.Unmarshal([]byte(v.open(page.path+"/progress").body), &now); err != nil || now.Percent != 100 || !now.IsOver || now.Said == "" {
		t.Errorf("%+v, %v", now, err)
	}
	ask = v.post("/admin/jobs", "action", "unblock", "all", "yes", "status", "blocked").says(200, "2 accounts")
	page = v.submit(ask, "/admin/jobs")
	v.submit(page, page.path+"/cancel").says(200, "The job is cancelled.", "cancelled")
	v.post(page.path+"/cancel").says(200, "cancelled") // it is over, and nobody is to blame
	v.open("/admin/jobs").says(200, "№ 3 unblock", "№ 1 extend", operatorEmail)
	v.open("/admin/jobs/99").says(404)
	v.post("/admin/jobs/99/cancel").says(404)

	// Taken along.
	file := v.open("/admin/export/users?q=ivan")
	lines, err := csv.NewReader(strings.NewReader(file.body)).ReadAll()
	if err != nil || len(lines) != 2 || lines[1][1] != userEmail || !strings.Contains(file.Header.Get("Content-Disposition"), "users.csv") {
		t.Errorf("%q, %v", lines, err)
	}
	lines, err = csv.NewReader(strings.NewReader(v.open("/admin/export/users?chosen=yes&q=ivan&id=" + number(w.stranger.ID) + "&id=77").body)).ReadAll()
	if err != nil || len(lines) != 2 || lines[1][1] != strangerEmail {
		t.Errorf("%q, %v", lines, err)
	}
	v.open("/admin/export/users?chosen=yes").says(422, "Nobody is chosen")
	v.open("/admin/audit").says(200, "export.users", "bulk.block", "bulk.cancel")
}

func TestConsoleWebhooksWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	p := v.open("/admin/webhooks").says(200, "No webhooks so far.")
	v.submit(p, "/admin/webhooks", "url", "ftp://x", "noun", "user").says(422, "Address: an address such as https://")
	v.submit(p, "/admin/webhooks", "url", "https://crm.example.net/<b>").says(422, "Events: at least one event")
	p = v.post("/admin/webhooks", "url", "https://crm.example.net/<b>", "noun", "user", "noun", "plan", "events", "device.sign_in, node.online").
		says(201, "https://crm.example.net/<b>", "it will not be shown again", "Nothing was sent so far.")
	secret := p.find("input", "id", "secret").attr("value")
	at := "/admin/webhooks/1"
	if !strings.HasPrefix(secret, "whsec_") || strings.Contains(v.open(at).body, secret) || strings.Contains(w.log.String(), secret) {
		t.Error("the secret is shown twice")
	}
	hook := must(w.service.Webhook(t.Context(), vpn.Shell(), 1))(t)
	if strings.Join(hook.Events, " ") != "device.sign_in node.online plan.* user.*" {
		t.Errorf("%v", hook.Events)
	}
	p = v.open(at)
	if p.find("input", "value", "user").has("checked") != true || p.find("input", "value", "server").has("checked") || p.find("input", "name", "events").attr("value") != "device.sign_in node.online" {
		t.Error("the form says something else")
	}
	v.submit(p, at+"/test").says(200, "A test event is in line", "webhook.test", "waiting")
	d := w.delivered(1, false)
	p = v.open(at).says(200, "503 Service Unavailable", "failed")
	p = v.submit(p, at+"/deliveries/"+number(d)+"/retry").says(200, "The delivery is in line again.")
	v.post(at + "/deliveries/" + number(d) + "/retry").says(404) // it waits already
	v.post("/admin/webhooks/9/deliveries/1/retry").says(404)
	p = v.submit(p, at+"/state").says(200, "paused", "it misses what happens")
	v.submit(p, at+"/state").says(200, "Pause")
	v.post(at, "url", "https://crm.example.net/other").says(422, "at least one event")
	p = v.post(at, "url", "https://crm.example.net/other", "noun", "*").says(200, "The webhook is saved.", "https://crm.example.net/other")
	v.submit(p, at+"/remove").says(200, "The webhook is deleted.")
	v.open(at).says(404)
}

func TestConsolePaymentsAndSettingsWithoutJavaScript(t *testing.T) {
	isDown := false
	w := setup(t, withJoinLine, func(c *Config) {
		c.SendTestMail = func(_ context.Context, from, to, lang string) error {
			if from != "VPN <vpn@example.net>" || to != "me@example.com" || lang != "en" {
				t.Errorf("a mail from %s to %s in %s", from, to, lang)
			}
			if isDown {
				return errors.New("554 <no>")
			}
			return nil
		}
	}).populate()
	v := w.signedIn(operatorEmail, "en")
	v.open("/admin/payments").says(200, "No payments so far.")
	for id, money := range map[string]struct {
		amount   int64
		currency string
	}{"pi_1": {49900, "RUB"}, "pi_2": {1200, "JPY"}, "pi_3": {0, ""}, "pi_4": {1500, "KWD"}} {
		if _, err := w.service.TakePayment(t.Context(), vpn.NewPayment{ID: id, Email: userEmail, Plan: "standard", Amount: money.amount, Currency: money.currency}); err != nil {
			t.Fatal(err)
		}
	}
	v.open("/admin/payments").says(200, "pi_1", "499.00 RUB", "1200 JPY", "1.500 KWD", userEmail, "Standard")
	v.open("/admin/payments?before=pi_0").says(200)
	v.open("/admin/users/"+number(w.user.ID)).says(200, "499.00 RUB", "user.add")

	p := v.open("/admin/settings").says(200, "Settings of the service", "No mails are sent")
	v.submit(p, "/admin/settings", "renew_url", "x").says(422, "Renewal page: an address")
	v.submit(p, "/admin/settings", "brand", strings.Repeat("x", 46)).says(422, "Name: Too long: at most 45")
	v.submit(p, "/admin/settings", "mail_from", "nobody").says(422, "Sender: That does not look like")
	p = v.submit(p, "/admin/settings", "brand", "Gate", "sign_up", "voucher", "support_url", "mailto:help@example.net", "mail_from", "VPN <vpn@example.net>").says(200, "The settings are saved.")
	if got := w.service.Settings(t.Context()); got.Brand != "Gate" || got.SignUp != vpn.SignUpVoucher || got.MailFrom != "VPN <vpn@example.net>" {
		t.Errorf("%+v", got)
	}
	if p.find("input", "name", "brand").attr("value") != "Gate" {
		t.Error("the page says something else")
	}
	v.post("/admin/settings/mail", "to", "nobody").says(422, "does not look like")
	v.post("/admin/settings/mail", "to", "Me@example.com").says(200, "The mail server has taken the mail.")
	isDown = true
	v.post("/admin/settings/mail", "to", "me@example.com").says(422, "did not take the mail: 554 <no>")
	v.open("/admin/audit/verify").says(200, "The chain holds")
	if err := w.service.ChainAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := v.open("/admin/audit/export")
	first, _, _ := strings.Cut(file.body, "\n")
	if !strings.Contains(first, `"hash":"`) || file.Header.Get("Content-Type") != "application/jsonl" {
		t.Errorf("%s", first)
	}
}

// TestViewersSeeNoButtons: whoever only looks meets nothing that changes anything, on no page, and no secret.
func TestViewersSeeNoButtons(t *testing.T) {
	w := setup(t, withJoinLine).populate()
	w.staff()
	job, _ := w.managed("jobs")
	hook, _ := w.managed("webhooks")
	w.managed("config")
	must(w.service.AddVouchers(t.Context(), vpn.Shell(), vpn.NewVouchers{Plan: "standard", Periods: 1, Count: 1, Uses: 1}))(t)
	must(w.service.AddDevice(t.Context(), &vpn.Actor{User: w.user}, "phone", vpn.PlatformIOS))(t)
	allowed := map[string]bool{"/signout": true, "/preferences": true, "/admin/jobs": true} // the last chooses rows for a file
	for role, helps := range map[string][]string{"viewer": nil, "support": {"/extension", "/signout", "/reset", "/remove"}} {
		v := w.signedIn(role+"@example.com", "en")
		for _, path := range []string{
			"/admin", "/admin/users", "/admin/users/" + number(w.user.ID), "/admin/servers", "/admin/servers/1", "/admin/config", "/admin/plans", "/admin/plans/1",
			"/admin/vouchers", "/admin/payments", "/admin/audit", "/admin/settings", "/admin/jobs", "/admin/jobs/" + number(job), "/admin/webhooks", "/admin/webhooks/" + number(hook),
		} {
			p := v.open(path)
			if strings.HasPrefix(path, "/admin/webhooks") && role == "support" {
				p.says(403)
				continue
			}
			p.says(200)
			if role == "support" && strings.Contains(p.body, "/admin/webhooks") {
				t.Errorf("%s: support is led to webhooks", path)
			}
			element{p.root}.each(func(e element) bool {
				action := e.attr("action")
				isHelp := false
				for _, end := range helps {
					isHelp = isHelp || (strings.HasPrefix(action, "/admin/users/") && strings.HasSuffix(action, end))
				}
				if e.Data == "form" && e.attr("method") == "post" && !allowed[action] && !isHelp {
					t.Errorf("%s sees a form for %s on %s", role, action, path)
				}
				if e.Data == "button" && (e.attr("name") == "all" || e.attr("class") == "primary") && action == "" && strings.HasPrefix(path, "/admin/users") && role == "viewer" {
					t.Errorf("%s sees the button %q on %s", role, e.text(), path)
				}
				return true
			})
		}
	}
}

func jobsFlow(w *world, b *tab) {
	for i := range 30 {
		must(w.store.AddUser(b.t.Context(), vpn.NewUser{Email: "many" + number(int64(i)) + "@example.com", Name: "Many", Locale: "en"}, vpn.Audit{Action: "user.add"}))(b.t)
	}
	b.open("/admin/users")
	b.choose("select[name=action]", "extend")
	b.click("button[name=all]")
	b.sees("Точно это сделать?", "Is that what you mean?")
	b.audit("console bulk asked")
	b.click("form.row button")
	b.sees("Задание начато.", "The job has begun.")
	b.audit("console job begun")
	if err := w.service.WorkOff(b.t.Context(), 1); err != nil {
		b.t.Fatal(err)
	}
	b.sees("Кого не коснулось", "Who was left out") // by itself
	b.audit("console job done")
	b.open("/admin/jobs")
	b.audit("console jobs")
	b.open("/admin/users?q=nobody")
	b.audit("console users none")
	b.open("/admin/users")
	b.click("fieldset .primary")
	b.sees("Никто не выбран", "Nobody is chosen")
	b.forget("422")
	b.audit("console bulk refused")
	again := eval[[]bool](b, `["", ""].map(() => !document.querySelector("form[method=post]").dispatchEvent(new SubmitEvent("submit", {bubbles: true, cancelable: true})))`)
	if !slices.Equal(again, []bool{false, true}) {
		b.t.Errorf("%s: of two clicks on one form these are kept from sending it: %v", b.look, again)
	}
}

func webhooksFlow(w *world, b *tab) {
	b.open("/admin/webhooks")
	b.audit("console webhooks none")
	b.fill("input[name=url]", "https://crm.example.net/hook")
	b.press("input[value=user]")
	b.fill("input[name=events]", "device.sign_in")
	b.click("section button.primary")
	b.sees("больше он показан не будет", "will not be shown again")
	b.audit("console webhook made")
	hooks := must(w.service.Webhooks(b.t.Context(), vpn.Shell()))(b.t)
	w.delivered(hooks[0].ID, true)
	w.delivered(hooks[0].ID, false)
	b.click("form[action$='/test'] button")
	b.sees("Пробное событие в очереди", "A test event is in line")
	b.audit("console webhook")
	b.click("form[action$='/state'] button")
	b.sees("события мимо него", "it misses what happens")
	b.audit("console webhook paused")
	b.open("/admin/webhooks")
	b.audit("console webhooks")
}

func moneyFlow(w *world, b *tab) {
	ctx := b.t.Context()
	for i, amount := range []int64{49900, 129900} {
		must(w.service.TakePayment(ctx, vpn.NewPayment{ID: "pi_3Q9" + number(int64(i)), Email: strangerEmail, Plan: "standard", Amount: amount, Currency: "RUB"}))(b.t)
	}
	b.open("/admin/payments")
	b.sees("499.00", "499.00")
	b.audit("console payments")
	must(w.service.AddDevice(ctx, &vpn.Actor{User: w.stranger}, "Телефон", vpn.PlatformIOS))(b.t)
	w.belongings(strangerEmail)
	b.open("/admin/users/" + number(w.stranger.ID))
	b.press("details.table summary")
	b.sees("Телефон", "Телефон")
	b.audit("console user in full")
	if err := w.service.SetServerState(ctx, vpn.Shell(), w.servers[0].ID, vpn.ServerDrained); err != nil {
		b.t.Fatal(err)
	}
	b.open("/admin/users/" + number(w.stranger.ID))
	b.press("details.table summary")
	b.sees("Сервер выведен из работы", "The server is drained")
	b.audit("console user diagnosed")
	b.press(".actions > button[popovertarget=reset]")
	b.click("#reset button.primary")
	b.sees("Ссылка для нового пароля", "Link to set a new password")
	b.audit("console user reset")
	b.open("/admin/audit/verify")
	b.sees("Цепочка цела", "The chain holds")
	b.audit("console audit verified")
}

func serviceFlow(b *tab) {
	b.open("/admin/settings")
	b.audit("console settings")
	b.fill("input[name=support_url]", "help")
	b.click("form.cards button.primary")
	b.sees("Поддержка: нужен адрес", "Support: an address")
	b.forget("422")
	b.audit("console settings refused")
	b.fill("input[name=support_url]", "mailto:help@example.net")
	b.fill("input[name=brand]", "Тихая гавань")
	b.click("form.cards button.primary")
	b.sees("Настройки сохранены.", "The settings are saved.")
}
