package vpn

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// exportDays is how many days of traffic an export holds: more than are kept.
const exportDays = 36_500

// prove checks the actor's own password, throttled as a sign-in. CodeInvalidCredentials when it is another.
func (s *Service) prove(ctx context.Context, a *Actor, password string, address netip.Addr) error {
	return s.try(ctx, a.User.Email, address, func() error {
		cred, _, err := s.verify(ctx, SignIn{Email: a.User.Email, Password: password})
		if err == nil && cred.Status == UserBlocked {
			err = Refusal(CodeAccountBlocked)
		}
		return err
	})
}

// ChangePassword replaces the actor's own password. It signs out every browser, device and token, and returns the secret
// of a new session for the browser that asks. Refusals: those of a sign-in for the old password, CodeValidationFailed
// for the new one.
func (s *Service) ChangePassword(ctx context.Context, a *Actor, old, password string, address netip.Addr) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	if err := s.prove(ctx, a, old, address); err != nil {
		return "", err
	}
	if err := s.setPassword(ctx, a, a.User.ID, password); err != nil {
		return "", err
	}
	return s.newBrowser(ctx, a.User.ID, CodeUse{})
}

// Erase deletes the actor's own account with everything it has; its keys die at once. CodeForbidden for an operator, whom
// another operator removes; otherwise the refusals of a sign-in.
func (s *Service) Erase(ctx context.Context, a *Actor, password string, address netip.Addr) error {
	if a.User.Role != "" {
		return Refusal(CodeForbidden)
	}
	if err := s.prove(ctx, a, password, address); err != nil {
		return err
	}
	return s.removeUser(ctx, a, a.User.ID)
}

// Export is all that is kept of a user, but for what only proves who they are: hashes, and the seeds of keys.
type Export struct {
	User        User
	Entitlement Entitlement
	Devices     []Device
	Tokens      []Token
	Browsers    []Browser
	Usage       []DayUsage // the latest day first
	Factor      SecondFactor
	Passkeys    []Passkey
	At          time.Time
}

// Export returns all that is kept of the actor.
func (s *Service) Export(ctx context.Context, a *Actor) (*Export, error) {
	e := &Export{At: s.now()}
	var errs [7]error
	e.User, e.Entitlement, errs[0] = s.store.Standing(ctx, a.User.ID)
	e.Devices, errs[1] = s.store.Devices(ctx, a.User.ID)
	e.Tokens, errs[2] = s.store.Tokens(ctx, a.User.ID)
	e.Browsers, errs[3] = s.store.Browsers(ctx, a.User.ID)
	e.Usage, errs[4] = s.store.UserUsage(ctx, a.User.ID, exportDays)
	e.Factor, errs[5] = s.SecondFactor(ctx, a)
	e.Passkeys, errs[6] = s.store.Passkeys(ctx, a.User.ID)
	return e, errors.Join(errs[:]...)
}
