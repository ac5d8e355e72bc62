package vpn

import (
	"context"
	"errors"
	"time"
)

// setupTTL is how long a set-up link holds.
const setupTTL = 24 * time.Hour

// SetupToken makes the secret of the one-time link with which the first operator sets the service up, in place of any
// before it. It is "" when an operator exists already.
func (s *Service) SetupToken(ctx context.Context) (string, error) {
	has, err := s.store.HasOperator(ctx)
	if err != nil || has {
		return "", err
	}
	secret := newTokenSecret()
	return secret, s.store.SetSetupToken(ctx, hashToken(secret), s.now().Add(setupTTL))
}

// CheckSetup refuses, with CodeNotFound, a set-up link that makes no operator: unknown, used, late, or no longer needed.
func (s *Service) CheckSetup(ctx context.Context, secret string) error {
	if secret == "" || len(secret) > maxBearer {
		return Refusal(CodeNotFound)
	}
	holds, err := s.store.HoldsSetup(ctx, hashToken(secret))
	if err == nil && !holds {
		return Refusal(CodeNotFound)
	}
	return err
}

// Setup makes the first operator by the one-time link, and returns the secret of a session in the browser that asks.
// CodeNotFound as CheckSetup; CodeValidationFailed and CodeConflict as AddUser.
func (s *Service) Setup(ctx context.Context, secret string, in NewAccount) (string, error) {
	if err := s.CheckSetup(ctx, secret); err != nil { // before a slow hash is made
		return "", err
	}
	in.IsOperator = true
	u, err := s.newUser(ctx, in)
	if err != nil {
		return "", err
	}
	made, err := s.store.RedeemSetup(ctx, hashToken(secret), u, Audit{Action: "user.setup"})
	if errors.Is(err, ErrTaken) {
		return "", &Error{Code: CodeConflict, Field: "email", Rule: "unique"}
	}
	if err != nil {
		return "", notFound(err)
	}
	return s.newBrowser(ctx, made.ID, CodeUse{})
}
