package cli

import (
	"cmp"
	"context"

	"stile/vpn"
)

// SettingsCmd is `stile settings`.
type SettingsCmd struct {
	Show SettingsShowCmd `cmd:"" help:"Show what is set."`
	Set  SettingsSetCmd  `cmd:"" help:"Change what is named; an empty value sets the default again."`
}

// SettingsShowCmd is `stile settings show`.
type SettingsShowCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// settingsRow is the settings, as JSON.
type settingsRow struct {
	Brand      string `json:"brand"`
	AccountURL string `json:"account_url"`
	RenewURL   string `json:"renew_url"`
	SupportURL string `json:"support_url"`
	SignUp     string `json:"sign_up"`
	MailFrom   string `json:"mail_from"`
}

// Run shows the settings.
func (c *SettingsShowCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		v, err := s.ViewSettings(ctx, shell)
		if err != nil {
			return err
		}
		k := &v.Kept
		r := settingsRow{k.Brand, k.Links.Account, k.Links.Renew, k.Links.Support, string(k.SignUp), k.MailFrom}
		if c.JSON {
			return t.printJSON(r)
		}
		t.printTable([]string{"SETTING", "VALUE"}, [][]string{
			{"brand", cmp.Or(clean(r.Brand), "not set: "+v.InForce.Brand)},
			{"account-url", cmp.Or(r.AccountURL, "not set: the dashboard")},
			{"renew-url", cmp.Or(r.RenewURL, "not set: the dashboard")},
			{"support-url", cmp.Or(r.SupportURL, "not set")},
			{"sign-up", cmp.Or(r.SignUp, "not set: "+string(v.InForce.SignUp))},
			{"mail-from", cmp.Or(clean(r.MailFrom), "not set")},
		})
		t.notef("A flag of `stile serve` wins over what is set here.\n")
		return nil
	})
}

// SettingsSetCmd is `stile settings set`. Its flags have variables of their own: those of `stile serve` win over what is set.
type SettingsSetCmd struct {
	databaseFlags
	Brand      *string `env:"STILE_SET_BRAND" placeholder:"NAME" help:"What the service calls itself, at most 45 characters."`
	AccountURL *string `name:"account-url" env:"STILE_SET_ACCOUNT_URL" placeholder:"URL" help:"Page where users manage their account."`
	RenewURL   *string `name:"renew-url" env:"STILE_SET_RENEW_URL" placeholder:"URL" help:"Page where users renew."`
	SupportURL *string `name:"support-url" env:"STILE_SET_SUPPORT_URL" placeholder:"URL" help:"Page where users find help, or mailto:ADDRESS."`
	SignUp     *string `env:"STILE_SET_SIGN_UP" placeholder:"MODE" help:"Who may make an account: closed, invitation, voucher or open."`
	MailFrom   *string `env:"STILE_SET_MAIL_FROM" placeholder:"ADDRESS" help:"Sender of mails, such as VPN <vpn@example.net>."`
}

// Run changes the settings that are named.
func (c *SettingsSetCmd) Run(ctx context.Context, t *Terminal) error {
	if *c == (SettingsSetCmd{databaseFlags: c.databaseFlags}) {
		return errNothing
	}
	return c.use(ctx, func(s *vpn.Service) error {
		v, err := s.ViewSettings(ctx, shell)
		if err != nil {
			return err
		}
		k := v.Kept
		for _, change := range []struct{ from, to *string }{
			{c.Brand, &k.Brand}, {c.AccountURL, &k.Links.Account}, {c.RenewURL, &k.Links.Renew}, {c.SupportURL, &k.Links.Support},
			{c.SignUp, (*string)(&k.SignUp)}, {c.MailFrom, &k.MailFrom},
		} {
			if change.from != nil {
				*change.to = *change.from
			}
		}
		if err := s.SetSettings(ctx, shell, k); err != nil {
			return err
		}
		t.printf("Set; the service follows within a second.\n")
		return nil
	})
}
