package web

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"stile/internal/testbrowser"
	"stile/vpn"
)

// TestFlowsInChromium tells each flow in Chromium: in both languages, light and dark, wide and narrow. Each page on the
// way must be clean to axe and to the console, where the browser reports what the policy of the page refuses.
func TestFlowsInChromium(t *testing.T) {
	browser := chromium(t)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			setupFlow(t, setup(t).tabOf(browser, t, l))
			w := setup(t).populate()
			phone := must(w.service.AddDevice(t.Context(), &vpn.Actor{User: w.user}, "iPhone 12", vpn.PlatformIOS))(t)
			w.use(w.user.ID, phone)
			b := w.tab(browser, t, l)
			signInFlow(b)
			liveFlow(w, b)
			connectFlow(b)
			devicesFlow(b)
			tokensFlow(w, b)
			secondFactorFlow(w, b)
			settingsFlow(b)
			docsFlow(w, b)
			otherPages(w, b)
		})
	}
}

// flow is a world with a window on it.
type flow struct {
	*world
	*tab
}

func (w *world) tabOf(browser *testbrowser.Chromium, t *testing.T, l look) flow {
	return flow{w, w.tab(browser, t, l)}
}

func setupFlow(t *testing.T, f flow) {
	secret := must(f.service.SetupToken(t.Context()))(t)
	f.open("/setup/" + secret)
	f.audit("setup")
	f.fill("input[name=email]", "root@example.com")
	f.fill("input[name=password]", password)
	f.click("form.card button.primary")
	f.sees("вы — оператор", "you are this service’s operator")
	f.audit("console after the set-up")
	f.open("/setup/" + secret)
	f.sees("Ссылка больше не действует", "This link no longer works")
}

func signInFlow(b *tab) {
	b.open("/signin")
	b.audit("signin")
	b.fill("input[name=email]", userEmail)
	b.fill("input[name=password]", "wrong password")
	b.press("reveal-password button")
	if shown := eval[string](b, "document.getElementById('password').type"); shown != "text" {
		b.t.Errorf("the password is not shown: %s", shown)
	}
	b.click("form.card button.primary")
	b.sees("Неверный логин или пароль.", "Wrong e-mail or password.")
	b.forget("401") // Chromium says so of every page with that status
	b.audit("signin refused")
	b.fill("input[name=password]", password)
	b.click("form.card button.primary")
	b.sees("Осталось 30 дней", "30 days left")
	b.audit("overview")
	b.press("details.table summary")
	b.audit("overview with its table")
}

// liveFlow looks at pages while what they show changes.
func liveFlow(w *world, b *tab) {
	w.read(b.t)
	b.open("/account/servers")
	b.sees("17 подключено", "17 connected")
	b.waits(`document.querySelector("live-values").dataset.on === ""`)
	w.nodes.more.Add(20)
	w.read(b.t)
	b.sees("37 подключено", "37 connected")
	b.open("/account")
	b.waits(`document.querySelector("live-values").dataset.on === ""`)
	devices := must(w.service.Devices(b.t.Context(), &vpn.Actor{User: w.user}))(b.t)
	w.use(w.user.ID, devices[0].ID)
	w.pass(2 * time.Second)
	w.read(b.t)
	b.waits(`document.querySelector("[data-live=percent]").value > 50`)
	w.nodes.more.Add(-20)
}

func connectFlow(b *tab) {
	b.open("/account/servers")
	b.sees(" мс", " ms")
	b.audit("servers")
	b.open("/account/connect")
	b.press("input[name=device]")
	b.audit("connect")
	b.click("form.card button.primary")
	b.sees("Ключ готов и уже работает.", "The key is ready and works now.")
	b.audit("key")
	b.press("copy-text button")
	b.sees("Скопировано", "Copied")
	if selected := eval[string](b, "document.getElementById('key').value"); !strings.HasPrefix(selected, "ss://") {
		b.t.Errorf("the key is %q", selected)
	}
	b.press("button.danger[popovertarget=rotate]")
	b.audit("key to be replaced")
	b.click("#rotate button.solid")
	b.sees("Ключ заменён", "The key is replaced")
	b.click("p.card a")
	b.sees("Одна ссылка для таких приложений", "One link for apps")
	b.audit("subscription")
	b.press("copy-text[for=link] button")
	b.sees("Скопировано", "Copied")
	b.press("button.danger[popovertarget=rotate]")
	b.click("#rotate button.solid")
	b.sees("Ссылка заменена", "The link is replaced")
}

func devicesFlow(b *tab) {
	b.open("/account/devices")
	b.fill("section input[name=name]", "Ноутбук")
	b.choose("select[name=platform]", "linux")
	b.click("section button.primary")
	b.sees("Теперь выберите сервер.", "Now choose a server.")
	b.open("/account/devices")
	b.press("li:last-child details.rename summary")
	b.audit("devices")
	b.fill("li:last-child input[name=name]", "Рабочий ноутбук")
	b.click("li:last-child details.rename button")
	b.sees("Название сохранено.", "The name is saved.")
	b.press("li:last-child button.danger[popovertarget]")
	b.audit("device to be removed")
	b.click("li:last-child dialog button.solid")
	b.sees("Устройство отключено", "The device is removed")
}

