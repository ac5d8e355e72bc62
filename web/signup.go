package web

import (
	"errors"

	"stile/vpn"
)

// signUpForm is what the page of the sign-up shows.
type signUpForm struct {
	Mode vpn.SignUpMode
	// ByMail: the password is chosen once the mail is answered.
	ByMail bool
	// Invitation is what the page's address holds, "" = none; IsFixed tells that it is for Email alone.
	Invitation           string
	IsFixed              bool
	Email, Name, Voucher string
	Problem              problem
}

// signUpPage shows the form where the settings let people sign up.
func (s *Site) signUpPage(v *visit) error {
	form, err := s.newSignUp(v)
	if err != nil {
		return err
	}
	if v.actor != nil {
		return v.redirect("/account")
	}
	return v.page(200, "signup", form)
}

// newSignUp is the form as the settings and the invitation of the address make it.
func (s *Site) newSignUp(v *visit) (signUpForm, error) {
	form := signUpForm{
		Mode: s.service.Settings(v.r.Context()).SignUp, ByMail: s.service.SendsMail(v.r.Context()), Invitation: v.r.PathValue("invitation"),
	}
	if form.Mode == vpn.SignUpClosed {
		return form, errClosed
	}
	if form.Invitation == "" {
		return form, nil
	}
	i, err := s.service.CheckInvitation(v.r.Context(), form.Invitation)
	if vpn.CodeOf(err) == vpn.CodeInvitationInvalid {
		return form, errInvitation
	}
	form.Email, form.IsFixed = i.Email, i.Email != ""
	return form, err
}

func (s *Site) signUp(v *visit) error {
	address := s.address(v.r)
	if err := s.service.MaySignUp(v.r.Context(), address); vpn.CodeOf(err) == vpn.CodeNotFound {
		return errClosed
	}
	form, err := s.newSignUp(v)
	if err != nil {
		return err
	}
	if !form.IsFixed {
		form.Email = v.form("email")
	}
	form.Name, form.Voucher = v.form("name"), v.form("voucher")
	in := vpn.SignUp{
		Email: form.Email, Name: form.Name, Password: v.password("password"), Locale: string(v.lang), Invitation: form.Invitation,
		Voucher: form.Voucher, Address: address,
	}
	if in.Invitation == "" {
		in.Invitation = v.form("invitation")
	}
	isMailed, err := s.service.SignUp(v.r.Context(), in)
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return v.page(status, "signup", form)
		})
	}
	if isMailed {
		return v.done("/signin", "sign_up_mailed")
	}
	return v.done("/signin", "signed_up")
}

// confirmForm is what the page behind the link in a sign-up's mail shows.
type confirmForm struct {
	Email, Name string
	Problem     problem
}

func (s *Site) confirmPage(v *visit) error {
	p, err := s.service.PendingSignUp(v.r.Context(), v.r.PathValue("token"))
	if err != nil {
		return linkGone(err)
	}
	return v.page(200, "confirm", confirmForm{Email: p.Email})
}

// linkGone says more of a link that no longer holds than that there is no such page.
func linkGone(err error) error {
	switch vpn.CodeOf(err) {
	case vpn.CodeSignUpInvalid:
		return errSignUp
	case vpn.CodeResetInvalid:
		return errReset
	default:
		return err
	}
}

func (s *Site) confirmSignUp(v *visit) error {
	token, form := v.r.PathValue("token"), confirmForm{Name: v.form("name")}
	p, err := s.service.PendingSignUp(v.r.Context(), token)
	if err != nil {
		return linkGone(err)
	}
	form.Email = p.Email
	secret, err := s.service.ConfirmSignUp(v.r.Context(), token, form.Name, v.password("password"))
	if err != nil {
		return v.retry(linkGone(err), func(status int, p problem) error {
			form.Problem = p
			return v.page(status, "confirm", form)
		})
	}
	v.begin(secret)
	return v.done("/account", "welcome")
}

// askForm is what the page for a forgotten password shows.
type askForm struct {
	// ByMail: a link is sent; otherwise an operator makes one.
	ByMail  bool
	Support string
	Email   string
	Problem problem
}

func (s *Site) askPage(v *visit) error {
	return v.page(200, "ask", s.newAsk(v))
}

func (s *Site) newAsk(v *visit) askForm {
	return askForm{ByMail: s.service.SendsMail(v.r.Context()), Support: s.service.Settings(v.r.Context()).Links.Support}
}

func (s *Site) askReset(v *visit) error {
	form := s.newAsk(v)
	if !form.ByMail {
		return errNoPage
	}
	form.Email = v.form("email")
	if err := s.service.AskReset(v.r.Context(), form.Email, s.address(v.r)); err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return v.page(status, "ask", form)
		})
	}
	return v.done("/signin", "reset_mailed")
}

// resetForm is what the page behind a link to set a new password shows.
type resetForm struct {
	KeepDevices bool
	Problem     problem
}

// resetPage asks; only the form acts, as programs that look at mails follow links.
func (s *Site) resetPage(v *visit) error {
	if err := s.service.CheckPasswordReset(v.r.Context(), v.r.PathValue("token")); err != nil {
		return linkGone(err)
	}
	return v.page(200, "reset", resetForm{})
}

func (s *Site) resetPassword(v *visit) error {
	form := resetForm{KeepDevices: v.form("devices") == "keep"}
	err := s.service.MaySignIn(s.address(v.r))
	if err == nil {
		err = s.service.RedeemPasswordReset(v.r.Context(), v.r.PathValue("token"), v.password("password"), form.KeepDevices)
	}
	if _, isRefusal := errors.AsType[*vpn.Error](err); isRefusal {
		return v.retry(linkGone(err), func(status int, p problem) error {
			form.Problem = p
			return v.page(status, "reset", form)
		})
	}
	if err != nil {
		return err
	}
	v.forget()
	return v.done("/signin", "password_reset")
}
