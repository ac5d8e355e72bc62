package vpn

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// SecondFactor is what an account asks for besides its password: time-based codes (RFC 6238) or, once each, its recovery
// codes.
type SecondFactor struct {
	ID     int64
	UserID int64
	Secret OTPSecret
	// ConfirmedAt is when the first code was given; zero = the second factor does not count yet.
	ConfirmedAt time.Time
	// RecoveryCodes is how many are left.
	RecoveryCodes int
}

// CodeUse is a code of a second factor, to be taken together with what it is given for. The zero CodeUse is none.
type CodeUse struct {
	FactorID int64
	UserID   int64
	// Step is the code's step of time, or Recovery the hash of a recovery code; the other is zero.
	Step     int64
	Recovery TokenHash
}

// IsOn reports whether sign-ins need a code.
func (f SecondFactor) IsOn() bool { return !f.ConfirmedAt.IsZero() }

// Proof is a password, as typed, or a code, in place of each other.
type Proof struct {
	Password string
	Code     string
	Address  netip.Addr
}

// SecondFactor returns the actor's second factor, the zero one when there is none. Of one that is on there is no Secret.
func (s *Service) SecondFactor(ctx context.Context, a *Actor) (SecondFactor, error) {
	f, err := s.factor(ctx, a.User.ID)
	if f.IsOn() {
		f.Secret = OTPSecret{}
	}
	return f, err
}

// factor returns a user's second factor, the zero one when there is none.
func (s *Service) factor(ctx context.Context, userID int64) (SecondFactor, error) {
	f, err := s.store.SecondFactor(ctx, userID)
	if errors.Is(err, ErrNotFound) {
		return SecondFactor{}, nil
	}
	return f, err
}

// errFactorOn refuses what would take the place of a second factor.
func errFactorOn() error { return &Error{Code: CodeConflict, Field: "second_factor", Rule: "unique"} }

// BeginSecondFactor makes a secret for the actor, which counts once it is confirmed. Refusals: those of a sign-in for the
// password; CodeConflict when a second factor is on.
func (s *Service) BeginSecondFactor(ctx context.Context, a *Actor, password string, address netip.Addr) error {
	if err := s.prove(ctx, a, password, address); err != nil {
		return err
	}
	err := s.store.BeginSecondFactor(ctx, a.User.ID, newOTPSecret(), a.audit("second_factor.begin", a.User.ID))
	if errors.Is(err, ErrTaken) {
		return errFactorOn()
	}
	return notFound(err)
}

// ConfirmSecondFactor turns the actor's second factor on by a code of its secret, and returns the recovery codes, which
// are shown once. CodeOTPInvalid for another code; CodeNotFound when there is nothing to confirm, CodeConflict when it is
// on already.
func (s *Service) ConfirmSecondFactor(ctx context.Context, a *Actor, code string) ([]string, error) {
	f, err := s.factor(ctx, a.User.ID)
	switch {
	case err != nil:
		return nil, err
	case f.ID == 0:
		return nil, Refusal(CodeNotFound)
	case f.IsOn():
		return nil, errFactorOn()
	}
	step, ok := f.Secret.step(plainCode(code), s.now())
	if !ok {
		return nil, Refusal(CodeOTPInvalid)
	}
	codes, hashes := newRecoveryCodes()
	err = s.store.ConfirmSecondFactor(ctx, f.ID, step, hashes, a.audit("second_factor.on", a.User.ID))
	if err != nil {
		return nil, notFound(err)
	}
	return codes, nil
}

// RenewRecoveryCodes replaces the actor's recovery codes and returns the new ones, which are shown once. Refusals: those
// of a sign-in for the proof; CodeNotFound when no second factor is on.
func (s *Service) RenewRecoveryCodes(ctx context.Context, a *Actor, p Proof) ([]string, error) {
	f, err := s.proveEither(ctx, a, p)
	if err != nil {
		return nil, err
	}
	codes, hashes := newRecoveryCodes()
	if err := s.store.ReplaceRecoveryCodes(ctx, f.ID, hashes, a.audit("second_factor.codes", a.User.ID)); err != nil {
		return nil, notFound(err)
	}
	return codes, nil
}

// RemoveSecondFactor turns the actor's second factor off. Refusals as of RenewRecoveryCodes.
func (s *Service) RemoveSecondFactor(ctx context.Context, a *Actor, p Proof) error {
	if _, err := s.proveEither(ctx, a, p); err != nil {
		return err
	}
	return notFound(s.store.RemoveSecondFactor(ctx, a.User.ID, a.audit("second_factor.off", a.User.ID)))
}

// ResetSecondFactor turns a user's second factor off for them: they have lost it. CodeNotFound when there is none.
func (s *Service) ResetSecondFactor(ctx context.Context, a *Actor, userID int64) error {
	if err := a.may(NounUsers, Write); err != nil {
		return err
	}
	if err := s.touch(ctx, a, userID); err != nil {
		return err
	}
	return notFound(s.store.RemoveSecondFactor(ctx, userID, a.audit("user.second_factor_reset", userID)))
}

// proveEither checks the actor's password or a code, throttled as a sign-in, and returns the second factor that is on.
func (s *Service) proveEither(ctx context.Context, a *Actor, p Proof) (SecondFactor, error) {
	f, err := s.factor(ctx, a.User.ID)
	switch {
	case err != nil:
		return f, err
	case !f.IsOn():
		return f, Refusal(CodeNotFound)
	case p.Password != "":
		return f, s.prove(ctx, a, p.Password, p.Address)
	case p.Code == "":
		return f, invalid("password", "required")
	}
	return f, s.try(ctx, a.User.Email, p.Address, func() error {
		code, err := s.codeUse(ctx, &f, p.Code)
		if err != nil {
			return err
		}
		return codeTaken(s.store.TakeCode(ctx, code))
	})
}

// checkFactor asks for the code of a second factor that is on, and returns it for the session to take.
func (s *Service) checkFactor(ctx context.Context, cred Credentials, code string) (CodeUse, error) {
	f, err := s.factor(ctx, cred.UserID)
	switch {
	case err != nil || !f.IsOn():
		return CodeUse{}, err
	case code == "":
		return CodeUse{}, &Error{Code: CodeOTPRequired, Ticket: newTicket(cred, &f, s.now().Add(ticketLife))}
	}
	return s.codeUse(ctx, &f, code)
}

// codeUse reads a code, or refuses it with CodeOTPInvalid or CodeTooManyAttempts. Whether it was taken before, says the store.
func (s *Service) codeUse(ctx context.Context, f *SecondFactor, code string) (CodeUse, error) {
	code = plainCode(code)
	use := CodeUse{FactorID: f.ID, UserID: f.UserID}
	if len(code) == recoveryLength {
		use.Recovery = hashRecovery(code)
		return use, nil
	}
	wait, err := s.store.CountCode(ctx, f.ID, codeBurst, codeInterval)
	switch {
	case err != nil:
		return CodeUse{}, notFound(err)
	case wait > 0:
		return CodeUse{}, &Error{Code: CodeTooManyAttempts, Attempts: codeBurst, RetryAfter: wait}
	}
	var ok bool
	if use.Step, ok = f.Secret.step(code, s.now()); !ok {
		return CodeUse{}, Refusal(CodeOTPInvalid)
	}
	return use, nil
}

// codeTaken turns ErrCodeTaken into its refusal.
func codeTaken(err error) error {
	if errors.Is(err, ErrCodeTaken) {
		return Refusal(CodeOTPInvalid)
	}
	return err
}
