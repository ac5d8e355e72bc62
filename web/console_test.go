package web

import (
	"context"
	"crypto/sha256"
	"net/url"
	"strings"
	"testing"
	"time"

	"stile/internal/testbrowser"
	"stile/vpn"
)

// TestConsoleInChromium tells what operators do in Chromium, as TestFlowsInChromium does for users.
func TestConsoleInChromium(t *testing.T) {
	browser := chromium(t)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			w := setup(t, withJoinLine).populate()
			phone, _ := w.belongings(userEmail)
			w.use(w.user.ID, phone)
			b := w.operatorsTab(browser, t, l)
			glanceFlow(w, b)
			usersFlow(w, b)
			fleetFlow(b)
			configurationFlow(w, b)
			plansFlow(b)
			vouchersFlow(w, b)
			jobsFlow(w, b)
			webhooksFlow(w, b)
			moneyFlow(w, b)
			serviceFlow(b)
			b.open("/admin/audit")
			b.sees("Журнал аудита", "Audit log")
			b.audit("console audit")
		})
	}
}

// operatorsTab is a tab of an operator who has signed in.
func (w *world) operatorsTab(browser *testbrowser.Chromium, t *testing.T, l look) *tab {
	b := w.tab(browser, t, l)
	b.open("/signin?next=/admin")
	b.fill("input[name=email]", operatorEmail)
	b.fill("input[name=password]", password)
	b.click("form.card button.primary")
	return b
}

func glanceFlow(w *world, b *tab) {
	for i := range 20 {
		w.nodes.more.Store(int64(i * i % 11 * 9))
		w.read(b.t)
	}
	b.open("/admin")
	b.waits(`document.querySelector("live-values").dataset.on === ""`)
	w.nodes.more.Store(1000)
	w.read(b.t)
	b.sees("4170", "4170")
	if points := eval[string](b, "document.querySelector('.line.wide polyline').getAttribute('points')"); strings.Count(points, ",") != 21 || !strings.HasSuffix(points, "35,4170") {
		b.t.Errorf("the line is %s", points)
	}
	b.sees("1017", "1017")
	w.nodes.more.Store(0)
	b.sees("Требует внимания", "Needs attention")
	b.audit("console")
	b.click("a.side")
	b.sees("Здравствуйте, Operator", "Hello, Operator")
	b.click("a.side")
	b.click("nav.menu a[href='/admin/users']")
	b.sees(userEmail, userEmail)
}

func usersFlow(w *world, b *tab) {
	b.audit("console users")
	b.fill("input[name=email]", "ann@example.com")
	b.choose("section select[name=plan]", "standard")
	b.click("section button.primary")
	b.sees("больше он показан не будет", "will not be shown again")
	b.audit("console user made")
	made := eval[string](b, "document.getElementById('secret').value")
	ann := must(w.service.FindUser(b.t.Context(), vpn.Shell(), "ann@example.com"))(b.t)
	if hash := must(w.store.Credentials(b.t.Context(), ann.Email))(b.t).PasswordHash; hash != made {
		b.t.Errorf("the shown password is not the one set")
	}
	b.open("/admin/users")
	b.fill("input[name=q]", "ИВАН")
	b.click("form.filter button")
	b.click("tbody a")
	b.sees("ничто не мешает", "Nothing is in the way")
	b.audit("console user")
	b.click("form[action$='/status'] button")
	b.sees("Пользователь заблокирован", "The user is blocked")
	b.audit("console user blocked")
	b.press("button.danger[popovertarget=password]")
	b.audit("console user password")
	b.click("#password button.solid")
	b.sees("больше он показан не будет", "will not be shown again")
	b.fill("input[name=email]", "nobody")
	b.click("form[action$='/remove'] > button.solid")
	b.sees("Не совпадает.", "That is not the same.")
	b.forget("422")
	b.audit("console user kept")
	b.fill("input[name=email]", userEmail)
	b.click("form[action$='/remove'] > button.solid")
	b.sees("Пользователь удалён.", "The user is deleted.")
}

// withJoinLine lets nodes join, as far as the dashboard knows.
func withJoinLine(c *Config) {
	c.JoinLine = func(_ context.Context, _ *vpn.Actor, id int64) (string, error) {
		return "stile node join stilejoin1_of_server_" + number(id), nil
	}
}

