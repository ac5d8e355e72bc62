package web

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"time"
)

// shownBy is what an authenticator makes of a secret, so many steps from now (RFC 6238).
func (w *world) shownBy(secret string, steps int64) string {
	w.t.Helper()
	key := must(base32.StdEncoding.DecodeString(strings.ReplaceAll(secret, " ", "")))(w.t)
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(w.now().Unix()/30+steps)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// codesOf are the recovery codes that a page shows.
func codesOf(p *document) []string {
	return strings.Fields(html.UnescapeString(p.find("textarea", "id", "codes").text()))
}

func TestSecondFactorWithoutJavaScript(t *testing.T) {
	const path = "/account/second-factor"
	w := setup(t).populate()
	v := w.signedIn(userEmail, "en")
	v.submit(v.open(path), path, "password", "wrong").says(401, "Wrong e-mail or password.")
	p := v.submit(v.open(path), path, "password", password).says(200, "Scan the code", "Or type the key")
	secret := p.find("textarea", "id", "secret").text()
	if uri := must(url.Parse(p.find("a", "class", "button quiet").attr("href")))(t); uri.Query().Get("secret") != strings.ReplaceAll(secret, " ", "") {
		t.Errorf("the link is %s", uri)
	}
	if again := v.submit(p, path+"/confirm", "code", "000").says(401, "The code is wrong"); again.find("textarea", "id", "secret").text() != secret {
		t.Error("a wrong code made another secret")
	}
	p = v.submit(p, path+"/confirm", "code", w.shownBy(secret, 0)).says(201, "They will not be shown again", "10 recovery codes are left")
	codes := codesOf(p)
	if len(codes) != 10 {
		t.Fatalf("codes %q", codes)
	}
	if p = v.open(path).says(200, "Two-step sign-in is on"); strings.Contains(p.body, codes[0]) || p.find("textarea", "id", "secret") != nil {
		t.Error("the secret or the codes are shown twice")
	}
	v.open("/account/settings").says(200, "Two-step sign-in on", "10 recovery codes are left")
	v.do("POST", path, url.Values{"password": {password}}).says(409, "on already")

	// The second step keeps where to go, and asks for no password again.
	w.pass(2 * time.Minute)
	v = w.visitor("en")
	p = v.submit(v.open("/signin?next=/account/tokens"), "/signin", "email", userEmail, "password", password).says(401, "Now the code", userEmail)
	if strings.Contains(p.body, password) || p.find("p", "role", "alert") != nil {
		t.Error("the page shows the password, or a mistake where none was made")
	}
	if code := p.find("input", "name", "code"); code.attr("autocomplete") != "one-time-code" || code.attr("inputmode") != "numeric" {
		t.Errorf("the field is %v", code.Attr)
	}
	p = v.submit(p, "/signin", "code", "000").says(401, "The code is wrong")
	code := w.shownBy(secret, 0)
	if p = v.submit(p, "/signin", "code", code); p.path != "/account/tokens" {
		t.Fatalf("signed in to %s: %s", p.path, p.text())
	}
	v = w.visitor("en")
	p = v.submit(v.open("/signin"), "/signin", "email", userEmail, "password", password)
	v.submit(p, "/signin", "code", code).says(401, "was used already")
	if got := v.submit(p, "/signin", "code", strings.ToUpper(codes[0])); got.path != "/account" {
		t.Errorf("a recovery code: %s", got.text())
	}
	w.pass(5 * time.Minute)
	late := w.visitor("en")
	if late.submit(p, "/signin", "code", w.shownBy(secret, 0)).says(401, "It took too long").find("input", "value", userEmail) == nil {
		t.Error("the e-mail is lost")
	}

	renew := v.open(path).says(200, "9 recovery codes are left")
	v.submit(renew, path+"/codes").says(422, "Please fill this in.")
	if renewed := codesOf(v.submit(renew, path+"/codes", "code", codes[1]).says(201)); renewed[0] == codes[0] {
		t.Error("the codes are the old ones")
	}
	v.submit(renew, path+"/off", "code", codes[2]).says(401, "The code is wrong")
	v.submit(renew, path+"/off", "code", w.shownBy(secret, 0)).says(200, "Two-step sign-in is off.")
	w.signedIn(userEmail, "en")
}
