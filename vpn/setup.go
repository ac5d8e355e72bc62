package vpn

import (
	"context"
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

// AddToken makes an API token for a user, who may use it in place of a sign-in. The token is returned once.
// A zero expiresAt is never.
func (s *Service) AddToken(ctx context.Context, a *Actor, userID int64, name string, expiresAt time.Time) (string, error) {
	if userID != a.User.ID {
		if err := a.mayManage(); err != nil {
			return "", err
		}
	}
	secret := newTokenSecret()
	id, err := s.store.AddToken(ctx, Token{UserID: userID, Name: name, ExpiresAt: expiresAt}, hashToken(secret), a.audit("token.add", 0))
	if err != nil {
		return "", notFound(err)
	}
	return formatToken(id, secret), nil
}
