package vpn

import (
	"context"
	"errors"
	"time"
)

// ImportedUser is an account of another application. Id, e-mail and password hash are kept.
type ImportedUser struct {
	ID           int64
	Name         string
	Email        string
	PasswordHash string
	VerifiedAt   time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// ImportedToken is a bearer token of another application that writes tokens as we do: {id}|{secret}, of which it keeps
// the SHA-256 of the secret.
type ImportedToken struct {
	ID         int64
	UserID     int64 // the other application's
	Hash       TokenHash
	Name       string
	LastUsedAt time.Time
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero = never
}

// ImportOutcome is what became of an imported account or token, or would become of it.
type ImportOutcome string

// The outcomes. Nothing is imported of those that are left.
const (
	ImportNew        ImportOutcome = "new"
	ImportRenumbered ImportOutcome = "new, with another id"
	ImportThere      ImportOutcome = "there already"
	// ImportNoPassword is new, but its password hash is of no kind that we read: a new password must be set.
	ImportNoPassword ImportOutcome = "new, needs a new password"
	ImportBadEmail   ImportOutcome = "left: not an e-mail address"
	ImportEmailTaken ImportOutcome = "left: another account has the e-mail"
	ImportExpired    ImportOutcome = "left: expired"
	ImportNoUser     ImportOutcome = "left: its user is not here"
)

// IsLeft reports whether nothing was imported.
func (o ImportOutcome) IsLeft() bool {
	switch o {
	case ImportBadEmail, ImportEmailTaken, ImportExpired, ImportNoUser:
		return true
	default:
		return false
	}
}

// ImportUsers brings accounts from another application, at most 256 at a time, and returns what became of each. What is
// there already stays as it is, so that an import can be run again. With dry, nothing is changed.
func (s *Service) ImportUsers(ctx context.Context, a *Actor, users []ImportedUser, dry bool) ([]ImportOutcome, error) {
	if err := a.may(NounUsers, Write); err != nil {
		return nil, err
	}
	outcomes := make([]ImportOutcome, len(users))
	var good []ImportedUser
	var at []int // in users
	for i, u := range users {
		u.Email = NormalEmail(u.Email)
		if !ValidEmail(u.Email) {
			outcomes[i] = ImportBadEmail
			continue
		}
		if !s.passwords.Reads(u.PasswordHash) {
			u.PasswordHash = ""
		}
		good, at = append(good, u), append(at, i)
	}
	found, err := s.store.ImportUsers(ctx, good, dry, a.audit("user.import", 0))
	for i, outcome := range found {
		if outcome == ImportNew && good[i].PasswordHash == "" {
			outcome = ImportNoPassword
		}
		outcomes[at[i]] = outcome
	}
	return outcomes, err
}

// ImportTokens brings tokens as ImportUsers does accounts, after them.
func (s *Service) ImportTokens(ctx context.Context, a *Actor, tokens []ImportedToken, dry bool) ([]ImportOutcome, error) {
	if err := a.may(NounUsers, Write); err != nil {
		return nil, err
	}
	now := s.now()
	outcomes := make([]ImportOutcome, len(tokens))
	var good []ImportedToken
	var at []int
	for i := range tokens {
		if expires := tokens[i].ExpiresAt; !expires.IsZero() && !now.Before(expires) {
			outcomes[i] = ImportExpired
			continue
		}
		good, at = append(good, tokens[i]), append(at, i)
	}
	found, err := s.store.ImportTokens(ctx, good, dry, a.audit("token.import", 0))
	for i, outcome := range found {
		outcomes[at[i]] = outcome
	}
	return outcomes, err
}

// SubscribeImported gives imported accounts without a subscription one period of a plan, and returns how many there were.
func (s *Service) SubscribeImported(ctx context.Context, a *Actor, planCode string) (int64, error) {
	if err := a.may(NounSubscriptions, Write); err != nil {
		return 0, err
	}
	plan, err := s.store.PlanByCode(ctx, planCode)
	if errors.Is(err, ErrNotFound) {
		return 0, invalid("plan", "exists")
	}
	if err != nil {
		return 0, err
	}
	sub := subscribe(&plan, &Entitlement{}, 1, s.now())
	var total int64
	for after := int64(0); ; {
		n, last, err := s.store.SubscribeImported(ctx, sub, after, a.audit("subscription.import", plan.ID))
		total += n
		if err != nil || last == 0 {
			return total, err
		}
		after = last
	}
}

// adopt gives an imported token, which no device signed in with, a device of its own: its client goes on as if it had
// signed in here. CodeDeviceLimitReached when no slot is free.
func (s *Service) adopt(ctx context.Context, a *Actor, e *Entitlement) (*Device, error) {
	device, err := s.store.AdoptToken(ctx, a.Token.ID, PlatformOf(a.Token.Name), e.DeviceLimit(), a.audit("device.adopt", 0))
	switch {
	case err == nil:
		s.changed(a.User.ID, nil)
		return &device, nil
	case errors.Is(err, ErrDeviceLimit):
		return nil, s.limitReached(ctx, a.User.ID, e)
	case errors.Is(err, ErrNotFound):
		return nil, Refusal(CodeUnauthenticated)
	default:
		return nil, err
	}
}
