package web

import (
	"bytes"
	"encoding/json"
	"image/png"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"stile/accesskey"
	"stile/vpn"
)

// These stories are told without JavaScript: what they do, a visitor can do with links and forms alone.

func TestSignInAndOut(t *testing.T) {
	w := setup(t).populate()
	v := w.visitor("en")
	p := v.open("/account/devices").says(200, "Sign in")
	if p.path != "/signin" {
		t.Fatalf("a page without a session leads to %s", p.path)
	}
	p = v.submit(p, "/signin", "email", userEmail, "password", "wrong").says(401, "Wrong e-mail or password.")
	if got := p.form("/signin").values().Get("email"); got != userEmail {
		t.Errorf("the e-mail is gone: %q", got)
	}
	if strings.Contains(p.body, "wrong\"") {
		t.Error("the password came back")
	}
	p = v.submit(p, "/signin", "email", userEmail, "password", password).says(200, "Devices")
	if p.path != "/account/devices" {
		t.Errorf("the sign-in leads to %s, not to the page that was asked for", p.path)
	}
	if p = v.open("/signin"); p.path != "/account" {
		t.Errorf("who is signed in sees the sign-in: %s", p.path)
	}
	p.says(200, "Hello, Иван <i>", "30 days left", "Standard", "0 B of 100 GB")
	v.submit(p, "/signout").says(200, "You are signed out.")
	if p = v.open("/account"); p.path != "/signin" {
		t.Errorf("after the sign-out: %s", p.path)
	}
}

func TestThrottledSignInSaysWhen(t *testing.T) {
	w := setup(t).populate()
	v := w.visitor("ru")
	p := v.open("/signin")
	for range 5 {
		v.submit(p, "/signin", "email", userEmail, "password", "wrong").says(401)
	}
	p = v.submit(p, "/signin", "email", userEmail, "password", password).says(429, "Слишком много попыток")
	if p.Header.Get("Retry-After") == "" || p.find("retry-after", "seconds", p.Header.Get("Retry-After")) == nil {
		t.Errorf("Retry-After %q is not on the page", p.Header.Get("Retry-After"))
	}
}

func TestSetupPage(t *testing.T) {
	w := setup(t)
	secret := must(w.service.SetupToken(t.Context()))(t)
	v := w.visitor("ru")
	v.open("/setup/x"+secret).says(404, "Ссылка больше не действует")
	p := v.open("/setup/"+secret).says(200, "Первый оператор")
	p = v.submit(p, "/setup/"+secret, "email", "root@example.com", "password", "short").says(422, "не меньше 8")
	p = v.submit(p, "/setup/"+secret, "email", "root@example.com", "name", "Root", "password", password).says(200, "Сервис", "вы — оператор")
	if p.path != "/admin" {
		t.Errorf("the set-up leads to %s", p.path)
	}
	w.visitor("en").open("/setup/"+secret).says(404, "This link no longer works")
	if strings.Contains(w.log.String(), secret) {
		t.Error("the link is in the log")
	}
}

func TestDevicesAndKeysWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(userEmail, "en")
	p := v.open("/account/connect").says(200, "First, add a device")
	p = v.submit(p, "/account/devices", "name", " ", "platform", "ios").says(422, "Please fill this in.")
	p = v.submit(p, "/account/devices", "name", "Phone <b>", "platform", "ios").says(200, "The device is added", "Phone <b>")
	p = v.submit(p, "/account/connect").says(200, "The key is ready and works now.", "Key for “Phone <b>”", "Амстердам 1")
	key := p.find("input", "id", "key").attr("value")
	endpoint := must(accesskey.ParseShadowsocks(key))(t)
	if endpoint.Host != "s1.example.net" || endpoint.Name != "Амстердам 1" {
		t.Errorf("key %q", key)
	}
	if link := p.find("a", "href", key); link == nil {
		t.Error("no link opens an app with the key")
	}

	// The picture is the key, as a reader that others wrote sees it.
	picture := must(png.Decode(strings.NewReader(v.open(p.path + "/qr.png").body)))(t)
	bitmap := must(gozxing.NewBinaryBitmapFromImage(picture))(t)
	if scanned := must(qrcode.NewQRCodeReader().Decode(bitmap, nil))(t); scanned.GetText() != key {
		t.Errorf("the code says %q, the key is %q", scanned.GetText(), key)
	}

	// Another look at the page changes nothing; a replaced key is another one.
	if again := v.open(p.path).find("input", "id", "key").attr("value"); again != key {
		t.Error("a look at the page changed the key")
	}
	p = v.submit(p, p.path+"/rotate").says(200, "The key is replaced")
	if p.find("input", "id", "key").attr("value") == key {
		t.Error("the key was not replaced")
	}

	p = v.open("/account/devices").says(200, "Phone <b>", "1 of 3", "iPhone or iPad")
	rename := regexp.MustCompile(`/account/devices/\d+/rename`).FindString(p.body)
	p = v.submit(p, rename, "name", strings.Repeat("я", 256)).says(422, "at most 255")
	p = v.submit(p, rename, "name", "Work phone").says(200, "The name is saved.", "Work phone")
	v.submit(p, strings.Replace(rename, "rename", "remove", 1)).says(200, "The device is removed", "No devices yet.")
	for i, name := range []string{"one", "two", "three"} {
		v.submit(v.open("/account/devices"), "/account/devices", "name", name).says(200)
		if i == 2 {
			v.submit(v.open("/account/devices"), "/account/devices", "name", "four").says(409, "Your plan allows 3 devices")
		}
	}
}

func TestVoucherWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	codes := must(w.service.AddVouchers(t.Context(), vpn.Shell(), vpn.NewVouchers{Plan: "standard", Periods: 1, Count: 1, Uses: 1}))(t)
	v := w.signedIn(userEmail, "ru")
	p := v.submit(v.open("/account"), "/account/voucher", "code", "7K3M-Q2VX-9T4B-HN0D").says(422, "Код не действует")
	if got := p.form("/account/voucher").values().Get("code"); got != "7K3M-Q2VX-9T4B-HN0D" {
		t.Errorf("the code is gone: %q", got)
	}
	v.submit(p, "/account/voucher", "code", strings.ToLower(codes[0])).says(200, "Код принят", "Осталось 60 дней")
	v.submit(v.open("/account"), "/account/voucher", "code", codes[0]).says(422, "Код не действует")
}

// A subscription that waits for its first key says so; the first key begins it.
func TestPendingSubscription(t *testing.T) {
	w := setup(t).populate()
	plan := vpn.Plan{Code: "late", Name: vpn.Text{EN: "Late"}, Tier: 1, PeriodDays: 7, DeviceLimit: 2, StartsAtFirstUse: true}
	must(w.service.AddPlan(t.Context(), vpn.Shell(), plan))(t)
	must(w.service.Subscribe(t.Context(), vpn.Shell(), w.user.ID, "late", 1))(t)
	v := w.signedIn(userEmail, "en")
	v.open("/account").says(200, "Starts with the first key", "for 7 days")
	p := v.submit(v.open("/account/connect"), "/account/devices", "name", "Phone", "platform", "ios")
	v.submit(p, "/account/connect").says(200, "The key is ready")
	v.open("/account").says(200, "7 days left")
}

func TestSlowNodeIsSaid(t *testing.T) {
	w := setup(t).populate()
	w.nodes.isSlow.Store(true)
	v := w.signedIn(userEmail, "en")
	p := v.submit(v.open("/account/connect"), "/account/devices", "name", "Phone", "platform", "ios")
	v.submit(p, "/account/connect").says(200, "will work as soon as the server has it")
}

func TestTokensWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(userEmail, "ru")
	p := v.open("/account/tokens").says(200, "Токенов пока нет.", "Создать токен API", "90 дней", "без срока")
	p = v.submit(p, "/account/tokens", "name", "", "days", "30").says(422, "Заполните это поле.")
	p = v.submit(p, "/account/tokens", "name", "резервная копия", "days", "30").says(201, "Скопируйте его сейчас", "резервная копия")
	token := p.find("input", "id", "token").attr("value")
	actor := must(w.service.Authenticate(t.Context(), token))(t)
	if actor.User.ID != w.user.ID || actor.Token.ExpiresAt.Sub(w.now()).Hours() < 29*24 {
		t.Errorf("the token stands for %+v", actor)
	}
	p = v.open("/account/tokens").says(200, "резервная копия", "последний день использования:")
	if strings.Contains(p.body, token) || p.find("input", "id", "token") != nil {
		t.Error("the token is shown twice")
	}
	remove := regexp.MustCompile(`/account/tokens/\d+/remove`).FindString(p.body)
	v.submit(p, remove).says(200, "Токен отозван.", "Токенов пока нет.")

	// One that is good for a part, and none that is good for nothing or for what only operators do.
	p = v.do(http.MethodPost, "/account/tokens", url.Values{"name": {"part"}, "scope": {"servers:read", "keys", "admin:read"}}).says(201, "servers:read", "keys")
	part := must(w.service.Authenticate(t.Context(), p.find("input", "id", "token").attr("value")))(t)
	if part.Token.Scopes != vpn.ScopeServersRead|vpn.ScopeKeys {
		t.Errorf("the token is good for %s", part.Token.Scopes)
	}
	for _, scopes := range [][]string{nil, {"admin:write"}, {"root"}} {
		v.do(http.MethodPost, "/account/tokens", url.Values{"name": {"x"}, "scope": scopes}).says(422, "Заполните это поле.")
	}
	operators := w.signedIn(operatorEmail, "en")
	operators.do(http.MethodPost, "/account/tokens", url.Values{"name": {"script"}, "scope": {"admin:read"}}).says(201, "admin:read")
	if _, err := w.service.Authenticate(t.Context(), token); vpn.CodeOf(err) != vpn.CodeUnauthenticated {
		t.Errorf("the revoked token: %v", err)
	}
}

func TestSettingsWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v, other := w.signedIn(userEmail, "en"), w.signedIn(userEmail, "en")
	p := v.open("/account/settings").says(200, "You are signed in in 2 browsers.")
	p = v.submit(p, "/account/password", "old", "wrong", "password", "another password").says(401, "Wrong e-mail or password.")
	p = v.submit(p, "/account/password", "old", password, "password", "short").says(422, "at least 8")
	p = v.submit(p, "/account/password", "old", password, "password", "another password").says(200, "The password is changed", "1 browser.")
	if other.open("/account").path != "/signin" {
		t.Error("the other browser is still signed in")
	}

	var export struct {
		User struct{ Email string }
	}
	answer := v.open("/account/export")
	if err := json.Unmarshal([]byte(answer.body), &export); err != nil || export.User.Email != userEmail {
		t.Errorf("export %s: %v", answer.body, err)
	}
	if bytes.Contains([]byte(answer.body), []byte("another password")) || !strings.HasPrefix(answer.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("export: %v\n%s", answer.Header, answer.body)
	}

	v.submit(p, "/account/signout").says(200, "signed out in all browsers")
	v.submit(v.open("/signin"), "/signin", "email", userEmail, "password", "another password").says(200)
	p = v.open("/account/settings")
	p = v.submit(p, "/account/erase", "password", "wrong").says(401, "Wrong e-mail or password.")
	v.submit(p, "/account/erase", "password", "another password").says(200, "The account is erased.")
	v.submit(v.open("/signin"), "/signin", "email", userEmail, "password", "another password").says(401)
	w.signedIn(operatorEmail, "en").open("/account/settings").says(200, "removed by another operator")
}

func TestPreferences(t *testing.T) {
	w := setup(t).populate()
	v := w.visitor("de")
	p := v.open("/docs").says(200, "Документация API")
	p = v.submit(p, "/preferences", "lang", "en").says(200, "API reference")
	if p.path != "/docs" {
		t.Errorf("the choice leads to %s", p.path)
	}
	p = v.submit(p, "/preferences", "theme", "dark")
	if p.find("html", "data-theme", "dark") == nil || p.find("html", "lang", "en") == nil {
		t.Error("the choices were not kept")
	}
	for _, back := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "", "/" + strings.Repeat("x", 512)} {
		if p := v.submit(v.open("/docs"), "/preferences", "back", back); p.Request.URL.Host != strings.TrimPrefix(w.server.URL, "http://") {
			t.Errorf("%q leads to %s", back, p.Request.URL)
		}
	}
	if l := v.submit(v.open("/docs"), "/preferences", "lang", "xx", "theme", "pink").find("html", "data-theme", "dark"); l == nil {
		t.Error("a choice that is none was kept")
	}
}

func TestServersPage(t *testing.T) {
	w := setup(t).populate()
	p := w.signedIn(userEmail, "en").open("/account/servers").says(200, "Амстердам 1", "Netherlands, Amsterdam", "best", "Not in your plan.", "maintenance")
	if policy := p.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "connect-src 'self' "+w.server.URL+";") {
		t.Errorf("the servers cannot be timed: %s", policy)
	}
	w.signedIn(operatorEmail, "ru").open("/account/servers").says(200, "У вас нет подписки.")
}

