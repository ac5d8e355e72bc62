package vpn

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

const (
	// maxTokens is how many API tokens an account may have.
	maxTokens = 100
	// maxName is the longest name of a token or a device, in characters.
	maxName = 255
)

// AddToken makes an API token for a user, who may use it in place of a sign-in. The token is returned once.
// A zero expiresAt is never; no scopes are ScopeAccount. A token is never good for more than the one that makes it. CodeValidationFailed names the field; CodeConflict, field "tokens", when there are maxTokens.
func (s *Service) AddToken(ctx context.Context, a *Actor, userID int64, name string, expiresAt time.Time, scopes ...Scopes) (string, error) {
	if userID != a.User.ID {
		if err := a.may(NounUsers, Write); err != nil {
			return "", err
		}
		if err := s.touch(ctx, a, userID); err != nil {
			return "", err
		}
	}
	var all Scopes
	for _, scope := range scopes {
		all |= scope
	}
	if needed := cmp.Or(all, ScopeAccount); a.Token.ID != 0 && !a.Token.Scopes.Has(needed) {
		return "", Refusal(CodeForbidden)
	}
	name, err := checkName(name)
	if err != nil {
		return "", err
	}
	secret := newTokenSecret()
	id, err := s.store.AddToken(ctx, Token{UserID: userID, Name: name, ExpiresAt: expiresAt, Scopes: all}, hashToken(secret), maxTokens, a.audit("token.add", 0))
	if errors.Is(err, ErrLimit) {
		return "", &Error{Code: CodeConflict, Field: "tokens", Rule: "max", Max: maxTokens}
	}
	if err != nil {
		return "", notFound(err)
	}
	return formatToken(id, secret), nil
}

// checkName returns a name without blanks around it, or the refusal of one that is empty or too long.
func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", invalid("name", "required")
	case isLong(name):
		return "", tooLong("name", maxName)
	}
	return name, nil
}

// Tokens returns the actor's API tokens in the order of their ids, expired ones too.
func (s *Service) Tokens(ctx context.Context, a *Actor) ([]Token, error) {
	return s.store.Tokens(ctx, a.User.ID)
}

// RemoveToken ends one of the actor's API tokens. CodeNotFound for any other.
func (s *Service) RemoveToken(ctx context.Context, a *Actor, tokenID int64) error {
	if err := s.store.RemoveToken(ctx, a.User.ID, tokenID, a.audit("token.remove", tokenID)); err != nil {
		return notFound(err)
	}
	s.changed(a.User.ID, nil)
	return nil
}
