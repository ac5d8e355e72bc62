package web

import (
	"errors"
	"net/http"

	"stile/vpn"
)

// home leads to where a visitor has something to do.
func (s *Site) home(v *visit) error {
	if v.actor == nil {
		return v.redirect("/signin")
	}
	return v.redirect("/account")
}

// signInForm is what the page of the sign-in shows.
type signInForm struct {
	Email, Next string
	// Ticket stands for the password in the second step, which asks for a code; "" in the first.
	Ticket string
	// CanSignUp and HasPasskeys say what else the page offers.
	CanSignUp, HasPasskeys bool
	Problem                problem
}

func (s *Site) newSignIn(v *visit) signInForm {
	return signInForm{
		CanSignUp: s.service.Settings(v.r.Context()).SignUp != vpn.SignUpClosed, HasPasskeys: s.relyingParty(v) != nil,
	}
}

func (s *Site) signInPage(v *visit) error {
	if v.actor != nil {
		return v.redirect("/account")
	}
	form := s.newSignIn(v)
	form.Next = localPath(v.r.URL.Query().Get("next"), "")
	return v.page(200, "signin", form)
}

// signIn takes the e-mail and the password, and then the code where the account asks for one.
func (s *Site) signIn(v *visit) error {
	form := s.newSignIn(v)
	form.Email, form.Next, form.Ticket = v.form("email"), localPath(v.form("next"), ""), v.form("ticket")
	show := func(status int, p problem) error {
		form.Problem = p
		return v.page(status, "signin", form)
	}
	address := s.address(v.r)
	if err := s.service.MaySignIn(address); err != nil {
		return v.retry(err, show)
	}
	secret, err := s.service.SignInBrowser(v.r.Context(), vpn.BrowserSignIn{
		Email: form.Email, Password: v.password("password"), Ticket: form.Ticket, Code: v.form("code"), Address: address,
	})
	refusal, _ := errors.AsType[*vpn.Error](err)
	switch {
	case err == nil:
		v.begin(secret)
		return v.redirect(localPath(form.Next, "/account"))
	case vpn.CodeOf(err) == vpn.CodeOTPRequired && form.Ticket == "": // nothing is wrong: it is the second step
		v.code = vpn.CodeOTPRequired
		form.Ticket = refusal.Ticket
		return show(http.StatusUnauthorized, problem{})
	case vpn.CodeOf(err) == vpn.CodeInvalidCredentials && form.Ticket != "":
		v.code = vpn.CodeInvalidCredentials
		form.Ticket = ""
		return show(http.StatusUnauthorized, problem{Code: vpn.CodeInvalidCredentials, Text: v.t("signin.late")})
	}
	return v.retry(err, show)
}

func (s *Site) signOut(v *visit) error {
	if err := s.service.SignOutBrowser(v.r.Context(), v.actor, v.secret); err != nil {
		return err
	}
	v.forget()
	return v.done("/signin", "signed_out")
}
