package vpn

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// SignUp is what somebody signs up with.
type SignUp struct {
	Email string
	Name  string
	// Password is asked for at once where no mail is sent; otherwise once the mail is answered.
	Password string
	Locale   string // "ru" or "en"
	// Invitation and Voucher are what was given, "" = none.
	Invitation string
	Voucher    string
	Address    netip.Addr
}

// PendingSignUp is a sign-up whose mail is not answered yet.
type PendingSignUp struct {
	Email  string
	Locale string
	// Invitation and Voucher are hashes of what was given, zero = none.
	Invitation TokenHash
	Voucher    TokenHash
	ExpiresAt  time.Time
}

// NewSignUp is an account to be made by its user.
type NewSignUp struct {
	User NewUser
	// Pending, Invitation and Voucher are used up by it; zero = none.
	Pending    TokenHash
	Invitation TokenHash
	Voucher    TokenHash
}

const (
	// signUpTTL is how long the link in the mail of a sign-up holds.
	signUpTTL = 24 * time.Hour
	// maxPending is how many mails to one address may wait to be answered.
	maxPending = 3
)

// MaySignUp refuses, with CodeNotFound, while nobody may sign up; with CodeTooManyAttempts as MaySignIn.
func (s *Service) MaySignUp(ctx context.Context, address netip.Addr) error {
	if s.Settings(ctx).SignUp == SignUpClosed {
		return Refusal(CodeNotFound)
	}
	return s.signIns.admits(address)
}

// SignUp makes an account, or, where mail is sent, begins it with a mail: isMailed then. Whether the e-mail has an account
// already is not told; its owner gets a mail. Refusals: CodeNotFound while nobody may sign up, CodeTooManyAttempts,
// CodeValidationFailed, CodeInvitationInvalid, CodeVoucherInvalid, CodeTemporarilyOverloaded.
func (s *Service) SignUp(ctx context.Context, in SignUp) (isMailed bool, err error) {
	in.Email = NormalEmail(in.Email)
	if err := s.MaySignUp(ctx, in.Address); err != nil {
		return false, err
	}
	// Each try counts, also one that succeeds: an address makes no more accounts a minute than it may guess passwords.
	if _, err := s.signIns.begin("sign-up\x00"+in.Email, in.Address); err != nil {
		return false, err
	}
	if !ValidEmail(in.Email) {
		return false, invalid("email", "email")
	}
	p, err := s.ticketsOf(ctx, in)
	if err != nil {
		return false, err
	}
	if s.sendsMail(ctx) {
		return true, s.ask(mailRequest{signUp: &p})
	}
	u, err := s.newUser(ctx, NewAccount{Email: in.Email, Name: in.Name, Password: in.Password, Locale: in.Locale})
	if err != nil {
		return false, overloaded(err)
	}
	_, err = s.signUp(ctx, NewSignUp{User: u, Invitation: p.Invitation, Voucher: p.Voucher})
	if errors.Is(err, ErrTaken) {
		err = nil // as if it had been made
	}
	return false, err
}

// ticketsOf checks what the mode demands, and what was given: it must hold now, and is used up when the account is made.
func (s *Service) ticketsOf(ctx context.Context, in SignUp) (PendingSignUp, error) {
	mode := s.Settings(ctx).SignUp
	p := PendingSignUp{Email: in.Email, Locale: in.Locale, ExpiresAt: s.now().Add(signUpTTL)}
	switch {
	case in.Invitation != "":
		i, err := s.CheckInvitation(ctx, in.Invitation)
		if err == nil && i.Email != "" && i.Email != in.Email {
			err = Refusal(CodeInvitationInvalid)
		}
		if err != nil {
			return p, err
		}
		p.Invitation = hashToken(in.Invitation)
	case mode == SignUpInvitation:
		return p, invalid("invitation", "required")
	}
	switch code := strings.TrimSpace(in.Voucher); {
	case code != "" && mode != SignUpInvitation:
		p.Voucher = hashVoucher(code)
		holds, err := s.store.HoldsVoucher(ctx, p.Voucher)
		if err == nil && !holds {
			err = Refusal(CodeVoucherInvalid)
		}
		return p, err
	case mode == SignUpVoucher && in.Invitation == "":
		return p, invalid("voucher", "required")
	}
	return p, nil
}

// PendingSignUp returns the sign-up that a mail's link belongs to. CodeSignUpInvalid for a link that is wrong, used or late,
// and while nobody may sign up.
func (s *Service) PendingSignUp(ctx context.Context, secret string) (PendingSignUp, error) {
	if secret == "" || len(secret) > maxBearer || s.Settings(ctx).SignUp == SignUpClosed {
		return PendingSignUp{}, Refusal(CodeSignUpInvalid)
	}
	p, err := s.store.PendingSignUp(ctx, hashToken(secret))
	if errors.Is(err, ErrNotFound) || (err == nil && !s.now().Before(p.ExpiresAt)) {
		return PendingSignUp{}, Refusal(CodeSignUpInvalid)
	}
	return p, err
}

// ConfirmSignUp makes the account by a mail's link and returns the secret of a session in the browser that asks. Refusals:
// those of PendingSignUp and of AddUser, CodeInvitationInvalid and CodeVoucherInvalid for what others were faster with.
func (s *Service) ConfirmSignUp(ctx context.Context, secret, name, password string) (string, error) {
	p, err := s.PendingSignUp(ctx, secret)
	if err != nil { // before a slow hash is made
		return "", err
	}
	u, err := s.newUser(ctx, NewAccount{Email: p.Email, Name: name, Password: password, Locale: p.Locale})
	if err != nil {
		return "", overloaded(err)
	}
	u.Verified = true
	made, err := s.signUp(ctx, NewSignUp{User: u, Pending: hashToken(secret), Invitation: p.Invitation, Voucher: p.Voucher})
	switch {
	case errors.Is(err, ErrTaken):
		return "", &Error{Code: CodeConflict, Field: "email", Rule: "unique"} // whoever reads the mail may know
	case errors.Is(err, ErrNotFound):
		return "", Refusal(CodeSignUpInvalid)
	case err != nil:
		return "", err
	}
	return s.newBrowser(ctx, made.ID, CodeUse{})
}

// signUp makes an account with what its invitation and its voucher give.
func (s *Service) signUp(ctx context.Context, n NewSignUp) (User, error) {
	made, err := s.store.SignUp(ctx, n, s.gift, Audit{Action: "user.sign_up"})
	if err == nil {
		s.changed(made.ID, nil)
	}
	return made, err
}

// overloaded turns ErrBusy into its refusal.
func overloaded(err error) error {
	if errors.Is(err, ErrBusy) {
		return &Error{Code: CodeTemporarilyOverloaded, RetryAfter: time.Second}
	}
	return err
}
