package vpn

import (
	"context"
	"errors"
)

// TestMail lets an operator see whether mail works: send hands the mail over, with the sender as it is set. CodeNotConfigured
// without a mail server or a sender (then send may be nil); CodeMailFailed with the mail server's words as its Reason.
func (s *Service) TestMail(ctx context.Context, a *Actor, to string, send func(ctx context.Context, from, to string) error) error {
	if err := a.may(NounSettings, Write); err != nil {
		return err
	}
	to = NormalEmail(to)
	if !ValidEmail(to) {
		return invalid("to", "email")
	}
	v, err := s.ViewSettings(ctx, a)
	if err != nil {
		return err
	}
	if !v.SendsMail || send == nil {
		return Refusal(CodeNotConfigured)
	}
	if err := s.store.Note(ctx, a.audit("settings.test_mail", 0)); err != nil {
		return err
	}
	if err := send(ctx, v.InForce.MailFrom, to); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return err
		}
		return &Error{Code: CodeMailFailed, Reason: err.Error()}
	}
	return nil
}