// Where a server is that nobody said of, no page calls ZZ; an operator may leave it so, and may say it.
func TestAnUnknownCountry(t *testing.T) {
	w := setup(t).populate()
	local := must(w.service.AddServer(t.Context(), vpn.Shell(), vpn.Server{
		Name: "local", CountryCode: vpn.UnknownCountry, Host: "127.0.0.1", PingURL: w.server.URL + "/ping", ShadowsocksPort: 8388, ShadowsocksPorts: 16,
	}))(t)
	for lang, says := range map[string]string{"en": "Country unknown", "ru": "Страна неизвестна"} {
		if p := w.signedIn(userEmail, lang).open("/account/servers").says(200, "local", says); strings.Contains(p.text(), "ZZ") {
			t.Errorf("users see ZZ:\n%s", p.text())
		}
	}
	v, at := w.signedIn(operatorEmail, "en"), "/admin/servers/"+number(local.ID)
	p := v.open(at).says(200, "Users see none until you say which.")
	if got := p.form(at).values().Get("country"); got != "" || p.find("input", "name", "country").has("required") {
		t.Errorf("the form holds the country %q, or asks for one", got)
	}
	p = v.submit(p, at, "country", "QQ").says(422, "Country code: there is no such country.", "Users see none")
	v.submit(p, at, "country", "", "capacity", "70").says(200, "The server is saved.")
	if got := must(w.service.NodeServer(t.Context(), local.ID))(t); got.CountryCode != vpn.UnknownCountry || got.Capacity != 70 {
		t.Errorf("%+v", got)
	}
	p = v.submit(v.open(at), at, "country", "is").says(200, "The server is saved.")
	v.submit(p, at, "country", "").says(422, "there is no such country")
	w.signedIn(userEmail, "en").open("/account/servers").says(200, "IS · Iceland")
}

func TestDownloads(t *testing.T) {
	w := setup(t)
	v := w.visitor("en")
	raw := v.open("/docs/openapi.json")
	var document struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal([]byte(raw.body), &document); err != nil || document.OpenAPI != "3.1.0" || document.Paths["/api/key"] == nil {
		t.Errorf("%v: %.200s", err, raw.body)
	}
	if strings.Contains(raw.body, `"*headers"`) {
		t.Error("an alias was not followed")
	}
	if p := v.open("/docs/openapi.yaml"); !strings.HasPrefix(p.body, "openapi: 3.1.0") || p.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%v", p.Header)
	}
	if head := v.do(http.MethodHead, "/docs/openapi.yaml", nil); head.StatusCode != 200 || head.body != "" {
		t.Errorf("HEAD: %d", head.StatusCode)
	}
}

// The link of the subscription page is the API's: it leads to the device's keys, and to none once it is replaced.
func TestSubscriptionWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(userEmail, "en")
	p := v.submit(v.open("/account/connect"), "/account/devices", "name", "Phone <b>", "platform", "ios").says(200, "the subscription link")
	page := regexp.MustCompile(`/account/devices/\d+/subscription`).FindString(p.body)
	v.open("/account/devices").says(200, "All servers")
	p = v.open(page).says(200, "All servers on “Phone <b>”", "Clash, Mihomo")
	link := p.find("input", "id", "link").attr("value")
	if !strings.HasPrefix(link, w.server.URL+"/sub/") {
		t.Fatalf("link %q", link)
	}
	picture := must(png.Decode(strings.NewReader(v.open(page + "/qr.png").body)))(t)
	bitmap := must(gozxing.NewBinaryBitmapFromImage(picture))(t)
	if scanned := must(qrcode.NewQRCodeReader().Decode(bitmap, nil))(t); scanned.GetText() != link {
		t.Errorf("the code says %q, the link is %q", scanned.GetText(), link)
	}
	path := strings.TrimPrefix(link, w.server.URL)
	anybody := w.visitor("en")
	for _, format := range []string{"base64", "clash", "sing-box", "outline"} {
		shown := p.find("input", "id", "link-"+format).attr("value")
		if !strings.HasSuffix(shown, path+"?format="+format) {
			t.Errorf("%s: %q", format, shown)
		}
		anybody.open(path + "?format=" + format).says(200)
	}
	p = v.submit(p, page+"/rotate").says(200, "The link is replaced")
	if fresh := p.find("input", "id", "link").attr("value"); fresh == link {
		t.Error("the link is the old one")
	}
	anybody.open(path).says(404)
	if strings.Contains(w.log.String(), path[len(path)-22:]) {
		t.Error("the link is in the log")
	}
}