func fleetFlow(b *tab) {
	b.open("/admin/servers")
	b.sees("на связи", "online")
	b.audit("console servers")
	b.fill("input[name=name]", "Осло 1")
	b.fill("input[name=host]", "no1.example.net")
	b.fill("input[name=country]", "no")
	b.fill("input[name=ports]", "8388-8")
	b.click("section button.primary")
	b.sees("Порты: нужен порт от 1", "Ports: a port from 1")
	b.forget("422")
	b.audit("console server refused")
	b.fill("input[name=ports]", "8388-8403")
	b.click("section button.primary")
	b.sees("в течение часа", "within an hour")
	b.audit("console server made")
	if line := eval[string](b, "document.getElementById('secret').value"); !strings.HasPrefix(line, "stile node join ") {
		b.t.Errorf("the line is %q", line)
	}
	b.press("copy-text button")
	b.sees("Скопировано", "Copied")
	b.choose("select[name=state]", "maintenance")
	b.click("form[action$='/state'] button")
	b.sees("Сервер сохранён.", "The server is saved.")
	b.press("button.danger[popovertarget=gone]")
	b.audit("console server to be removed")
	b.click("#gone button.solid")
	b.sees("Сервер удалён.", "The server is removed.")
}

func plansFlow(b *tab) {
	b.open("/admin/plans")
	b.fill("input[name=code]", "family")
	b.fill("input[name=name_en]", "Family")
	b.fill("input[name=name_ru]", "Семейный")
	b.fill("input[name=traffic]", "0,5")
	b.press("input[name=trial]")
	b.click("section button.primary")
	b.sees("Тариф добавлен.", "The plan is added.")
	b.audit("console plans")
	b.click("tbody tr:last-child a")
	b.audit("console plan")
	b.fill("input[name=devices]", "9")
	b.click("section button.primary")
	b.sees("Тариф сохранён", "The plan is saved")
}

func vouchersFlow(w *world, b *tab) {
	b.open("/admin/vouchers")
	b.choose("select[name=plan]", "standard")
	b.fill("input[name=count]", "3")
	b.fill("input[name=note]", "осень")
	b.click("section form.fields button.primary")
	b.sees("больше они показаны не будут", "will not be shown again")
	b.audit("console vouchers made")
	codes := strings.Fields(eval[string](b, "document.getElementById('secret').value"))
	if len(codes) != 3 {
		b.t.Fatalf("%d codes", len(codes))
	}
	must(w.service.RedeemVoucher(b.t.Context(), &vpn.Actor{User: w.stranger}, codes[2]))(b.t)
	b.press("copy-text button")
	b.sees("Скопировано", "Copied")
	b.press("tbody tr:last-child button.danger[popovertarget]")
	b.audit("console voucher to be removed")
	b.click("tbody tr:last-child dialog button.solid")
	b.sees("Ваучер удалён.", "The voucher is deleted.")
}

func TestConsolePlansWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	p := v.open("/admin/plans").says(200, "Standard", "30 days", "100 GB")
	for _, wrong := range [][]string{
		{"code", ""}, {"code", "a/b"}, {"devices", "0"}, {"devices", "10001"}, {"days", "36501"}, {"days", "x"}, {"grace", "366"}, {"traffic", "-1"}, {"traffic", "1e30"},
		{"traffic", "Inf"}, {"speed", "1000001"}, {"tier", "-1"},
	} {
		pairs := append([]string{"code", "x", "name_en", "X"}, wrong...)
		if again := v.submit(p, "/admin/plans", pairs...).says(422); again.find("input", "aria-invalid", "true").attr("name") != wrong[0] {
			t.Errorf("%v: another field is marked", wrong)
		}
	}
	v.submit(p, "/admin/plans", "code", "x", "name_en", "X", "next", "nothing").says(422)
	v.submit(p, "/admin/plans", "code", "a b", "name_en", "X").says(422, "a code begins with one of a-z")
	v.submit(p, "/admin/plans", "code", "STANDARD", "name_en", "X").says(409, "of this code")
	v.submit(p, "/admin/plans", "code", "trial", "name_en", "Try", "days", "7", "traffic", "0,25", "traffic_by_period", "yes", "speed", "50", "trial", "yes", "next", "standard").
		says(200, "The plan is added.", "Try", "7 days", "250 MB a period", "50 Mbit/s")
	plans := must(w.service.Plans(t.Context(), vpn.Shell()))(t)
	trial := plans[len(plans)-1]
	if !trial.IsTrial || !trial.TrafficByPeriod || trial.StartsAtFirstUse || trial.TrafficLimit != 250_000_000 || trial.NextPlanID != plans[0].ID {
		t.Errorf("%+v", trial)
	}
	at := "/admin/plans/" + number(trial.ID)
	p = v.submit(v.open(at), at).says(200, "The plan is saved") // what is on the page is the plan
	if same := must(w.service.Plans(t.Context(), vpn.Shell()))(t)[1]; same != trial {
		t.Errorf("saved unchanged, it became %+v, was %+v", same, trial)
	}
	v.submit(p, at, "devices", "0").says(422, "no such choice")
	v.submit(p, at, "name_en", "Changed", "code", "other").says(200, "Changed")
	if changed := must(w.service.Plans(t.Context(), vpn.Shell()))(t)[1]; changed.Code != "trial" || changed.Name.EN != "Changed" {
		t.Errorf("%+v", changed)
	}
	v.open("/admin/plans/x").says(404)
}

func TestConsoleVouchersWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	p := v.open("/admin/vouchers").says(200, "No vouchers.")
	for _, wrong := range [][]string{{"count", "501"}, {"count", "0"}, {"uses", "0"}, {"uses", "1000001"}, {"days", "36501"}, {"periods", "0"}, {"note", strings.Repeat("x", 256)}} {
		if again := v.submit(p, "/admin/vouchers", wrong...).says(422); again.find("input", "aria-invalid", "true").attr("name") != wrong[0] {
			t.Errorf("%v: another field is marked", wrong)
		}
	}
	p = v.submit(p, "/admin/vouchers", "count", "500", "days", "30", "note", "autumn <b>").says(201, "shown again", "autumn <b>", "0 of 1")
	codes := strings.Fields(p.find("textarea", "id", "secret").text())
	file := must(url.PathUnescape(strings.TrimPrefix(p.find("a", "download", "vouchers.txt").attr("href"), "data:text/plain;charset=utf-8,")))(t)
	if len(codes) != 500 || strings.Join(codes, "\n")+"\n" != file {
		t.Errorf("%d codes, and the file is %.50q", len(codes), file)
	}
	must(w.service.RedeemVoucher(t.Context(), &vpn.Actor{User: w.user}, codes[0]))(t)
	if again := v.open("/admin/vouchers"); strings.Contains(again.body, codes[0]) {
		t.Error("a code is shown twice")
	}
	p = v.open("/admin/vouchers?before=30").says(200, "To the start")
	v.submit(p, "/admin/vouchers/7/remove").says(200, "The voucher is deleted.")
	v.do("POST", "/admin/vouchers/7/remove", url.Values{}).says(404)
	if left := must(w.service.Vouchers(t.Context(), vpn.Shell(), 8, 9))(t); left[0].ID != 6 {
		t.Errorf("%+v", left[0])
	}
}

func TestConsoleAuditWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	at := "/admin/users/" + number(w.user.ID)
	v.submit(v.open(at), at+"/status").says(200, "The user is blocked")
	p := v.open("/admin/audit").says(200, "user.blocked", operatorEmail, userEmail, "server.add", "the program or the shell")
	if p.find("a", "href", at) == nil {
		t.Error("no link to the user")
	}
	for range pageRows {
		must(w.service.AddUser(t.Context(), vpn.Shell(), vpn.NewAccount{Email: "u" + number(time.Now().UnixNano()) + "@example.com", Password: password}))(t)
	}
	next := ""
	element{v.open("/admin/audit").root}.each(func(e element) bool {
		if e.Data == "a" && e.text() == "Next" {
			next = e.attr("href")
		}
		return true
	})
	v.open(next).says(200, "user.blocked", "To the start")
	v.open("/admin/audit?before=1").says(200, "Nothing so far.")
	v.open("/admin/audit?before=x").says(200, "user.add")
}

