package web

import (
	"net/url"
	"strings"
	"testing"

	"stile/vpn"
)

// An operator invites somebody, who makes an account by the link; and turns off for a user what that user has lost.
func TestConsoleInvitationsWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	p := v.open("/admin/invitations").says(200, "Nobody may sign up now", "No invitations yet.")
	for _, wrong := range [][]string{{"email", "nobody"}, {"days", "366"}, {"days", "x"}, {"periods", "0", "plan", "standard"}, {"note", strings.Repeat("x", 256)}} {
		if again := v.submit(p, "/admin/invitations", wrong...).says(422); again.find("input", "aria-invalid", "true").attr("name") != wrong[0] {
			t.Errorf("%v is not marked", wrong)
		}
	}
	v.submit(p, "/admin/invitations", "email", userEmail).says(409, "There is an account with this e-mail")
	w.allow(vpn.SignUpInvitation, "")
	p = v.submit(p, "/admin/invitations", "email", "guest@example.com", "plan", "standard", "periods", "2", "note", "a <b>guest").
		says(201, "will not be shown again", "guest@example.com", "Standard × 2", "a <b>guest")
	link := must(url.Parse(p.find("input", "id", "secret").attr("value")))(t)
	if again := v.open("/admin/invitations"); strings.Contains(again.body, link.Path) {
		t.Error("the link is shown again")
	}
	guest := w.visitor("en")
	guest.submit(guest.open(link.Path).says(200), link.Path, "password", password).says(200, "the account is ready")
	w.signedIn("guest@example.com", "en").open("/account").says(200, "Standard", "60 days left")
	p = v.open("/admin/invitations").says(200, "used")
	v.submit(p, "/admin/invitations/1/remove").says(200, "The invitation is deleted.", "No invitations yet.")
	for range pageRows + 1 {
		w.invite(vpn.NewInvitation{})
	}
	if p = v.open("/admin/invitations"); p.find("a", "href", "/admin/invitations?before=3") == nil {
		t.Error("the second page is not found")
	}
	v.open("/admin/invitations?before=3").says(200, "To the start")

	path := "/admin/users/" + number(w.user.ID)
	v.open(path).says(200, "Two-step sign-innone", "Passkeysnone")
	w.factor(w.user.ID)
	w.passkey(w.user.ID)
	p = v.open(path).says(200, "1 recovery code is left", "1 passkey")
	v.submit(p, path+"/second-factor/off").says(200, "The second factor is off.", "Two-step sign-innone")
	v.submit(p, path+"/passkeys/remove").says(200, "The passkeys are removed.", "Passkeysnone")
	v.submit(p, path+"/passkeys/remove").says(404)

	// A viewer sees all this and changes none of it.
	viewer := must(w.service.AddUser(t.Context(), vpn.Shell(), vpn.NewAccount{Email: "viewer@example.com", Password: password}))(t)
	if err := w.service.SetRole(t.Context(), vpn.Shell(), viewer.ID, vpn.RoleViewer); err != nil {
		t.Fatal(err)
	}
	w.factor(w.user.ID)
	looks := w.signedIn("viewer@example.com", "en")
	if page := looks.open("/admin/invitations").says(200); page.find("form", "action", "/admin/invitations") != nil {
		t.Error("a viewer is shown the form")
	}
	if page := looks.open(path).says(200, "1 recovery code is left"); page.find("form", "action", path+"/second-factor/off") != nil {
		t.Error("a viewer is shown the form")
	}
	for _, form := range []string{"/admin/invitations", "/admin/invitations/2/remove", path + "/second-factor/off", path + "/passkeys/remove"} {
		looks.do("POST", form, url.Values{"days": {"1"}, "periods": {"1"}}).says(403)
	}
}

// invitationsFlow is the same in Chromium.
func invitationsFlow(w *world, b *tab) {
	w.allow(vpn.SignUpInvitation, "")
	w.factor(w.user.ID)
	b.open("/signin")
	b.fill("input[name=email]", operatorEmail)
	b.fill("input[name=password]", password)
	b.click("form.card button.primary")
	b.open("/admin/invitations")
	b.audit("console invitations none")
	b.fill("input[name=email]", "guest@example.com")
	b.click("form.fields button.primary")
	b.sees("больше показана не будет", "will not be shown again")
	b.audit("console invitation made")
	b.press("button.danger[popovertarget]")
	b.audit("console invitation to be deleted")
	b.open("/admin/users/" + number(w.user.ID))
	b.audit("console user with a second factor")
	b.press("button.danger[popovertarget=factor-off]")
	b.audit("console second factor to be turned off")
	b.click("#factor-off button.solid")
	b.sees("Двухэтапный вход выключен.", "The second factor is off.")
	b.click("form.who button")
}
