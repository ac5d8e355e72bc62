package vpn

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"time"
)

// minPassword is the shortest password that can be set, in bytes. There is no other rule (NIST SP 800-63B, 5.1.1.2).
const minPassword = 8

// maxPassword is the longest that can be set, in bytes: what a form may carry.
const maxPassword = 1024

// NewAccount is an account to be made by an operator.
type NewAccount struct {
	Email      string
	Name       string
	Password   string
	Locale     string // "ru" (default) or "en"
	IsOperator bool   // an owner
}

// ValidEmail reports whether an address is one bare e-mail address (RFC 5322 addr-spec).
func ValidEmail(email string) bool {
	a, err := mail.ParseAddress(email)
	return err == nil && a.Address == email && len(email) <= 255
}

// AddUser makes an account. CodeValidationFailed names the field; CodeConflict when the e-mail is taken.
func (s *Service) AddUser(ctx context.Context, a *Actor, in NewAccount) (User, error) {
	if err := a.may(NounUsers, Write); err != nil {
		return User{}, err
	}
	if in.IsOperator {
		if err := a.may(NounRoles, Write); err != nil {
			return User{}, err
		}
	}
	u, err := s.newUser(ctx, in)
	if err != nil {
		return User{}, err
	}
	user, err := s.store.AddUser(ctx, u, a.audit("user.add", 0))
	if errors.Is(err, ErrTaken) {
		return User{}, &Error{Code: CodeConflict, Field: "email", Rule: "unique"}
	}
	return user, err
}

// newUser checks an account to be made and hashes its password.
func (s *Service) newUser(ctx context.Context, in NewAccount) (NewUser, error) {
	in.Email, in.Name = NormalEmail(in.Email), strings.TrimSpace(in.Name)
	switch {
	case !ValidEmail(in.Email):
		return NewUser{}, invalid("email", "email")
	case isLong(in.Name):
		return NewUser{}, tooLong("name", maxName)
	case in.Locale != "" && in.Locale != "ru" && in.Locale != "en":
		return NewUser{}, invalid("locale", "in")
	}
	if err := checkPassword(in.Password); err != nil {
		return NewUser{}, err
	}
	hash, err := s.passwords.Hash(ctx, in.Password)
	if err != nil {
		return NewUser{}, err
	}
	u := NewUser{Name: in.Name, Email: in.Email, PasswordHash: hash, Locale: in.Locale}
	if u.Locale == "" {
		u.Locale = "ru"
	}
	if u.Name == "" {
		u.Name, _, _ = strings.Cut(in.Email, "@")
	}
	if in.IsOperator {
		u.Role = RoleOwner
	}
	return u, nil
}

// checkPassword refuses a password that is too short to be set, or longer than is hashed.
func checkPassword(password string) error {
	switch {
	case len(password) < minPassword:
		return &Error{Code: CodeValidationFailed, Field: "password", Rule: "min", Max: minPassword}
	case len(password) > maxPassword:
		return tooLong("password", maxPassword)
	}
	return nil
}

// searchTime bounds how long a page of accounts is looked for: filters that are rarely met together may leave all to read.
const searchTime = 2 * time.Second

// Users returns a page of accounts. CodeValidationFailed, field "search", when it takes longer than searchTime.
func (s *Service) Users(ctx context.Context, a *Actor, f UserFilter) (UserPage, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return UserPage{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	page, err := s.store.Users(bounded, f)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return UserPage{}, invalid("search", "broad")
	}
	return page, err
}

// FindUser returns an account by its e-mail. CodeNotFound when there is none.
func (s *Service) FindUser(ctx context.Context, a *Actor, email string) (User, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return User{}, err
	}
	u, err := s.store.UserByEmail(ctx, NormalEmail(email))
	return u, notFound(err)
}

// notFound turns ErrNotFound into its refusal.
func notFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return Refusal(CodeNotFound)
	}
	return err
}

// Account is one user's state as an operator sees it.
type Account struct {
	User        User
	Entitlement Entitlement
	Status      SubscriptionStatus
	Access      Access
	Traffic     Traffic
	Devices     []Device
	// Factor is the second factor, without its secret; the zero one when there is none that counts.
	Factor SecondFactor
	// Passkeys are how many there are.
	Passkeys int
}

