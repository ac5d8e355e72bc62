package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"stile/client"
	"stile/internal/buildinfo"
)

// account is a signed-in user at the shell.
type account struct {
	*client.Client
	profile profile
	session session
}

// errSignedOut says what to do without a session.
var errSignedOut = errors.New("you are not signed in: run `stile login`")

// openAccount opens the session of whoever runs the command.
func openAccount() (*account, error) {
	p, err := openProfile()
	if err != nil {
		return nil, err
	}
	s, err := p.session()
	if err != nil {
		return nil, err
	}
	if s.Token == "" {
		return nil, errSignedOut
	}
	c, err := newClient(s.API, s.Token)
	if err != nil {
		return nil, err
	}
	return &account{Client: c, profile: p, session: s}, nil
}

// newClient makes a client that speaks the language of the shell.
func newClient(api, token string) (*client.Client, error) {
	return client.New(api, token, client.Options{Language: language(), UserAgent: "stile/" + buildinfo.Version()})
}

// language is the shell's, as Accept-Language takes it; English where the shell says nothing.
func language() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		value, _, _ := strings.Cut(os.Getenv(name), ".")
		value, _, _ = strings.Cut(value, "@")
		if value == "C" || value == "POSIX" {
			return "en"
		}
		if value != "" {
			return strings.ReplaceAll(value, "_", "-")
		}
	}
	return "en"
}

// end forgets the token, and keeps what the next sign-in proposes.
func (a *account) end() error {
	a.session.Token = ""
	return a.profile.keep(a.session)
}

// remedy turns the failure of a call into what a person can do about it. A session that the server has ended is
// forgotten.
func (a *account) remedy(err error) error {
	if client.CodeOf(err) == client.CodeUnauthenticated {
		return errors.Join(errors.New("the session has ended, here or on another device: run `stile login`"), a.end())
	}
	return remedy(err, a.session.API)
}

// isUnreachable reports whether a call got no answer.
func isUnreachable(err error) bool {
	_, ok := errors.AsType[*url.Error](err)
	return ok && !errors.Is(err, context.Canceled)
}

// unreachable names the address that gave no answer.
func unreachable(err error, api string) error {
	return fmt.Errorf("%s cannot be reached: %w", api, errors.Unwrap(err))
}

// datedRemedy is what to do where isDated.
const datedRemedy = "Look at this machine's clock. If it is right, the service's own certificate is out of date: tell who runs it."

// isDated reports whether the service's certificate is good, but not now.
func isDated(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// remedy says what a person can do about the failure of a call to api.
func remedy(err error, api string) error {
	if isDated(err) {
		return fmt.Errorf("%w. %s", unreachable(err, api), datedRemedy)
	}
	if isUnreachable(err) {
		return fmt.Errorf("%w: is the address right, and this machine online? `stile doctor` looks closer", unreachable(err, api))
	}
	refusal, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err
	}
	if refusal.Code == "" {
		return fmt.Errorf("%s does not answer as Stile does: %w", api, refusal)
	}
	message := strings.TrimRight(clean(refusal.Message), ".")
	if hint := hint(refusal); hint != "" {
		return fmt.Errorf("%s: %s", message, hint)
	}
	return fmt.Errorf("%s (%s)", message, clean(string(refusal.Code)))
}

// hint is what helps against a refusal, "" when nothing is known to.
func hint(refusal *client.Error) string {
	switch refusal.Code {
	case client.CodeInvalidCredentials:
		return "check the e-mail and the password"
	case client.CodeSubscriptionRequired, client.CodeSubscriptionExpired, client.CodePlanUpgradeRequired:
		return "renew or upgrade at " + orElse(clean(refusal.Details.RenewURL), "your provider's site")
	case client.CodeTrafficQuotaExceeded:
		if at := refusal.Details.ResetsAt; at != nil {
			return "the traffic starts anew on " + day(at)
		}
	case client.CodeTooManyAttempts:
		return fmt.Sprintf("try again in %v", max(refusal.RetryAfter, time.Second))
	case client.CodeAccountBlocked:
		return "ask your provider"
	case client.CodeServerNotFound:
		return "`stile servers` lists those there are"
	case client.CodeDeviceNotFound:
		return "`stile devices` lists those there are"
	case client.CodeProtocolUnavailable:
		return "this server speaks " + clean(strings.Join(refusal.Details.Available, ", "))
	case client.CodeServerOffline, client.CodeServerFull, client.CodeServerMaintenance:
		return "choose another, as `stile connect best` does"
	default:
	}
	return ""
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func day(at *time.Time) string { return at.Local().Format("2006-01-02") }
