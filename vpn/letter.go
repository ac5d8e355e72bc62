package vpn

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// LetterKind says what a letter is about.
type LetterKind string

// The letters.
const (
	LetterReset  LetterKind = "reset"   // a link to set a new password
	LetterSignUp LetterKind = "sign_up" // a link to make the account
	LetterTaken  LetterKind = "taken"   // somebody signed up with an e-mail that has an account
)

// Letter is a mail that somebody asked for on the pages of the sign-in.
type Letter struct {
	Kind   LetterKind
	To     string
	Locale string // "ru" or "en"
	// Token is the secret of its link, "" without one.
	Token string
}

const (
	// maxRequests is how many letters may wait to be written; more are refused.
	maxRequests = 256
	// letterWriters is how many letters are written at once: a mail server may take long.
	letterWriters = 4
	// letterBurst letters may go to one address at once, then one per letterInterval.
	letterBurst    = 3
	letterInterval = 20 * time.Minute
)

// letterPauses are those after the first and the second failure to send a letter; then it is given up, and is asked for again.
var letterPauses = []time.Duration{2 * time.Second, 30 * time.Second}

// mailRequest is a letter that is asked for. It waits in memory, so that the answer to who asks takes the same time whether
// the e-mail has an account or not.
type mailRequest struct {
	reset  string // the e-mail whose password is to be set anew; "" = none
	signUp *PendingSignUp
}

// ask puts a request in line, or refuses it with CodeTemporarilyOverloaded.
func (s *Service) ask(r mailRequest) error {
	select {
	case s.mailRequests <- r:
		return nil
	default:
		return &Error{Code: CodeTemporarilyOverloaded, RetryAfter: time.Minute}
	}
}

// sendsMail reports whether there is a mail server and a sender.
func (s *Service) sendsMail(ctx context.Context) bool {
	return s.post != nil && s.Settings(ctx).MailFrom != ""
}

// SendsMail reports whether people can be asked by mail who they are.
func (s *Service) SendsMail(ctx context.Context) bool { return s.sendsMail(ctx) }

// AskReset asks for a mail with a link to set a new password. It does not tell whether the e-mail has an account. Refusals:
// CodeNotFound where no mail is sent, CodeTooManyAttempts, CodeValidationFailed, CodeTemporarilyOverloaded.
func (s *Service) AskReset(ctx context.Context, email string, address netip.Addr) error {
	email = NormalEmail(email)
	if !s.sendsMail(ctx) {
		return Refusal(CodeNotFound)
	}
	if _, err := s.signIns.begin("reset\x00"+email, address); err != nil {
		return err
	}
	if !ValidEmail(email) {
		return invalid("email", "email")
	}
	return s.ask(mailRequest{reset: email})
}

// WriteLetters writes the letters that are asked for, until ctx ends. Those that wait then are lost: they can be asked for
// again.
func (s *Service) WriteLetters(ctx context.Context) error {
	places := make(chan struct{}, letterWriters)
	defer func() {
		for range letterWriters { // all writers have ended
			places <- struct{}{}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-s.mailRequests:
			places <- struct{}{}
			go func() {
				defer func() { <-places }()
				if err := s.answer(ctx, r); err != nil && ctx.Err() == nil {
					s.log.ErrorContext(ctx, "a letter was not sent", "err", err) // names nobody
				}
			}()
		}
	}
}

// answer writes the letter of a request, if there is one to write.
func (s *Service) answer(ctx context.Context, r mailRequest) error {
	email := r.reset
	if r.signUp != nil {
		email = r.signUp.Email
	}
	if s.letters.admit(letterKey(email)) != nil {
		return nil //nolint:nilerr // somebody floods a mailbox
	}
	u, err := s.store.UserByEmail(ctx, email)
	isThere := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	secret := newTokenSecret()
	switch {
	case r.signUp != nil && isThere:
		return s.send(ctx, Letter{Kind: LetterTaken, To: u.Email, Locale: u.Locale})
	case r.signUp != nil:
		if err := s.store.AddSignUp(ctx, *r.signUp, hashToken(secret), maxPending); err != nil {
			return err
		}
		return s.send(ctx, Letter{Kind: LetterSignUp, To: email, Locale: r.signUp.Locale, Token: secret})
	case isThere:
		a := Audit{ActorID: u.ID, Action: "user.reset", SubjectID: u.ID}
		if err := s.store.SetPasswordReset(ctx, u.ID, hashToken(secret), s.now().Add(resetTTL), a); err != nil {
			return err
		}
		return s.send(ctx, Letter{Kind: LetterReset, To: u.Email, Locale: u.Locale, Token: secret})
	}
	return nil
}

// send hands a letter over, with some patience.
func (s *Service) send(ctx context.Context, l Letter) error {
	for _, pause := range letterPauses {
		err := s.post(ctx, l)
		if err == nil || errors.Is(err, ErrMailRejected) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
	return s.post(ctx, l)
}

// letterKey stands for an e-mail in the throttle of letters.
func letterKey(email string) int64 {
	sum := sha256.Sum256([]byte(email))
	return int64(binary.BigEndian.Uint64(sum[:]))
}
