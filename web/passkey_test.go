package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// TestEntriesInChromium tells the ways into the service in Chromium, as TestFlowsInChromium does the rest: signing up, a new
// password, and passkeys with the browser's own authenticator.
func TestEntriesInChromium(t *testing.T) {
	browser := chromium(t)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			w := setup(t).populate()
			b := w.tab(browser, t, l)
			signUpFlow(w, b)
			resetFlow(w, b)
			passkeyFlow(w, b)
			invitationsFlow(w, b)
		})
	}
}

func signUpFlow(w *world, b *tab) {
	w.allow(vpn.SignUpVoucher, "")
	b.open("/signin")
	b.audit("signin with all it offers")
	b.click("a[href='/sign-up']")
	b.audit("sign-up by voucher")
	b.fill("input[name=email]", "anna@example.com")
	b.fill("input[name=voucher]", "0000-0000-0000-0000")
	b.fill("input[name=password]", password)
	b.click("form.card button.primary")
	b.sees("Код не действует", "The code is not valid")
	b.forget("422")
	b.audit("sign-up refused")
	w.allow(vpn.SignUpInvitation, "")
	b.open("/sign-up")
	b.audit("sign-up by invitation")
	b.open("/sign-up/" + w.invite(vpn.NewInvitation{Email: "anna@example.com", Plan: "standard", Periods: 1}))
	b.audit("sign-up invited")
	b.fill("input[name=password]", password)
	b.click("form.card button.primary")
	b.sees("учётная запись готова", "the account is ready")
	b.audit("signed up")
	b.open("/sign-up/none")
	b.sees("Приглашение больше не действует", "This invitation no longer works")
	b.forget("404")
	b.audit("invitation gone")
	w.allow(vpn.SignUpOpen, "vpn@example.net")
	b.open("/sign-up")
	b.audit("sign-up by mail")
	b.fill("input[name=email]", "boris@example.com")
	b.click("form.card button.primary")
	b.sees("письмо уже в пути", "a mail is on its way")
	b.open("/sign-up/confirm/" + w.letter(vpn.LetterSignUp).Token)
	b.audit("sign-up confirmed")
	b.fill("input[name=password]", password)
	b.click("form.card button.primary")
	b.sees("Добро пожаловать", "Welcome!")
	b.click("form.who button")
}

func resetFlow(w *world, b *tab) {
	b.open("/reset")
	b.audit("reset asked for")
	b.fill("input[name=email]", userEmail)
	b.click("form.card button.primary")
	b.sees("письмо со ссылкой уже в пути", "a mail with a link is on its way")
	b.open("/reset/" + w.letter(vpn.LetterReset).Token)
	b.audit("reset")
	b.fill("input[name=password]", password)
	b.press("input[value=keep]")
	b.click("form.card button.primary")
	b.sees("Новый пароль задан", "The new password is set")
	w.allow(vpn.SignUpClosed, "")
	b.open("/reset")
	b.audit("reset without mail")
}

// authenticator gives the window one that makes passkeys and verifies its user, and returns its id.
func (b *tab) authenticator() (id string) {
	b.t.Helper()
	b.Call("WebAuthn.enable", map[string]any{}, nil)
	var added struct{ AuthenticatorID string }
	b.Call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
		"isUserVerified": true, "automaticPresenceSimulation": true,
	}}, &added)
	return added.AuthenticatorID
}

// verifies says whether an authenticator verifies its user from now on.
func (b *tab) verifies(authenticator string, does bool) {
	b.t.Helper()
	b.Call("WebAuthn.setUserVerified", map[string]any{"authenticatorId": authenticator, "isUserVerified": does}, nil)
}

