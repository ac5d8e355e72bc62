package web

import "stile/vpn"

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
	Problem     problem
}

func (s *Site) signInPage(v *visit) error {
	if v.actor != nil {
		return v.redirect("/account")
	}
	return v.page(200, "signin", signInForm{Next: localPath(v.r.URL.Query().Get("next"), "")})
}

func (s *Site) signIn(v *visit) error {
	form := signInForm{Email: v.form("email"), Next: localPath(v.form("next"), "")}
	show := func(status int, p problem) error {
		form.Problem = p
		return v.page(status, "signin", form)
	}
	address := s.address(v.r)
	if err := s.service.MaySignIn(address); err != nil {
		return v.retry(err, show)
	}
	secret, err := s.service.SignInBrowser(v.r.Context(), vpn.BrowserSignIn{
		Email: form.Email, Password: v.password("password"), Address: address,
	})
	if err != nil {
		return v.retry(err, show)
	}
	v.begin(secret)
	return v.redirect(localPath(form.Next, "/account"))
}

func (s *Site) signOut(v *visit) error {
	if err := s.service.SignOutBrowser(v.r.Context(), v.actor, v.secret); err != nil {
		return err
	}
	v.forget()
	return v.done("/signin", "signed_out")
}
