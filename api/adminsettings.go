package api

import (
	"context"

	"stile/vpn"
	"stile/wire"
)

// settingsInput is the input of PUT /api/admin/settings.
type settingsInput struct{ vpn.Settings }

func (s *settingsInput) read(in *input) {
	s.Brand = in.text("brand", false)
	s.Links = vpn.Links{Account: in.link("account_url"), Renew: in.link("renew_url"), Support: in.link("support_url")}
	s.SignUp, s.MailFrom = vpn.SignUpMode(in.text("sign_up", false)), in.text("mail_from", false)
}

// link reads an address of a page.
func (in *input) link(name string) string {
	v := in.field(name, false)
	if v.kind == kindAbsent {
		return ""
	}
	return in.checked(name, v, maxLink)
}

// settings returns what operators set of the service.
func (a *API) settings(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.AdminSettingsView, error) {
	v, err := a.service.ViewSettings(ctx, actor)
	if err != nil {
		return nil, err
	}
	return &wire.AdminSettingsView{
		Kept: adminSettingsOf(&v.Kept), InForce: adminSettingsOf(&v.InForce), Fixed: append([]string{}, v.Fixed...), SendsMail: v.SendsMail,
	}, nil
}

// setSettings replaces them.
func (a *API) setSettings(ctx context.Context, actor *vpn.Actor, in settingsInput) (*wire.AdminSettingsView, error) {
	if err := a.service.SetSettings(ctx, actor, in.Settings); err != nil {
		return nil, err
	}
	return a.settings(ctx, actor, nothing{})
}

func adminSettingsOf(s *vpn.Settings) wire.AdminSettings {
	return wire.AdminSettings{
		Brand: orNull(s.Brand), AccountURL: orNull(s.Links.Account), RenewURL: orNull(s.Links.Renew), SupportURL: orNull(s.Links.Support),
		SignUp: orNull(string(s.SignUp)), MailFrom: orNull(s.MailFrom),
	}
}

// testMailInput is the input of POST /api/admin/settings/test-mail.
type testMailInput struct{ to, lang string }

func (t *testMailInput) read(in *input) { t.to, t.lang = in.email("to"), string(in.x.language()) }

// testMail sends a mail with which an operator sees whether mail works.
func (a *API) testMail(ctx context.Context, actor *vpn.Actor, in testMailInput) (done, error) {
	var send func(ctx context.Context, from, to string) error
	if a.config.SendTestMail != nil {
		send = func(ctx context.Context, from, to string) error { return a.config.SendTestMail(ctx, from, to, in.lang) }
	}
	return done{}, a.service.TestMail(ctx, actor, in.to, send)
}
