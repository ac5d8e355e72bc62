package cli

import (
	"context"
	"errors"

	"stile/courier"
	"stile/vpn"
)

// mailFlags say how mail is sent; serve and `stile mail test` share them.
type mailFlags struct {
	SMTPURL  string `name:"smtp-url" placeholder:"URL" help:"Mail server: smtps://USER:PASSWORD@HOST, or smtp://… with STARTTLS; without it no mail is sent. Better set by STILE_SMTP_URL."`
	MailFrom string `placeholder:"ADDRESS" help:"Sender of mails, such as VPN <vpn@example.net>; by default as set in the settings."`
}

// mailer is nil where no mail server is named.
func (f mailFlags) mailer() (vpn.Mailer, error) {
	switch {
	case f.SMTPURL == "" && f.MailFrom == "":
		return nil, nil //nolint:nilnil // no mailer is an answer here
	case f.SMTPURL == "":
		return nil, errors.New("--mail-from without --smtp-url: name the mail server")
	}
	smtp, err := courier.NewSMTP(courier.SMTPConfig{URL: f.SMTPURL, From: f.MailFrom})
	if err != nil {
		return nil, err
	}
	return smtp, nil
}

// sendTestMail hands a mail over with which an operator sees whether mail works.
func (a *app) sendTestMail(ctx context.Context, from, to, lang string) error {
	m, err := courier.TestMail(to, lang)
	if err != nil {
		return err
	}
	m.From = from
	return a.cfg.mailer.Send(ctx, m)
}

// MailCmd is `stile mail`.
type MailCmd struct {
	Test    MailTestCmd    `cmd:"" help:"Send a test mail, now, from this command."`
	Notices MailNoticesCmd `cmd:"" help:"Say whether a user gets notices of expiry and quota by mail."`
}

// MailTestCmd is `stile mail test`.
type MailTestCmd struct {
	mailFlags
	Address string `arg:"" help:"Where to."`
	Locale  string `enum:"ru,en" default:"ru" help:"ru or en."`
}

// Run sends the mail.
func (c *MailTestCmd) Run(ctx context.Context, t *Terminal) error {
	mailer, err := c.mailer()
	if err != nil {
		return err
	}
	if mailer == nil || c.MailFrom == "" {
		return errors.New("name the mail server with --smtp-url and the sender with --mail-from")
	}
	if !vpn.ValidEmail(c.Address) {
		return errors.New("<address>: want one e-mail address, such as user@example.com")
	}
	m, err := courier.TestMail(c.Address, c.Locale)
	if err != nil {
		return err
	}
	if err := mailer.Send(ctx, m); err != nil {
		return err
	}
	t.printf("The mail server has taken a mail to %s.\n", c.Address)
	return nil
}

// MailNoticesCmd is `stile mail notices`.
type MailNoticesCmd struct {
	userRef
	State string `arg:"" enum:"on,off" help:"on or off."`
}

// Run changes it.
func (c *MailNoticesCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.SetWantsMail(ctx, shell, u.ID, c.State == "on"); err != nil {
			return err
		}
		t.printf("Notices to %s are %s.\n", u.Email, c.State)
		return nil
	})
}
