package web

import (
	"context"
	"net/http"
	"slices"

	"stile/vpn"
)

// serviceSettingsPage is what operators set of the service.
type serviceSettingsPage struct {
	*vpn.SettingsView
	// Typed is what the form shows: what is kept, or what was refused.
	Typed vpn.Settings
	Modes []vpn.SignUpMode
	// To is where a test mail goes.
	To string
	// Form names the form that Problem is of.
	Form    string
	Problem problem
}

// IsFixed reports whether the command line sets a value.
func (p *serviceSettingsPage) IsFixed(name string) bool { return slices.Contains(p.Fixed, name) }

// signUpModes are the choices of who may sign up.
var signUpModes = []vpn.SignUpMode{vpn.SignUpClosed, vpn.SignUpInvitation, vpn.SignUpVoucher, vpn.SignUpOpen}

func (s *Site) serviceSettings(v *visit) error {
	return s.showServiceSettings(v, http.StatusOK, serviceSettingsPage{})
}

func (s *Site) showServiceSettings(v *visit, status int, p serviceSettingsPage) error {
	var err error
	if p.SettingsView, err = s.service.ViewSettings(v.r.Context(), v.actor); err != nil {
		return err
	}
	if p.Form != "settings" {
		p.Typed = p.Kept
	}
	if p.Modes = signUpModes; p.To == "" {
		p.To = v.actor.User.Email
	}
	return v.page(status, "servicesettings", &p)
}

// saveServiceSettings replaces the settings. What the command line sets stays as it is: its fields send nothing.
func (s *Site) saveServiceSettings(v *visit) error {
	p := serviceSettingsPage{Form: "settings", Typed: vpn.Settings{
		Brand: v.form("brand"), SignUp: vpn.SignUpMode(v.form("sign_up")), MailFrom: v.form("mail_from"),
		Links: vpn.Links{Account: v.form("account_url"), Renew: v.form("renew_url"), Support: v.form("support_url")},
	}}
	view, err := s.service.ViewSettings(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	typed := p.Typed
	for name, field := range map[string]struct{ to, kept *string }{
		"brand": {&typed.Brand, &view.Kept.Brand}, "account_url": {&typed.Links.Account, &view.Kept.Links.Account},
		"renew_url": {&typed.Links.Renew, &view.Kept.Links.Renew}, "support_url": {&typed.Links.Support, &view.Kept.Links.Support},
		"sign_up": {(*string)(&typed.SignUp), (*string)(&view.Kept.SignUp)}, "mail_from": {&typed.MailFrom, &view.Kept.MailFrom},
	} {
		if slices.Contains(view.Fixed, name) {
			*field.to = *field.kept
		}
	}
	if err := s.service.SetSettings(v.r.Context(), v.actor, typed); err != nil {
		return v.retry(err, func(status int, problem problem) error {
			p.Problem = problem
			return s.showServiceSettings(v, status, p)
		})
	}
	return v.done("/admin/settings", "settings_saved")
}

// testMail sends a mail with which an operator sees whether mail works.
func (s *Site) testMail(v *visit) error {
	to := v.form("to")
	var send func(ctx context.Context, from, to string) error
	if s.sendTestMail != nil {
		send = func(ctx context.Context, from, to string) error { return s.sendTestMail(ctx, from, to, string(v.lang)) }
	}
	err := s.service.TestMail(v.r.Context(), v.actor, to, send)
	if err != nil {
		return v.retry(err, func(status int, problem problem) error {
			return s.showServiceSettings(v, status, serviceSettingsPage{Form: "mail", To: to, Problem: problem})
		})
	}
	return v.done("/admin/settings", "mail_sent")
}