func tokensFlow(w *world, b *tab) {
	b.open("/account/tokens")
	b.audit("tokens")
	b.fill("section input[name=name]", "backup")
	b.click("section button.primary")
	b.sees("больше он показан не будет", "will not be shown again")
	b.audit("token made")
	token := eval[string](b, "document.getElementById('token').value")
	must(w.service.Authenticate(b.t.Context(), token))(b.t)
	b.press("li button.danger[popovertarget]")
	b.click("li dialog button.solid")
	b.sees("Токен отозван.", "The token is revoked.")
	if _, err := w.service.Authenticate(b.t.Context(), token); vpn.CodeOf(err) != vpn.CodeUnauthenticated {
		b.t.Errorf("the revoked token: %v", err)
	}
}

// secondFactorFlow turns the second factor on, signs in with it, and turns it off.
func secondFactorFlow(w *world, b *tab) {
	b.open("/account/second-factor")
	b.audit("second factor off")
	b.fill("main input[type=password]", password)
	b.click("main form.fields button.primary")
	b.sees("Отсканируйте код", "Scan the code")
	b.audit("second factor to be confirmed")
	secret := eval[string](b, "document.getElementById('secret').value")
	b.fill("input[name=code]", w.shownBy(secret, 0))
	b.click("main form.fields button.primary")
	b.sees("Больше они показаны не будут", "They will not be shown again")
	b.audit("recovery codes")
	b.press("copy-text button")
	b.sees("Скопировано", "Copied")
	codes := strings.Fields(eval[string](b, "document.getElementById('codes').value"))
	if len(codes) != 10 {
		b.t.Errorf("recovery codes %q", codes)
	}
	b.open("/account/second-factor")
	b.audit("second factor on")
	b.open("/account/settings")
	b.press("button.danger[popovertarget=signout-all]")
	b.click("#signout-all button.solid")
	b.fill("input[name=email]", userEmail)
	b.fill("input[name=password]", password)
	b.click("form.card button.primary")
	b.sees("Теперь код из приложения", "Now the code of your authenticator")
	b.forget("401")
	b.audit("signin code")
	b.fill("input[name=code]", "000000000")
	b.click("form.card button.primary")
	b.sees("Неверный или уже использованный код.", "The code is wrong")
	b.forget("401")
	b.audit("signin code refused")
	b.fill("input[name=code]", codes[0])
	b.click("form.card button.primary")
	b.sees("Осталось 30 дней", "30 days left")
	b.open("/account/second-factor")
	b.fill("form[action$='/off'] input[name=password]", password)
	b.click("form[action$='/off'] button")
	b.sees("Двухэтапный вход выключен.", "Two-step sign-in is off.")
}

func settingsFlow(b *tab) {
	b.open("/account/settings")
	b.audit("settings")
	b.fill("input[name=old]", password)
	b.fill("form[action='/account/password'] input[name=password]", "another password")
	b.click("form[action='/account/password'] button")
	b.sees("Пароль изменён", "The password is changed")
	// The other language and the dark theme, chosen by hand, and back.
	chosen := map[string]string{"ru": "en", "en": "ru"}[b.look.lang]
	b.click("button[name=lang][value=" + chosen + "]")
	if got := eval[string](b, "document.documentElement.lang"); got != chosen {
		b.t.Errorf("language %q", got)
	}
	b.click("button[name=lang][value=" + b.look.lang + "]")
	b.click("button[name=theme][value=dark]")
	if scheme := eval[string](b, "getComputedStyle(document.documentElement).colorScheme"); scheme != "dark" {
		b.t.Errorf("scheme %q", scheme)
	}
	b.click("button[name=theme][value=auto]")
}

// docsFlow tries calls of the API that is beside the dashboard, with one token for all of them.
func docsFlow(w *world, b *tab) {
	b.open("/docs")
	b.audit("docs")
	b.press("#user try-it summary")
	b.press("#user try-it button")
	b.sees("401 Unauthorized", "401 Unauthorized")
	b.forget("401")
	b.fill("#token", must(w.service.AddToken(b.t.Context(), vpn.Shell(), w.user.ID, "docs", time.Time{}))(b.t))
	b.press("#user try-it button")
	b.sees(`"email": "`+userEmail, `"email": "`+userEmail)
	b.press("#servers try-it summary")
	b.press("#servers try-it button")
	b.sees(`"country": "Нидерланды"`, `"country": "Netherlands"`)
	b.audit("docs with answers")
}

func otherPages(w *world, b *tab) {
	b.open("/nothing")
	b.sees("Такой страницы нет", "No such page")
	b.forget("404")
	b.audit("not found")
	b.open("/account/settings")
	b.press("button.danger[popovertarget=signout-all]")
	b.click("#signout-all button.solid")
	b.sees("Вы вышли во всех браузерах.", "You are signed out in all browsers.")
	b.audit("signed out")
	b.open("/sign-up")
	b.sees("Регистрация здесь закрыта", "Sign-up is closed here")
	b.forget("404")
	b.audit("sign-up closed")
	b.click("main a.button")
	b.sees("Забыли пароль?", "Forgot the password?")
	for range 6 {
		_, _ = w.service.SignInBrowser(b.t.Context(), vpn.BrowserSignIn{Email: userEmail, Password: "wrong", Address: netip.MustParseAddr("192.0.2.1")})
	}
	b.fill("input[name=email]", userEmail)
	b.fill("input[name=password]", "wrong password")
	b.click("form.card button.primary")
	b.sees("Слишком много попыток", "Too many attempts")
	b.forget("429")
	b.audit("signin throttled")
	if !eval[bool](b, "document.querySelector('form.card button.primary').disabled") {
		b.t.Error("the form can be sent before its time")
	}
}
