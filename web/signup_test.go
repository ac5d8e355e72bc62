package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// invite makes an invitation.
func (w *world) invite(in vpn.NewInvitation) string {
	w.t.Helper()
	in.Days = 7
	_, secret, err := w.service.Invite(w.t.Context(), vpn.Shell(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// letter is the next one that was asked for.
func (w *world) letter(kind vpn.LetterKind) vpn.Letter {
	w.t.Helper()
	select {
	case l := <-w.letters:
		if l.Kind != kind {
			w.t.Fatalf("a letter %q to %s, want %q", l.Kind, l.To, kind)
		}
		return l
	case <-time.After(time.Minute):
		w.t.Fatalf("no letter %q", kind)
		return vpn.Letter{}
	}
}

// What leads to a sign-up is not there while nobody may sign up, an invitation or not.
func TestSignUpIsClosed(t *testing.T) {
	w := setup(t).populate()
	invitation := w.invite(vpn.NewInvitation{})
	v := w.visitor("en")
	if strings.Contains(v.open("/signin").body, "/sign-up") {
		t.Error("the sign-in leads to a sign-up")
	}
	form := url.Values{"email": {"new@example.com"}, "password": {password}}
	for path, says := range map[string]string{
		"/sign-up": "Sign-up is closed here", "/sign-up/" + invitation: "Sign-up is closed here", "/sign-up/confirm/x": "This link no longer works",
	} {
		v.open(path).says(404, says)
		v.do(http.MethodPost, path, form).says(404, says)
	}
	if v.open("/sign-up").find("a", "href", "/signin") == nil {
		t.Error("the page does not lead to the sign-in")
	}
	w.visitor("ru").open("/sign-up").says(404, "Регистрация здесь закрыта", "войдите")
	if p := w.signedIn(userEmail, "en").open("/sign-up").says(404, "closed"); p.find("a", "href", "/signin") != nil {
		t.Error("who is signed in is sent to sign in")
	}
	if _, err := w.service.FindUser(t.Context(), vpn.Shell(), "new@example.com"); vpn.CodeOf(err) != vpn.CodeNotFound {
		t.Errorf("an account was made: %v", err)
	}
}

// Each mode, without JavaScript and without mail.
func TestSignUpWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	enter := func(email string) {
		t.Helper()
		w.signedIn(email, "en").open("/account").says(200)
	}
	w.allow(vpn.SignUpInvitation, "")
	v := w.visitor("en")
	p := v.open("/signin")
	if p.find("a", "href", "/sign-up") == nil {
		t.Error("the sign-in does not lead to the sign-up")
	}
	p = v.open("/sign-up").says(200, "With an invitation")
	v.submit(p, "/sign-up", "email", "a@example.com", "invitation", "none", "password", password).says(422, "The invitation is not valid")
	v.submit(p, "/sign-up", "email", "a@example.com", "invitation", w.invite(vpn.NewInvitation{}), "password", password).says(200, "If the address was free, the account is ready")
	enter("a@example.com")

	invitation := w.invite(vpn.NewInvitation{Email: "b@example.com", Plan: "standard", Periods: 1})
	path := "/sign-up/" + invitation
	p = v.open(path).says(200, "You are invited", "b@example.com")
	if p.find("input", "name", "email") != nil {
		t.Error("the e-mail of an invitation can be changed")
	}
	v.submit(p, path, "password", "short").says(422, "Too short: at least 8 characters")
	v.submit(p, path, "email", "other@example.com", "password", password).says(200, "the account is ready")
	enter("b@example.com")
	w.signedIn("b@example.com", "en").open("/account").says(200, "Standard")
	v.open(path).says(404, "This invitation no longer works")
	v.do(http.MethodPost, path, url.Values{"password": {password}}).says(404)

	w.allow(vpn.SignUpVoucher, "")
	w.pass(time.Minute)
	codes, err := w.service.AddVouchers(t.Context(), vpn.Shell(), vpn.NewVouchers{Plan: "standard", Periods: 1, Uses: 1, Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	p = v.open("/sign-up").says(200, "With the code of a voucher")
	wrong := v.submit(p, "/sign-up", "email", "c@example.com", "voucher", "0000-0000-0000-0000", "password", password, "name", "Clara").says(422, "The code is not valid")
	if got := wrong.form("/sign-up").values(); got.Get("email") != "c@example.com" || got.Get("name") != "Clara" || got.Get("password") != "" {
		t.Errorf("the form comes back with %v", got)
	}
	v.submit(p, "/sign-up", "email", "c@example.com", "voucher", strings.ToLower(codes[0]), "password", password).says(200, "the account is ready")
	enter("c@example.com")

	// An e-mail that has an account gets the same page, and the account stays as it is.
	w.allow(vpn.SignUpOpen, "")
	p = v.open("/sign-up").says(200, "An e-mail and a password are enough")
	free := v.submit(p, "/sign-up", "email", "d@example.com", "password", password).says(200)
	there := v.submit(p, "/sign-up", "email", userEmail, "password", "another one").says(200)
	if free.body != there.body || free.path != there.path {
		t.Error("the page tells who has an account")
	}
	enter("d@example.com")
	enter(userEmail)
	for i := range 30 {
		v.submit(p, "/sign-up", "email", number(int64(i)), "password", password)
	}
	v.submit(p, "/sign-up", "email", "e@example.com", "password", password).says(429, "Too many attempts")
}

// By mail: the answer is the same for every address, the password is chosen behind the link, and the link works once.
func TestSignUpByMailWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	w.allow(vpn.SignUpOpen, "vpn@example.net")
	v := w.visitor("en")
	p := v.open("/sign-up").says(200, "We send a link to this address")
	if p.find("input", "type", "password") != nil {
		t.Error("a password is asked for before the mail is answered")
	}
	free := v.submit(p, "/sign-up", "email", "new@example.com").says(200, "If this address can have an account")
	there := v.submit(p, "/sign-up", "email", userEmail).says(200)
	if free.body != there.body {
		t.Error("the page tells who has an account")
	}
	letters := map[vpn.LetterKind]vpn.Letter{}
	for range 2 {
		l := <-w.letters
		letters[l.Kind] = l
	}
	if letters[vpn.LetterTaken].To != userEmail || letters[vpn.LetterSignUp].To != "new@example.com" {
		t.Fatalf("letters %+v", letters)
	}
	path := "/sign-up/confirm/" + letters[vpn.LetterSignUp].Token
	other := w.visitor("en") // a mail is read on another device
	p = other.open(path).says(200, "Your e-mail is confirmed", "new@example.com")
	other.open(path).says(200) // looking at it uses nothing up
	p = other.submit(p, path, "password", "short").says(422, "Too short")
	p = other.submit(p, path, "password", password, "name", "Nora").says(200, "Welcome!", "Nora")
	if p.path != "/account" {
		t.Errorf("signed up to %s", p.path)
	}
	other.open(path).says(404, "This link no longer works")
	other.do(http.MethodPost, path, url.Values{"password": {password}}).says(404)
}

// A forgotten password: a link by mail or of an operator, which only its form uses up.
func TestPasswordResetWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.visitor("en")
	p := v.open("/signin")
	if p.find("a", "href", "/reset") == nil {
		t.Fatal("the sign-in does not lead there")
	}
	p = v.open("/reset").says(200, "Whoever runs this service makes a link")
	if p.find("a", "href", "mailto:help@example.com") == nil || p.find("form", "action", "/reset") != nil {
		t.Error("without mail there is a form, or nobody to ask")
	}
	reset := func(secret, devices, newPassword string) {
		t.Helper()
		path := "/reset/" + secret
		p := v.open(path).says(200, "New password")
		v.submit(p, path, "password", "short").says(422, "Too short")
		v.submit(p, path, "password", newPassword, "devices", devices).says(200, "The new password is set")
		v.open(path).says(404, "This link no longer works")
		v.do(http.MethodPost, path, url.Values{"password": {"yet another"}}).says(404)
		in := w.visitor("en")
		if got := in.submit(in.open("/signin"), "/signin", "email", userEmail, "password", newPassword); got.path != "/account" {
			t.Errorf("the new password: %s", got.text())
		}
	}
	device := must(w.service.AddDevice(t.Context(), &vpn.Actor{User: w.user}, "phone", vpn.PlatformIOS))(t)
	browser := w.signedIn(userEmail, "en")
	secret, _, err := w.service.ResetPassword(t.Context(), vpn.Shell(), w.user.ID)
	if err != nil {
		t.Fatal(err)
	}
	reset(secret, "keep", "the second password")
	if devices := must(w.store.Devices(t.Context(), w.user.ID))(t); len(devices) != 1 || devices[0].ID != device {
		t.Errorf("devices that were to be kept: %+v", devices)
	}
	if p := browser.open("/account"); p.path != "/signin" {
		t.Error("a browser outlived the password")
	}

	w.allow(vpn.SignUpClosed, "vpn@example.net")
	p = v.open("/reset").says(200, "We send a link")
	there := v.submit(p, "/reset", "email", userEmail).says(200, "If there is an account with this address")
	if unknown := v.submit(p, "/reset", "email", "nobody@example.com").says(200); unknown.body != there.body {
		t.Error("the page tells who has an account")
	}
	reset(w.letter(vpn.LetterReset).Token, "end", "the third password")
	if devices := must(w.store.Devices(t.Context(), w.user.ID))(t); len(devices) != 0 {
		t.Errorf("devices that were to be signed out: %+v", devices)
	}
	v.submit(p, "/reset", "email", "nobody").says(422, "does not look like an e-mail")
	for range 5 {
		v.submit(p, "/reset", "email", userEmail)
	}
	v.submit(p, "/reset", "email", userEmail).says(429, "Too many attempts")
	if strings.Contains(w.log.String(), userEmail) || strings.Contains(w.log.String(), secret) {
		t.Error("the log tells")
	}
}
