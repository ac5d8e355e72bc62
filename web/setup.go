package web

import (
	"stile/vpn"
)

// setupForm is what the page behind the set-up link shows.
type setupForm struct {
	Email, Name string
	Problem     problem
}

func (s *Site) setupPage(v *visit) error {
	if err := s.service.CheckSetup(v.r.Context(), v.r.PathValue("token")); err != nil {
		return setupGone(err)
	}
	return v.page(200, "setup", setupForm{})
}

// setupGone says more of a link that makes no operator than that there is no such page.
func setupGone(err error) error {
	if vpn.CodeOf(err) == vpn.CodeNotFound {
		return errSetup
	}
	return err
}

func (s *Site) setup(v *visit) error {
	form := setupForm{Email: v.form("email"), Name: v.form("name")}
	secret, err := s.service.Setup(v.r.Context(), v.r.PathValue("token"), vpn.NewAccount{
		Email: form.Email, Name: form.Name, Password: v.password("password"), Locale: string(v.lang),
	})
	if err != nil {
		return v.retry(setupGone(err), func(status int, p problem) error {
			form.Problem = p
			return v.page(status, "setup", form)
		})
	}
	v.begin(secret)
	return v.done("/admin", "setup")
}
