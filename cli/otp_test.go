package cli_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// authenticator is Debian's oathtool: the code of a secret, so many steps from now.
func authenticator(t *testing.T, secret, when string) string {
	t.Helper()
	path, err := exec.LookPath("oathtool")
	if err != nil {
		t.Fatalf("%v: install Debian's package oathtool", err)
	}
	out, err := exec.Command(path, "--totp", "--base32", "--now", when, secret).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// A user turns the second factor on with an authenticator that others wrote, signs in with it, loses it, and asks the
// operator.
func TestSecondFactorWithAnAuthenticator(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		const email = "careful@example.com"
		m := newMachine(t, dsn)
		m.addUser(email)
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		post := func(path, text string, form url.Values) string {
			t.Helper()
			resp, err := browser.PostForm(m.url+path, form)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			page, err := io.ReadAll(resp.Body)
			if err != nil || !strings.Contains(string(page), text) {
				t.Fatalf("%s does not say %q: %v\n%s", path, text, err, page)
			}
			return string(page)
		}
		post("/signin", "/signout", url.Values{"email": {email}, "password": {testPassword}})
		page := post("/account/second-factor", `id="secret"`, url.Values{"password": {testPassword}})
		secret := regexp.MustCompile(`[?&]secret=([A-Z2-7]+)`).FindStringSubmatch(page)[1]
		post("/account/second-factor/confirm", `id="codes"`, url.Values{"code": {authenticator(t, secret, "now")}})

		login := func(more map[string]any) int {
			body := map[string]any{"email": email, "password": testPassword, "device_id": "d", "device_name": "d"}
			for k, v := range more {
				body[k] = v
			}
			return (&device{m: m}).post("/api/login", body, nil)
		}
		if got := login(nil); got != http.StatusUnauthorized {
			t.Errorf("without a code: %d", got)
		}
		code := authenticator(t, secret, "30 seconds") // that of now is taken; the clock may be so much behind
		if got := login(map[string]any{"otp": code}); got != http.StatusOK {
			t.Errorf("with a code: %d", got)
		}
		if got := login(map[string]any{"otp": code}); got != http.StatusUnauthorized {
			t.Errorf("with the same code: %d", got)
		}
		if out := m.stile("user", "otp-off", email); !strings.Contains(out, "is off") {
			t.Errorf("otp-off: %s", out)
		}
		if got := login(nil); got != http.StatusOK {
			t.Errorf("after otp-off: %d", got)
		}
		if log := m.stile("audit"); !strings.Contains(log, "user.second_factor_reset") {
			t.Errorf("audit:\n%s", log)
		}
		if refused := m.refusal("user", "otp-off", email); !strings.Contains(refused, "has no second factor") {
			t.Errorf("otp-off again: %s", refused)
		}
		if strings.Contains(m.log.String(), secret) || strings.Contains(m.log.String(), email) {
			t.Errorf("the log tells:\n%s", m.log)
		}
	})
}