// Account returns one user's state. CodeNotFound when there is no such user.
func (s *Service) Account(ctx context.Context, a *Actor, userID int64) (Account, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return Account{}, err
	}
	u, err := s.store.User(ctx, userID)
	if err != nil {
		return Account{}, notFound(err)
	}
	e, err := s.store.Entitlement(ctx, userID)
	if err != nil {
		return Account{}, err
	}
	devices, err := s.store.Devices(ctx, userID)
	if err != nil {
		return Account{}, err
	}
	f, err := s.SecondFactor(ctx, &Actor{User: u})
	if err != nil {
		return Account{}, err
	}
	if !f.IsOn() {
		f = SecondFactor{}
	}
	passkeys, err := s.store.Passkeys(ctx, userID)
	now := s.now()
	return Account{
		Factor: f, Passkeys: len(passkeys),
		User: u, Entitlement: e, Status: e.Status(now), Access: access(&u, &e, now), Traffic: traffic(&e, now), Devices: devices,
	}, err
}

// SetPassword replaces a user's password and signs all devices out.
func (s *Service) SetPassword(ctx context.Context, a *Actor, userID int64, password string) error {
	if err := a.may(NounUsers, Write); err != nil {
		return err
	}
	if err := checkPassword(password); err != nil {
		return err
	}
	if err := s.touch(ctx, a, userID); err != nil {
		return err
	}
	return s.setPassword(ctx, a, userID, password)
}

func (s *Service) setPassword(ctx context.Context, a *Actor, userID int64, password string) error {
	hash, err := s.passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	nodes, err := s.store.SetPasswordHash(ctx, userID, hash, true, a.audit("user.password", userID))
	if err != nil {
		return notFound(err)
	}
	s.changed(userID, nodes)
	s.awaitRevoked(ctx, nodes)
	return nil
}

// SetUserStatus blocks or unblocks an account; keys of a blocked one stop at once and work again when it is unblocked.
func (s *Service) SetUserStatus(ctx context.Context, a *Actor, userID int64, status UserStatus) error {
	if err := a.may(NounUsers, Write); err != nil {
		return err
	}
	if err := s.touch(ctx, a, userID); err != nil {
		return err
	}
	if err := s.store.SetUserStatus(ctx, userID, status, a.audit("user."+string(status), userID)); err != nil {
		return lastOwner(err)
	}
	return s.refreshAndWait(ctx, a, userID)
}

// refreshAndWait refreshes a user's keys and waits until the nodes follow, unless it is one of many for a job.
func (s *Service) refreshAndWait(ctx context.Context, a *Actor, userID int64) error {
	nodes, err := s.refresh(ctx, userID)
	if a.jobID == 0 {
		s.awaitRevoked(ctx, nodes)
	}
	return err
}

// RemoveUser deletes an account and all it has; its keys die at once.
func (s *Service) RemoveUser(ctx context.Context, a *Actor, userID int64) error {
	if err := a.may(NounUsers, Write); err != nil {
		return err
	}
	if err := s.touch(ctx, a, userID); err != nil {
		return err
	}
	return s.removeUser(ctx, a, userID)
}

func (s *Service) removeUser(ctx context.Context, a *Actor, userID int64) error {
	nodes, err := s.store.RemoveUser(ctx, userID, a.audit("user.remove", userID))
	if err != nil {
		return lastOwner(err)
	}
	s.changed(userID, nodes)
	s.awaitRevoked(ctx, nodes)
	return nil
}

// RemoveUserDevice signs out a device of any user.
func (s *Service) RemoveUserDevice(ctx context.Context, a *Actor, userID, deviceID int64) error {
	if err := a.may(NounDevices, Write); err != nil {
		return err
	}
	if err := s.touch(ctx, a, userID); err != nil {
		return err
	}
	return s.removeDevice(ctx, a, userID, deviceID)
}

// SetRole changes what a user may do. CodeLastOwner when nobody else is an owner who can sign in.
func (s *Service) SetRole(ctx context.Context, a *Actor, userID int64, role Role) error {
	if err := a.may(NounRoles, Write); err != nil {
		return err
	}
	if err := s.store.SetRole(ctx, userID, role, a.audit("user.role_"+role.String(), userID)); err != nil {
		return lastOwner(err)
	}
	s.changed(userID, nil)
	return nil
}

// touch makes sure that a user exists whom the actor may change.
func (s *Service) touch(ctx context.Context, a *Actor, userID int64) error {
	if a.IsShell {
		return nil // the store says who does not exist
	}
	u, err := s.store.User(ctx, userID)
	if err != nil {
		return notFound(err)
	}
	return a.mayTouch(&u)
}

// lastOwner is notFound, and turns ErrLastOwner into its refusal.
func lastOwner(err error) error {
	if errors.Is(err, ErrLastOwner) {
		return Refusal(CodeLastOwner)
	}
	return notFound(err)
}
