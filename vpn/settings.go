package vpn

import (
	"context"
	"net/mail"
	"net/url"
	"slices"
	"unicode"
)

// SignUpMode says who may make an account of their own.
type SignUpMode string

// The modes.
const (
	SignUpClosed     SignUpMode = "closed"     // nobody: operators make the accounts
	SignUpInvitation SignUpMode = "invitation" // who has an invitation
	SignUpVoucher    SignUpMode = "voucher"    // who has a voucher, or an invitation
	SignUpOpen       SignUpMode = "open"       // anybody
)

// Links are the pages that clients send people to; "" = none.
type Links struct {
	Account string
	Renew   string
	Support string
}

// Settings are what the service calls itself, where it sends people, and who may sign up. "" is not set.
type Settings struct {
	// Brand is what the service calls itself, at most maxBrand characters.
	Brand string
	// Links are http or https addresses; Support may be a mailto address as well.
	Links  Links
	SignUp SignUpMode
	// MailFrom is the sender of mails: an address, or a name with one, such as VPN <vpn@example.net>.
	MailFrom string
}

const (
	// maxBrand is how long a brand may be, in characters: stores of browser extensions take no more.
	maxBrand = 45
	// maxLink is how long a link may be, in bytes.
	maxLink = 1024
)

// SettingsView is what an operator sees of the settings. There is no secret in it.
type SettingsView struct {
	// Kept are those in the database, and InForce what follows from them, the defaults and the command line of the service.
	Kept, InForce Settings
	// Fixed names those that the command line sets, which nobody can change meanwhile: brand, account_url, renew_url,
	// support_url, sign_up, mail_from.
	Fixed []string
	// SendsMail reports whether the service has a mail server and a sender.
	SendsMail bool
}

// fields are the settings by their names in the API.
func (s *Settings) fields() []settingField {
	return []settingField{
		{"brand", &s.Brand}, {"account_url", &s.Links.Account}, {"renew_url", &s.Links.Renew}, {"support_url", &s.Links.Support},
		{"sign_up", (*string)(&s.SignUp)}, {"mail_from", &s.MailFrom},
	}
}

type settingField struct {
	name  string
	value *string
}

// over returns the settings with those of others where they are not set.
func (s Settings) over(others Settings) Settings {
	rest := others.fields()
	for i, f := range s.fields() {
		if *f.value == "" {
			*f.value = *rest[i].value
		}
	}
	return s
}

// Check names the field that is wrong.
func (s *Settings) Check() error {
	switch {
	case len([]rune(s.Brand)) > maxBrand:
		return tooLong("brand", maxBrand)
	case slices.ContainsFunc([]rune(s.Brand), unicode.IsControl):
		return invalid("brand", "string")
	case !isLink(s.Links.Account, "http", "https"):
		return invalid("account_url", "url")
	case !isLink(s.Links.Renew, "http", "https"):
		return invalid("renew_url", "url")
	case !isLink(s.Links.Support, "http", "https", "mailto"):
		return invalid("support_url", "url")
	case !slices.Contains([]SignUpMode{"", SignUpClosed, SignUpInvitation, SignUpVoucher, SignUpOpen}, s.SignUp):
		return invalid("sign_up", "in")
	}
	if _, err := mail.ParseAddress(s.MailFrom); s.MailFrom != "" && (err != nil || len(s.MailFrom) > 255) {
		return invalid("mail_from", "email")
	}
	return nil
}

// isLink reports whether a text is "" or an address of one of the schemes.
func isLink(text string, schemes ...string) bool {
	if text == "" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && len(text) <= maxLink && slices.Contains(schemes, u.Scheme) && (u.Host != "" || u.Opaque != "")
}

// Settings returns the settings in force: at most a second old, and never older than a change of this process. While the
// database does not answer, they are those that need none.
func (s *Service) Settings(ctx context.Context) Settings {
	kept, err := s.kept(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "settings not read", "err", err)
		return s.fixed.over(s.defaults)
	}
	return s.fixed.over(kept.over(s.defaults))
}

// settingsEpoch is the number under which changes of the settings are counted with those of users, who have others.
const settingsEpoch = 0

// kept returns the settings in the database.
func (s *Service) kept(ctx context.Context) (Settings, error) {
	kept, err := s.settings.get(struct{}{}, func() (*Settings, int64, error) {
		kept, err := s.store.Settings(ctx)
		return &kept, settingsEpoch, err
	})
	if err != nil {
		return Settings{}, err
	}
	return *kept, nil
}

// ViewSettings returns the settings as an operator sees them.
func (s *Service) ViewSettings(ctx context.Context, a *Actor) (*SettingsView, error) {
	if err := a.may(NounSettings, Read); err != nil {
		return nil, err
	}
	kept, err := s.store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	v := &SettingsView{Kept: kept, InForce: s.fixed.over(kept.over(s.defaults))}
	for _, f := range s.fixed.fields() {
		if *f.value != "" {
			v.Fixed = append(v.Fixed, f.name)
		}
	}
	v.SendsMail = s.post != nil && v.InForce.MailFrom != ""
	return v, nil
}

// SetSettings replaces the settings in the database: "" is the default. CodeValidationFailed names the field; its rule is
// "fixed" for a change of one that the command line sets.
func (s *Service) SetSettings(ctx context.Context, a *Actor, in Settings) error {
	if err := a.may(NounSettings, Write); err != nil {
		return err
	}
	if err := in.Check(); err != nil {
		return err
	}
	kept, err := s.store.Settings(ctx)
	if err != nil {
		return err
	}
	fixed, old := s.fixed.fields(), kept.fields()
	for i, f := range in.fields() {
		if *fixed[i].value != "" && *f.value != *old[i].value {
			return invalid(f.name, "fixed")
		}
	}
	if err := s.store.SetSettings(ctx, in, a.audit("settings.update", 0)); err != nil {
		return err
	}
	s.actors.epochs.bump(settingsEpoch)
	return nil
}
