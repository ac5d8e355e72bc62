package cli_test

import (
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// mailTo waits for the n-th mail to an address and returns it, decoded.
func (m *mailServer) mailTo(t *testing.T, address string, n int) string {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		m.mu.Lock()
		left := n
		for _, mail := range m.mails {
			if strings.Contains(mail, "To: <"+address+">") {
				if left--; left == 0 {
					m.mu.Unlock()
					plain, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(mail)))
					if err != nil {
						t.Fatal(err)
					}
					return string(plain)
				}
			}
		}
		m.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("no mail number %d to %s", n, address)
		}
	}
}

// People sign up, forget their password and lose their second factor, with a mail server that others wrote and nothing but
// links, forms and mails.
func TestEntriesByMail(t *testing.T) {
	server := startMailServer(t)
	m := newMachine(t, "", "--smtp-url", "smtp://"+server.address)
	m.stile("settings", "set", "--sign-up", "invitation", "--mail-from", "VPN <vpn@example.net>", "--brand", "Тихая гавань")
	browse := func() (open func(path string) string, post func(path, text string, form url.Values) string) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		read := func(resp *http.Response, err error) string {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			page, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(page)
		}
		open = func(path string) string { t.Helper(); return read(browser.Get(m.url + path)) } //nolint:bodyclose // read closes it
		post = func(path, text string, form url.Values) string {
			t.Helper()
			page := read(browser.PostForm(m.url+path, form)) //nolint:bodyclose // read closes it
			if !strings.Contains(page, text) {
				t.Fatalf("%s does not say %q:\n%s", path, text, page)
			}
			return page
		}
		return open, post
	}
	open, post := browse()
	const email = "guest@example.com"
	for deadline := time.Now().Add(time.Minute); strings.Contains(open("/signin"), ">Stile<"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the service does not follow the settings")
		}
	}
	invitation := regexp.MustCompile(`^https://vpn\.example\.net(/sign-up/\S+)`).FindStringSubmatch(
		m.stile("invitation", "add", "--email", email, "--plan", "standard", "--public-url", "https://vpn.example.net/"))[1]
	post(invitation, "письмо уже в пути", url.Values{"email": {email}})
	mail := server.mailTo(t, email, 1)
	link := regexp.MustCompile(regexp.QuoteMeta(m.url) + `(/sign-up/confirm/\w+)`).FindStringSubmatch(mail)
	if link == nil || !strings.Contains(mail, "From: \"VPN\" <vpn@example.net>") || strings.Contains(mail, "List-Unsubscribe") {
		t.Fatalf("mail\n%s", mail)
	}
	post(link[1], "Добро пожаловать", url.Values{"password": {testPassword}, "name": {"Гость"}})
	if shown := m.stile("user", "show", email); !strings.Contains(shown, "active standard") || !strings.Contains(shown, "Second factor: off; passkeys: 0") {
		t.Errorf("user show:\n%s", shown)
	}
	if list := m.stile("invitation", "list"); !strings.Contains(list, "used by 1") {
		t.Errorf("invitations:\n%s", list)
	}

	// The second factor, lost, and turned off at the shell: the running service tells the user.
	page := post("/account/second-factor", `id="secret"`, url.Values{"password": {testPassword}})
	secret := regexp.MustCompile(`[?&]secret=([A-Z2-7]+)`).FindStringSubmatch(page)[1]
	post("/account/second-factor/confirm", `id="codes"`, url.Values{"code": {authenticator(t, secret, "now")}})
	if shown := m.stile("user", "show", email, "--json"); !strings.Contains(shown, `"second_factor": true`) {
		t.Errorf("user show: %s", shown)
	}
	m.stile("user", "otp-off", email)
	if mail := server.mailTo(t, email, 2); !strings.Contains(mail, "Оператор сервиса Тихая гавань") {
		t.Errorf("mail\n%s", mail)
	}
	if refused := m.refusal("user", "passkeys-off", email); !strings.Contains(refused, "has no passkeys") {
		t.Errorf("passkeys-off: %s", refused)
	}

	// Forgotten: by mail, and by an operator.
	_, post = browse()
	post("/reset", "письмо со ссылкой уже в пути", url.Values{"email": {email}})
	link = regexp.MustCompile(`/reset/\w+`).FindStringSubmatch(server.mailTo(t, email, 3))
	post(link[0], "Новый пароль задан", url.Values{"password": {"the second password"}})
	post("/signin", "/signout", url.Values{"email": {email}, "password": {"the second password"}})
	byOperator := strings.Fields(m.stile("user", "reset", email))[0]
	post(byOperator, "Новый пароль задан", url.Values{"password": {"the third password"}})
	_, post = browse()
	post("/signin", "/signout", url.Values{"email": {email}, "password": {"the third password"}})
	for _, private := range []string{email, secret, link[0], byOperator, invitation} {
		if strings.Contains(m.log.String(), private) {
			t.Errorf("the log tells %s:\n%s", private, m.log)
		}
	}
}