// TestConsoleIsSmall: no page of the console takes more than 100 kB, with 1,000 servers and long lists.
func TestConsoleIsSmall(t *testing.T) {
	w := setup(t).populate().addServers(1000)
	w.use(w.user.ID, must(w.service.AddDevice(t.Context(), &vpn.Actor{User: w.user}, "phone", vpn.PlatformIOS))(t))
	must(w.service.AddVouchers(t.Context(), vpn.Shell(), vpn.NewVouchers{Plan: "standard", Periods: 1, Count: 200, Uses: 1}))(t)
	for i := range liveSamples {
		w.nodes.more.Store(int64(i*i*i%977) + 100) // so that no line is short
		w.read(t)
	}
	for _, server := range must(w.store.Servers(t.Context()))(t) { // each can be the first of a roll-out
		w.says(server.ID, 0, 8388, 0)
	}
	v := w.signedIn(operatorEmail, "ru")
	for _, path := range []string{"/admin", "/admin?nodes=250", "/admin/users", "/admin/users/" + number(w.user.ID), "/admin/servers", "/admin/servers/1", "/admin/config", "/admin/plans", "/admin/plans/1", "/admin/vouchers", "/admin/audit"} {
		_, n := v.wire(path)
		t.Logf("%s: %d bytes", path, n)
		if n > 85_000 { // the files take the rest
			t.Errorf("%s takes %d bytes", path, n)
		}
	}
}

func TestConsoleServersWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	local := vpn.NodeStream{NodeID: w.servers[0].ID, Session: 1, IsOnline: true, At: w.now(), Load: 9, ActiveDevices: 16, Sessions: 31}
	if err := w.store.NoteStreams(t.Context(), []vpn.NodeStream{local}); err != nil {
		t.Fatal(err)
	}
	v.open("/admin/servers/"+number(local.NodeID)).says(200, "CPU load9 %", "sessions31")
	p := v.open("/admin/servers").says(200, "Амстердам 1", "online", "17", "9 %", "maintenance")
	for _, wrong := range [][]string{
		{"name", ""}, {"country", "N"}, {"country", "QQ"}, {"country", "UK"}, {"host", ""}, {"host", "a b"}, {"host", "https://o.example.net"}, {"ping_url", "nowhere"}, {"ping_url", "javascript:alert(1)"}, {"ports", "0"}, {"ports", "8403-8388"}, {"ports", "65000-65536"}, {"ports", "x"},
		{"https_port", "65536"}, {"capacity", "-1"}, {"tier", "x"}, {"latitude", "91"}, {"longitude", "NaN"}, {"capacity", "99999999999999999999"},
	} {
		pairs := append([]string{"name", "Oslo", "country", "no", "host", "o.example.net"}, wrong...)
		if again := v.submit(p, "/admin/servers", pairs...).says(422); again.find("input", "aria-invalid", "true").attr("name") != wrong[0] {
			t.Errorf("%v: another field is marked", wrong)
		}
	}
	v.submit(p, "/admin/servers", "name", "Oslo", "country", "no", "host", "o.example.net", "shadowsocks_method", "rc4-md5").says(422)
	v.submit(p, "/admin/servers", "name", "Helsinki 2", "country", "no", "host", "o.example.net").says(409, "of this name")
	p = v.submit(p, "/admin/servers", "name", "Oslo", "country", "no", "host", "o.example.net", "latitude", "59,9", "https_port", "8443",
		"shadowsocks_method", "2022-blake3-aes-256-gcm").says(201, "Oslo", "No machine can join yet")
	servers := must(w.store.Servers(t.Context()))(t)
	oslo := servers[len(servers)-1]
	if oslo.Latitude != 59.9 || oslo.PingURL != "https://o.example.net:8443/ping" || oslo.ShadowsocksPorts != 16 || oslo.ShadowsocksMethod != "2022-blake3-aes-256-gcm" || oslo.CountryCode != "NO" {
		t.Errorf("%+v", oslo)
	}
	at := "/admin/servers/" + number(oslo.ID)
	p = v.submit(p, at, "capacity", "70", "ports", "443").says(200, "The server is saved.")
	v.submit(p, at, "name", "Tokyo 4").says(409, "of this name")
	v.submit(p, at+"/state", "state", "drained").says(200, "The server is saved.")
	v.do("POST", at+"/state", url.Values{"state": {"gone"}}).says(422)
	v.open("/admin/servers").says(200, "drained")
	v.do("POST", at+"/revoke", nil, "Sec-Fetch-Site: same-origin").says(404) // no node can have joined
	if got := must(w.service.NodeServer(t.Context(), oslo.ID))(t); got.Capacity != 70 || got.ShadowsocksPort != 443 || got.ShadowsocksPorts != 1 || got.State != vpn.ServerDrained {
		t.Errorf("%+v", got)
	}

	// A node that has joined and was not heard of since.
	if _, _, err := w.service.NodeJoinToken(t.Context(), vpn.Shell(), oslo.ID); err != nil {
		t.Fatal(err)
	}
	v.open(at).says(200, "not joined yet")
	secret, _, err := w.service.NodeJoinToken(t.Context(), vpn.Shell(), oslo.ID)
	joining := vpn.Joining{NodeID: oslo.ID, Token: sha256.Sum256(secret[:]), Key: vpn.NodeKeyHash{1}, CertifiedUntil: w.now().AddDate(0, 1, 0)}
	if err != nil {
		t.Fatal(err)
	}
	must(w.service.JoinNode(t.Context(), joining))(t)
	v.open("/admin").says(200, "Oslo is offline")
	stream := vpn.NodeStream{NodeID: oslo.ID, Session: 1, IsOnline: true, At: w.now(), Version: "v1.2.3", Load: 41, ActiveDevices: 7}
	if err := w.store.NoteStreams(t.Context(), []vpn.NodeStream{stream}); err != nil {
		t.Fatal(err)
	}
	p = v.open(at).says(200, "online", "v1.2.3", "41 %", "just now")
	p = v.submit(p, at+"/revoke").says(200, "The node is shut out.", "shut out")
	v.submit(p, at+"/remove").says(200, "The server is removed.")
	v.open(at).says(404)
	v.open("/admin/servers/x").says(404)
}

func TestConsoleUsersWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	v.open("/account").says(200, "Console")
	v.open("/admin").says(200, "The service", "active connections", "Nothing. All nodes")
	p := v.open("/admin/users").says(200, userEmail, "Иван <i>", operatorEmail)
	p = v.submit(p, "/admin/users", "email", "no address").says(422, "does not look like")
	p = v.submit(p, "/admin/users", "email", userEmail).says(409, "account with this e-mail")
	p = v.submit(p, "/admin/users", "email", "ann@example.com", "name", "Ann", "plan", "standard").says(201, "Ann", "Standard", "shown again", "No device is signed in.")
	secret := p.find("input", "id", "secret").attr("value")
	ann := must(w.service.FindUser(t.Context(), vpn.Shell(), "ann@example.com"))(t)
	at := "/admin/users/" + number(ann.ID)
	if w.visitor("en").open("/").path != "/signin" || strings.Contains(v.open(at).body, secret) {
		t.Error("the password is shown twice")
	}
	annsOwn := w.visitor("en")
	annsOwn.submit(annsOwn.open("/signin"), "/signin", "email", "ann@example.com", "password", secret).says(200, "Hello, Ann")
	device := must(w.service.AddDevice(t.Context(), &vpn.Actor{User: ann}, "Phone <b>", vpn.PlatformIOS))(t)

	p = v.open(at).says(200, "Phone <b>", "1 of 3", "Nothing is in the way")
	p = v.submit(p, at+"/subscription", "periods", "0").says(422, "no such choice")
	p = v.submit(p, at+"/subscription", "periods", "2").says(200, "The subscription is extended.")
	p = v.submit(p, at+"/expiry", "until", "yesterday").says(422, "no such choice")
	p = v.submit(p, at+"/expiry", "until", w.now().AddDate(0, 0, 2).UTC().Format("2006-01-02")).says(200, "The end is moved.")
	w.site.glances = glances{}
	v.open("/admin").says(200, "1 subscription ends within a week", "ann@example.com")
	p = v.submit(p, at+"/expiry", "until", "2020-02-29").says(200, "29 February 2020", "The subscription is over")
	p = v.submit(p, at+"/devices/"+number(device)+"/remove").says(200, "No devices yet.")
	p = v.submit(p, at+"/status").says(200, "The user is blocked", "The account is blocked. Unblock it")
	annsOwn.open("/account").says(200, "The account is blocked.")
	p = v.submit(p, at+"/status").says(200, "The user is unblocked")
	p = v.submit(p, at+"/password").says(200, "shown again")
	if again := p.find("input", "id", "secret").attr("value"); again == secret || len(again) != 19 {
		t.Errorf("the new password is %q", again)
	}
	p = v.submit(p, at+"/remove", "email", "ann").says(422, "That is not the same.")
	v.submit(p, at+"/remove", "email", " Ann@Example.com").says(200, "The user is deleted.")
	v.open(at).says(404)

	// Nobody shuts themselves out.
	own := "/admin/users/" + number(must(w.service.FindUser(t.Context(), vpn.Shell(), operatorEmail))(t).ID)
	for _, form := range []string{"/status", "/password", "/remove"} {
		if v.open(own).form(own+form) != nil {
			t.Errorf("%s is offered for oneself", form)
		}
		v.do("POST", own+form, url.Values{"status": {"blocked"}, "email": {operatorEmail}}).says(403, "You may not do this.")
	}
	if strings.Contains(w.log.String(), secret) || strings.Contains(w.log.String(), "ann@example.com") {
		t.Error("the log names somebody")
	}
}

