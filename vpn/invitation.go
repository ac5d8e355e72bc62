package vpn

import (
	"context"
	"errors"
	"time"
)

// Invitation lets one person make an account.
type Invitation struct {
	ID int64
	// Email is whom it is for, as NormalEmail; "" = anybody who has it.
	Email string
	// PlanID is what it gives, with so many periods; 0 = no subscription.
	PlanID    int64
	Periods   int
	Note      string
	CreatedAt time.Time
	ExpiresAt time.Time
	// UsedAt is when UserID was made by it; zero = not used.
	UsedAt time.Time
	UserID int64
}

// Holds reports whether an account can be made by it.
func (i *Invitation) Holds(now time.Time) bool { return i.UsedAt.IsZero() && now.Before(i.ExpiresAt) }

// NewInvitation is an invitation to be made.
type NewInvitation struct {
	Email   string
	Plan    string // "" = no subscription
	Periods int
	Note    string
	// Days is how long it holds, 1 to MaxInvitationDays.
	Days int
}

// MaxInvitationDays is how long an invitation may hold.
const MaxInvitationDays = 365

// Invite makes an invitation and returns its secret, which is shown once. CodeValidationFailed names the field; CodeConflict
// when somebody has the e-mail already.
func (s *Service) Invite(ctx context.Context, a *Actor, in NewInvitation) (Invitation, string, error) {
	if err := a.may(NounUsers, Write); err != nil {
		return Invitation{}, "", err
	}
	in.Email = NormalEmail(in.Email)
	switch {
	case in.Email != "" && !ValidEmail(in.Email):
		return Invitation{}, "", invalid("email", "email")
	case in.Days < 1 || in.Days > MaxInvitationDays:
		return Invitation{}, "", invalid("days", "in")
	case isLong(in.Note):
		return Invitation{}, "", tooLong("note", maxName)
	}
	i := Invitation{Email: in.Email, Note: in.Note, ExpiresAt: s.now().AddDate(0, 0, in.Days)}
	if in.Plan != "" {
		if err := a.may(NounSubscriptions, Write); err != nil {
			return Invitation{}, "", err
		}
		plan, err := s.planFor(ctx, in.Plan, in.Periods)
		if err != nil {
			return Invitation{}, "", err
		}
		i.PlanID, i.Periods = plan.ID, in.Periods
	}
	if in.Email != "" {
		switch _, err := s.store.UserByEmail(ctx, in.Email); {
		case err == nil:
			return Invitation{}, "", &Error{Code: CodeConflict, Field: "email", Rule: "unique"}
		case !errors.Is(err, ErrNotFound):
			return Invitation{}, "", err
		}
	}
	secret := newTokenSecret()
	i, err := s.store.AddInvitation(ctx, i, hashToken(secret), a.audit("invitation.add", 0))
	return i, secret, err
}

// Invitations returns invitations with an id below before (0 = the newest), the newest first, at most limit.
func (s *Service) Invitations(ctx context.Context, a *Actor, before int64, limit int) ([]Invitation, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return nil, err
	}
	return s.store.Invitations(ctx, before, limit)
}

// RemoveInvitation deletes an invitation; an account that was made by it stays. CodeNotFound.
func (s *Service) RemoveInvitation(ctx context.Context, a *Actor, id int64) error {
	if err := a.may(NounUsers, Write); err != nil {
		return err
	}
	return notFound(s.store.RemoveInvitation(ctx, id, a.audit("invitation.remove", id)))
}

// CheckInvitation returns the invitation with a secret while it holds and the mode takes it; CodeInvitationInvalid otherwise.
func (s *Service) CheckInvitation(ctx context.Context, secret string) (Invitation, error) {
	if secret == "" || len(secret) > maxBearer || s.Settings(ctx).SignUp == SignUpClosed {
		return Invitation{}, Refusal(CodeInvitationInvalid)
	}
	i, err := s.store.Invitation(ctx, hashToken(secret))
	if errors.Is(err, ErrNotFound) || (err == nil && !i.Holds(s.now())) {
		return Invitation{}, Refusal(CodeInvitationInvalid)
	}
	return i, err
}