// passkeyFlow adds a passkey, signs in by it, and removes it.
func passkeyFlow(w *world, b *tab) {
	own := b.authenticator()
	b.open("/signin")
	b.fill("input[name=email]", userEmail)
	b.fill("input[name=password]", password)
	b.click("form.card button.primary")
	b.open("/account/passkeys")
	b.audit("passkeys none")
	b.fill("use-passkey input[name=name]", "Ноутбук")
	b.fill("use-passkey input[name=password]", "wrong password")
	b.press("use-passkey button")
	b.sees("Неверный логин или пароль.", "Wrong e-mail or password.")
	b.forget("401")
	b.audit("passkey refused")
	b.fill("use-passkey input[name=password]", password)
	b.click("use-passkey button")
	b.sees("Ключ входа добавлен.", "The passkey is added.")
	b.audit("passkeys")
	b.press("details.rename summary")
	b.fill("details.rename input[name=name]", "Рабочий ноутбук")
	b.click("details.rename button")
	b.sees("Рабочий ноутбук", "Рабочий ноутбук")
	b.open("/account/settings")
	b.audit("settings with a passkey")
	b.click("form.who button")

	// An authenticator that does not verify its user signs nobody in.
	b.verifies(own, false)
	b.press("use-passkey button")
	b.sees("Ключ входа не подтверждён.", "The passkey was not confirmed.")
	b.audit("signin passkey not confirmed")
	b.verifies(own, true)
	b.click("use-passkey button")
	b.sees("Осталось 30 дней", "30 days left")
	b.click("form.who button")

	// What was signed counts once, and a challenge of nobody's not at all.
	statuses := eval[[]int](b, `(async () => {
		const post = (path, fields) => fetch(path, {method: "POST", body: new URLSearchParams(fields), redirect: "manual"})
		const sign = async (change) => {
			const options = await (await post("/signin/passkey/options", {})).json()
			const made = await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(change(options))})
			return JSON.stringify(made.toJSON())
		}
		const credential = await sign(o => o), forged = await sign(o => ({...o, challenge: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}))
		const statuses = []
		for (const c of [credential, credential, forged, "{}"]) statuses.push((await post("/signin/passkey", {credential: c})).status)
		return statuses
	})()`)
	if want := []int{0, http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized}; !slices.Equal(statuses, want) { // 0 is the redirect
		b.t.Errorf("statuses %v, want %v", statuses, want)
	}
	b.forgetAll("401", 3)
	w.pass(time.Minute)
	b.open("/account/passkeys")
	b.press("button.danger[popovertarget]")
	b.audit("passkey to be removed")
	b.click("li dialog button.solid")
	b.sees("Ключ входа удалён.", "The passkey is removed.")
	b.click("form.who button")
	b.click("use-passkey button")
	b.sees("Этот ключ входа не принят.", "This passkey was not accepted.")
	b.forget("401")
	b.audit("signin passkey refused")
}

// forgetAll is forget for so many complaints, which come when they come.
func (b *tab) forgetAll(status string, n int) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); n > 0; time.Sleep(10 * time.Millisecond) {
		b.listen()
		b.said = slices.DeleteFunc(b.said, func(text string) bool {
			isMeant := strings.Contains(text, "the server responded with a status of "+status)
			if isMeant {
				n--
			}
			return isMeant
		})
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: the console does not speak of %s", b.look, status)
		}
	}
}

// Passkeys are offered only where browsers make them, and pages say so where not.
func TestPasskeysNeedANameAndHTTPS(t *testing.T) {
	for address, isOffered := range map[string]bool{
		"https://vpn.example.net": true, "https://192.0.2.7": false, "http://vpn.example.net": false, "http://localhost:8000": true, "https://[2001:db8::1]": false,
	} {
		w := setup(t, func(c *Config) { c.PublicURL = address }).populate()
		p := w.visitor("en").open("/signin").says(200)
		if got := p.find("use-passkey", "kind", "get") != nil; got != isOffered {
			t.Errorf("%s: offered %v", address, got)
		}
		if got := w.visitor("en").do(http.MethodPost, "/signin/passkey/options", nil); (got.StatusCode == http.StatusOK) != isOffered {
			t.Errorf("%s: options %d", address, got.StatusCode)
		}
	}
}

func FuzzPasskeyAnswers(f *testing.F) {
	w := setup(f).populate()
	f.Add(`{}`)
	f.Add(`{"id":"AQ","rawId":"AQ","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA","authenticatorData":"AA","signature":"AA"}}`)
	f.Fuzz(func(t *testing.T, credential string) {
		w.pass(time.Minute) // the throttle forgets
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/signin/passkey", strings.NewReader(url.Values{"credential": {credential}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		got := httptest.NewRecorder()
		w.site.ServeHTTP(got, r)
		if got.Code != http.StatusUnauthorized {
			t.Errorf("%q: %d", credential, got.Code)
		}
	})
}
