package vpn

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// Passkey is a credential of WebAuthn: an authenticator's key that signs in by itself, after it has verified its user.
type Passkey struct {
	ID     int64
	UserID int64
	// Credential names it, and PublicKey is its key as COSE has it (RFC 9052): both as the authenticator gave them.
	Credential []byte
	PublicKey  []byte
	// SignCount is the authenticator's counter when it was used last; 0 = it has none.
	SignCount uint32
	// IsSynced tells that it may be copied to its user's other devices (WebAuthn: backup eligible).
	IsSynced bool
	Name     string
	// LastUsedDay is the day of last use, midnight UTC.
	LastUsedDay time.Time
	CreatedAt   time.Time
}

// PasskeyUse is a sign-in by a passkey, which was verified.
type PasskeyUse struct {
	ID        int64
	UserID    int64
	SignCount uint32
	// Challenge is what was signed; it is taken, until it is too old anyway.
	Challenge      TokenHash
	ChallengeUntil time.Time
}

// PasskeySignIn is a sign-in by a passkey, to be verified.
type PasskeySignIn struct {
	Credential []byte
	Challenge  []byte
	Address    netip.Addr
	// Verify holds the signature against a passkey and returns the authenticator's counter; an error is a refusal.
	Verify func(p *Passkey) (signCount uint32, err error)
}

const (
	// challengeLife is how long an answer to a challenge may take.
	challengeLife = 5 * time.Minute
	// maxPasskeys is how many passkeys an account may have.
	maxPasskeys = 20
	// maxCredential is how long the name and the key of a passkey may be, in bytes (WebAuthn level 3, section 4).
	maxCredential = 1023
)

// Passkeys returns the actor's passkeys in the order of their making.
func (s *Service) Passkeys(ctx context.Context, a *Actor) ([]Passkey, error) {
	return s.store.Passkeys(ctx, a.User.ID)
}

// BeginPasskey returns a challenge for a new passkey of the actor, once the password is proven, and those there are already.
// Refusals: those of a sign-in for the password; CodeConflict, field "passkeys", when there are as many as there may be.
func (s *Service) BeginPasskey(ctx context.Context, a *Actor, password string, address netip.Addr) ([]byte, []Passkey, error) {
	if err := s.prove(ctx, a, password, address); err != nil {
		return nil, nil, err
	}
	kept, err := s.store.Passkeys(ctx, a.User.ID)
	if err == nil && len(kept) >= maxPasskeys {
		err = tooManyPasskeys()
	}
	return s.store.Challenge(a.User.ID, s.now().Add(challengeLife)), kept, err
}

func tooManyPasskeys() error {
	return &Error{Code: CodeConflict, Field: "passkeys", Rule: "limit", Max: maxPasskeys}
}

// AddPasskey keeps a new passkey of the actor, which was verified to answer a challenge of BeginPasskey. CodePasskeyInvalid
// when the challenge is late or another's, or the passkey is there already; CodeValidationFailed and CodeConflict.
func (s *Service) AddPasskey(ctx context.Context, a *Actor, challenge []byte, p Passkey) error {
	p.UserID, p.Name = a.User.ID, strings.TrimSpace(p.Name)
	userID, until, err := s.store.ChallengeOf(challenge)
	switch {
	case isLong(p.Name):
		return tooLong("name", maxName)
	case p.Name == "":
		return invalid("name", "required")
	case err != nil || userID != a.User.ID || !s.now().Before(until):
		return Refusal(CodePasskeyInvalid)
	case len(p.Credential) == 0 || len(p.Credential) > maxCredential || len(p.PublicKey) > maxCredential:
		return Refusal(CodePasskeyInvalid)
	}
	use := PasskeyUse{Challenge: sha256.Sum256(challenge), ChallengeUntil: until}
	switch err := s.store.AddPasskey(ctx, p, use, maxPasskeys, a.audit("user.passkey_add", a.User.ID)); {
	case errors.Is(err, ErrTaken):
		return Refusal(CodePasskeyInvalid)
	case errors.Is(err, ErrLimit):
		return tooManyPasskeys()
	default:
		return notFound(err)
	}
}

// RenamePasskey changes what the actor calls a passkey. CodeValidationFailed; CodeNotFound when it is no passkey of theirs.
func (s *Service) RenamePasskey(ctx context.Context, a *Actor, id int64, name string) error {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return invalid("name", "required")
	case isLong(name):
		return tooLong("name", maxName)
	}
	return notFound(s.store.RenamePasskey(ctx, a.User.ID, id, name, a.audit("passkey.rename", id)))
}

// RemovePasskey deletes a passkey of the actor. CodeNotFound when it is none of theirs.
func (s *Service) RemovePasskey(ctx context.Context, a *Actor, id int64) error {
	return notFound(s.store.RemovePasskey(ctx, a.User.ID, id, a.audit("passkey.remove", id)))
}

// ResetPasskeys deletes all passkeys of a user for them: they have lost them. CodeNotFound when there are none.
func (s *Service) ResetPasskeys(ctx context.Context, a *Actor, userID int64) error {
	if err := a.may(NounUsers, Write); err != nil {
		return err
	}
	if err := s.touch(ctx, a, userID); err != nil {
		return err
	}
	return notFound(s.store.RemovePasskeys(ctx, userID, a.audit("user.passkeys_reset", userID)))
}

// BeginPasskeySignIn returns a challenge for whoever signs in by a passkey. CodeTooManyAttempts as MaySignIn.
func (s *Service) BeginPasskeySignIn(address netip.Addr) ([]byte, error) {
	if err := s.MaySignIn(address); err != nil {
		return nil, err
	}
	return s.store.Challenge(0, s.now().Add(challengeLife)), nil
}

// SignInPasskey checks the throttle, the challenge, the signature and the account, and returns the secret of a new session in
// a browser: the passkey has verified its user, and no code is asked for. Refusals: CodeTooManyAttempts, CodePasskeyInvalid,
// CodeAccountBlocked.
func (s *Service) SignInPasskey(ctx context.Context, in PasskeySignIn) (secret string, err error) {
	defer func() { s.observer.SignedIn(outcome(err)) }()
	err = s.try(ctx, "passkey\x00"+string(in.Credential), in.Address, func() error {
		secret, err = s.usePasskey(ctx, in)
		return err
	})
	return secret, err
}

func (s *Service) usePasskey(ctx context.Context, in PasskeySignIn) (string, error) {
	use := PasskeyUse{Challenge: sha256.Sum256(in.Challenge)}
	userID, until, err := s.store.ChallengeOf(in.Challenge)
	if err != nil || userID != 0 || !s.now().Before(until) {
		return "", Refusal(CodePasskeyInvalid)
	}
	p, status, err := s.store.Passkey(ctx, in.Credential)
	if errors.Is(err, ErrNotFound) {
		return "", Refusal(CodePasskeyInvalid)
	}
	if err != nil {
		return "", err
	}
	if use.SignCount, err = in.Verify(&p); err != nil {
		return "", Refusal(CodePasskeyInvalid)
	}
	if status == UserBlocked {
		return "", Refusal(CodeAccountBlocked)
	}
	use.ID, use.UserID, use.ChallengeUntil = p.ID, p.UserID, until
	secret := newTokenSecret()
	err = s.store.UsePasskey(ctx, use, hashBrowser(secret), maxBrowsers, Audit{ActorID: p.UserID, Action: "browser.sign_in"})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrTaken) { // removed or used meanwhile, or copied off its authenticator
		return "", Refusal(CodePasskeyInvalid)
	}
	return secret, err
}
