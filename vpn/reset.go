package vpn

import (
	"context"
	"errors"
	"time"
)

// resetTTL is how long a link to set a new password holds.
const resetTTL = 24 * time.Hour

// ResetPassword makes the secret of a link with which a user sets a new password, once, in place of any before it. Support
// may do so for ordinary users.
func (s *Service) ResetPassword(ctx context.Context, a *Actor, userID int64) (secret string, expiresAt time.Time, err error) {
	if err := a.may(NounUsers, Help); err != nil {
		return "", time.Time{}, err
	}
	if err := s.touch(ctx, a, userID); err != nil {
		return "", time.Time{}, err
	}
	secret, expiresAt = newTokenSecret(), s.now().Add(resetTTL)
	if err := s.store.SetPasswordReset(ctx, userID, hashToken(secret), expiresAt, a.audit("user.reset", userID)); err != nil {
		return "", time.Time{}, notFound(err)
	}
	return secret, expiresAt, nil
}

// CheckPasswordReset refuses, with CodeResetInvalid, a secret that RedeemPasswordReset would refuse.
func (s *Service) CheckPasswordReset(ctx context.Context, secret string) error {
	_, expiresAt, err := s.store.PasswordReset(ctx, hashToken(secret))
	if errors.Is(err, ErrNotFound) || (err == nil && !s.now().Before(expiresAt)) {
		return Refusal(CodeResetInvalid)
	}
	return err
}

// RedeemPasswordReset sets a new password by the secret of a link and signs the user out everywhere, or, with keepDevices, in
// browsers alone. CodeResetInvalid for a secret that is wrong, used or too old (indistinguishable); CodeValidationFailed for
// a password that is too short.
func (s *Service) RedeemPasswordReset(ctx context.Context, secret, password string, keepDevices bool) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	hash := hashToken(secret)
	if err := s.CheckPasswordReset(ctx, secret); err != nil { // looked for first: hashing is slow on purpose
		return err
	}
	passwordHash, err := s.passwords.Hash(ctx, password)
	if err != nil {
		return overloaded(err)
	}
	userID, nodes, err := s.store.RedeemPasswordReset(ctx, hash, passwordHash, keepDevices, Audit{Action: "user.password"})
	if errors.Is(err, ErrNotFound) {
		return Refusal(CodeResetInvalid)
	}
	if err != nil {
		return err
	}
	s.changed(userID, nodes)
	s.awaitRevoked(ctx, nodes)
	return nil
}

// SignOutUser ends all sessions and API tokens of a user, frees the device slots, and ends the keys.
func (s *Service) SignOutUser(ctx context.Context, a *Actor, userID int64) error {
	if err := a.may(NounDevices, Write); err != nil {
		return err
	}
	if err := s.touch(ctx, a, userID); err != nil {
		return err
	}
	nodes, err := s.store.SignOutUser(ctx, userID, a.audit("user.sign_out", userID))
	if err != nil {
		return notFound(err)
	}
	s.changed(userID, nodes)
	if a.jobID == 0 {
		s.awaitRevoked(ctx, nodes)
	}
	return nil
}
