package web

import (
	"net/url"
	"strings"
	"sync"
	"testing"

	"stile/vpn"
)

// A form of the console that is sent twice makes one thing, and shows the same page twice: what is shown once, too.
func TestAFormIsDoneOnce(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	vouchers := func() int {
		t.Helper()
		return len(must(w.service.Vouchers(t.Context(), vpn.Shell(), 0, 1000))(t))
	}
	typed := v.open("/admin/vouchers").form("/admin/vouchers").values()
	typed.Set("count", "0")
	v.do("POST", "/admin/vouchers", typed).says(422) // a refusal is none
	typed.Set("count", "3")
	first := v.do("POST", "/admin/vouchers", typed).says(201)
	again := v.do("POST", "/admin/vouchers", typed).says(201)
	codes := func(p *document) string { return p.find("textarea", "id", "secret").text() }
	if n := vouchers(); n != 3 || codes(again) != codes(first) || len(strings.Fields(codes(first))) != 3 {
		t.Errorf("%d vouchers were made; the codes are %q and %q", n, codes(first), codes(again))
	}
	var both sync.WaitGroup
	typed = again.form("/admin/vouchers").values() // of the page as it was kept: it was not sent yet
	for range 4 {
		both.Go(func() { v.do("POST", "/admin/vouchers", typed).says(201) })
	}
	both.Wait()
	if n := vouchers(); n != 6 {
		t.Errorf("of four clicks on one form there are %d vouchers, want 3 more than 3", n)
	}

	typed = again.form("/admin/vouchers").values() // its first answer is never known: the process died
	typed.Set("count", "2")
	operator := must(w.service.FindUser(t.Context(), vpn.Shell(), operatorEmail))(t)
	name, digest := onceName(&operator, "/admin/vouchers", typed)
	must(w.service.FirstAnswer(t.Context(), &vpn.Actor{User: operator}, name, digest))(t)
	v.do("POST", "/admin/vouchers", typed).says(409, "This was sent already")
	if n := vouchers(); n != 6 {
		t.Errorf("there are %d vouchers", n)
	}

	at := "/admin/users/" + number(w.user.ID)
	ends := func() any {
		t.Helper()
		return must(w.service.Account(t.Context(), vpn.Shell(), w.user.ID))(t).Entitlement.Subscription.ExpiresAt
	}
	days := v.open(at).form(at + "/extension").values()
	v.do("POST", at+"/extension", days).says(200, "extended")
	once := ends()
	v.do("POST", at+"/extension", days).says(200, "extended")
	if ends() != once {
		t.Errorf("sent twice it ends %v, once %v", ends(), once)
	}
	v.do("POST", at+"/extension", url.Values{"days": {"7"}}).says(200, "extended") // a program's, without a token
	if ends() == once {
		t.Error("a form without a token is not done")
	}

	account := url.Values{"email": {"new@example.com"}, onceField: {v.open("/admin/users").find("input", "name", onceField).attr("value")}}
	made := v.do("POST", "/admin/users", account).says(201, "new@example.com")
	if shown := v.do("POST", "/admin/users", account).says(201); shown.find("input", "id", "secret").attr("value") != made.find("input", "id", "secret").attr("value") {
		t.Error("loaded again, the page does not show the password of the account")
	}
}