func TestConsoleUsersArePaged(t *testing.T) {
	w := setup(t).populate()
	for i := range 2*pageRows + 1 {
		must(w.store.AddUser(t.Context(), vpn.NewUser{Email: "paged" + number(int64(i)) + "@example.com", Locale: "en"}, vpn.Audit{Action: "user.add"}))(t)
	}
	must(w.store.AddUser(t.Context(), vpn.NewUser{Email: "other@example.com", Locale: "en"}, vpn.Audit{Action: "user.add"}))(t)
	v := w.signedIn(operatorEmail, "en")
	p := v.open("/admin/users?q=paged&status=active")
	seen := map[string]bool{}
	for range 9 {
		element{p.root}.each(func(e element) bool {
			if href := e.attr("href"); e.Data == "a" && strings.HasPrefix(href, "/admin/users/") {
				seen[href] = true
			}
			return true
		})
		next := p.link("Next")
		if next == "" {
			break
		}
		p = v.open(next).says(200, "To the start")
	}
	if len(seen) != 2*pageRows+1 {
		t.Errorf("%d users were on the pages, want %d", len(seen), 2*pageRows+1)
	}
	v.open("/admin/users?q=nobody&after=x").says(200, "Nobody matches.")
	v.open("/admin/users?after=-9223372036854775808").says(200, userEmail)
	v.open("/admin/users/x").says(404)
}

// What accounts were narrowed by goes along to the file of them, and back from the question before something is done to all.
func TestConsoleFilterGoesAlong(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	p := v.open("/admin/users?q=Иван+%3Ci%3E&status=active").says(200, userEmail)
	if file := v.open(p.link("All found as CSV")).body; strings.Count(file, "\n") != 2 || !strings.Contains(file, userEmail) {
		t.Errorf("the file of one account is\n%s", file)
	}
	p = v.post("/admin/jobs", "action", "block", "all", "yes", "q", "Иван <i>", "status", "active").says(200, "1 account")
	if p = v.open(p.link("Cancel")).says(200, userEmail); strings.Contains(p.body, strangerEmail) {
		t.Error("the way back forgets the filter")
	}
}

// Each server is on one page of the console's list, and each node on one of the overview, also beyond the first.
func TestConsoleServersArePaged(t *testing.T) {
	w := setup(t).populate().addServers(2*fleetRows + 1)
	w.read(t)
	v := w.signedIn(operatorEmail, "en")
	for _, first := range []string{"/admin/servers", "/admin"} {
		seen, path := map[string]int{}, first
		for path != "" {
			p, next := v.open(path).says(200), ""
			element{p.root}.each(func(e element) bool {
				if href := e.attr("href"); e.Data == "a" && strings.HasPrefix(href, "/admin/servers/") {
					seen[href]++
				} else if e.Data == "a" && e.text() == "Next" {
					next, _, _ = strings.Cut(href, "#")
				}
				return true
			})
			path = next
		}
		for href, n := range seen {
			if n != 1 {
				t.Errorf("%s: %s is there %d times", first, href, n)
			}
		}
		if want := 2*fleetRows + 1 + len(w.servers); len(seen) != want {
			t.Errorf("%s: %d servers were on the pages, want %d", first, len(seen), want)
		}
		for _, odd := range []string{"x", "-1", "99999999999999999999", "1000000"} {
			v.open(first + "?from=" + odd + "&nodes=" + odd).says(200)
		}
	}
}
