package vpn

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// ErrBusy is wrapped by Passwords when too many hashes wait already.
var ErrBusy = errors.New("too many sign-ins wait")

// SignIn is a sign-in on a device. The input is checked by the caller; the password is as typed.
type SignIn struct {
	Email      string
	Password   string
	ClientID   string
	DeviceName string
	// Origin and UserAgent, as the request's headers have them, help to tell the platform. They are not kept.
	Origin    string
	UserAgent string
	Address   netip.Addr
	// ReplaceDeviceID names a device to sign out when no slot is free; 0 = none.
	ReplaceDeviceID int64
	// Code is one of the second factor or a recovery code; "" = none.
	Code string
	// ticket stands for the password; "" = it doesn't.
	ticket string
}

// SignInResult is what a client gets: its token, shown once, and our id of its device.
type SignInResult struct {
	Token    string
	DeviceID int64
}

// NormalEmail is the form in which e-mails are compared and kept.
func NormalEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// SignIn checks the throttle, the credentials, the account, the second factor and the device limit, in this order, and
// makes the device's token. Refusals: CodeTooManyAttempts, CodeInvalidCredentials (the same for an unknown e-mail, after
// the same work), CodeAccountBlocked, CodeOTPRequired, CodeOTPInvalid, CodeDeviceLimitReached, CodeTemporarilyOverloaded.
func (s *Service) SignIn(ctx context.Context, in SignIn) (result SignInResult, err error) {
	defer func() { s.observer.SignedIn(outcome(err)) }()
	in.Email = NormalEmail(in.Email)
	err = s.try(ctx, in.Email, in.Address, func() error {
		cred, code, err := s.admit(ctx, in)
		if err == nil {
			result, err = s.newSession(ctx, cred, code, in)
		}
		return err
	})
	return result, err
}

// admit checks the credentials, the account and the second factor, whose code it returns for the session to take. A hash
// that is weaker than new ones is replaced as soon as the password is known to be right: the second step has none.
func (s *Service) admit(ctx context.Context, in SignIn) (cred Credentials, code CodeUse, err error) {
	cred, isWeak, err := s.verify(ctx, in)
	switch {
	case err != nil:
		return cred, code, err
	case cred.Status == UserBlocked:
		return cred, code, Refusal(CodeAccountBlocked)
	case isWeak:
		s.rehash(ctx, &cred, in.Password)
	}
	code, err = s.checkFactor(ctx, cred, in.Code)
	return cred, code, err
}

// try runs a check of who somebody is within the throttle: wrong credentials and wrong codes count as failures.
func (s *Service) try(ctx context.Context, email string, address netip.Addr, check func() error) error {
	try, err := s.signIns.begin(email, address)
	if err != nil {
		return err
	}
	if err = try.wait(ctx); err == nil {
		err = check()
	}
	switch CodeOf(err) {
	case CodeInvalidCredentials, CodeOTPInvalid, CodePasskeyInvalid:
	default:
		try.forgive()
	}
	return err
}

// MaySignIn refuses, with CodeTooManyAttempts, an address that has used up its failures: before its input is looked at.
func (s *Service) MaySignIn(address netip.Addr) error {
	err := s.signIns.admits(address)
	if err != nil {
		s.observer.SignedIn(outcome(err))
	}
	return err
}

// verify checks e-mail and password, or the ticket in its place, and reports whether the hash is weaker than new ones.
func (s *Service) verify(ctx context.Context, in SignIn) (cred Credentials, isWeak bool, err error) {
	cred, err = s.store.Credentials(ctx, in.Email)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Credentials{}, false, err
	}
	if in.ticket != "" {
		return cred, false, s.checkTicket(ctx, cred, in.ticket)
	}
	ok, isWeak, err := s.passwords.Verify(ctx, cred.PasswordHash, in.Password)
	switch {
	case errors.Is(err, ErrBusy):
		return Credentials{}, false, &Error{Code: CodeTemporarilyOverloaded, RetryAfter: time.Second}
	case err != nil:
		return Credentials{}, false, err
	case !ok || cred.UserID == 0:
		return Credentials{}, false, Refusal(CodeInvalidCredentials)
	}
	return cred, isWeak, nil
}

// rehash stores a password anew with today's parameters, unless it was changed meanwhile. A failure costs nothing but
// the next try.
func (s *Service) rehash(ctx context.Context, cred *Credentials, password string) {
	hash, err := s.passwords.Hash(ctx, password)
	if err == nil {
		err = s.store.Rehash(ctx, cred.UserID, cred.PasswordHash, hash, Audit{ActorID: cred.UserID, Action: "user.rehash"})
	}
	if err == nil {
		cred.PasswordHash = hash
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		s.log.WarnContext(ctx, "password not rehashed", "user", cred.UserID, "err", err)
	}
}

// newSession takes the device slot and makes the token.
func (s *Service) newSession(ctx context.Context, cred Credentials, code CodeUse, in SignIn) (SignInResult, error) {
	e, err := s.entitlement(ctx, cred.UserID)
	if err != nil {
		return SignInResult{}, err
	}
	secret := newTokenSecret()
	signedIn, err := s.store.SignIn(ctx, NewSession{
		UserID: cred.UserID, ClientID: in.ClientID, Name: in.DeviceName,
		Platform:  PlatformOf(in.Origin, in.DeviceName, in.UserAgent),
		TokenHash: hashToken(secret), DeviceLimit: e.DeviceLimit(), ReplaceDeviceID: in.ReplaceDeviceID, Code: code,
	}, Audit{ActorID: cred.UserID, Action: "device.sign_in"})
	if errors.Is(err, ErrDeviceLimit) {
		return SignInResult{}, s.limitReached(ctx, cred.UserID, e)
	}
	if errors.Is(err, ErrNotFound) { // removed since the password was checked
		return SignInResult{}, Refusal(CodeInvalidCredentials)
	}
	if err != nil {
		return SignInResult{}, codeTaken(err)
	}
	s.changed(cred.UserID, signedIn.Changed)
	if err := s.confirm(ctx, cred, in); err != nil {
		return SignInResult{}, errors.Join(err, s.takeBack(ctx, cred.UserID, signedIn))
	}
	return SignInResult{Token: formatToken(signedIn.TokenID, secret), DeviceID: signedIn.DeviceID}, nil
}

// limitReached is the refusal of a device slot, with the devices that hold them.
func (s *Service) limitReached(ctx context.Context, userID int64, e *Entitlement) error {
	devices, err := s.store.Devices(ctx, userID)
	if err != nil {
		return err
	}
	return &Error{Code: CodeDeviceLimitReached, Limit: e.DeviceLimit(), Devices: devices}
}

// confirm refuses a session whose password was changed, here or in another process, between its check and the session:
// a new password signs out whatever was signed in before it.
func (s *Service) confirm(ctx context.Context, cred Credentials, in SignIn) error {
	now, err := s.store.Credentials(ctx, in.Email)
	if err == nil && now.PasswordHash == cred.PasswordHash {
		return nil
	}
	_, _, err = s.verify(ctx, in) // another sign-in may have rehashed the same password
	return err
}

// takeBack ends a session that nobody was told of.
func (s *Service) takeBack(ctx context.Context, userID int64, signedIn SignedIn) error {
	nodes, err := s.store.SignOut(context.WithoutCancel(ctx), signedIn.TokenID, Audit{Action: "device.sign_out"})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	s.changed(userID, nodes)
	return err
}

// SignOut ends the actor's token. A device's token takes the device with it: its slot is free and its keys are dead.
func (s *Service) SignOut(ctx context.Context, a *Actor) error {
	nodes, err := s.store.SignOut(ctx, a.Token.ID, a.audit("device.sign_out", a.Device.ID))
	if errors.Is(err, ErrNotFound) {
		return Refusal(CodeUnauthenticated)
	}
	if err != nil {
		return err
	}
	s.changed(a.User.ID, nodes)
	s.awaitRevoked(ctx, nodes)
	return nil
}

// awaitRevoked waits, within the same bound as a new key, until the nodes have ended the sessions of removed keys: so
// that an answered revocation has happened. A node that does not answer in time does it when it comes back.
func (s *Service) awaitRevoked(ctx context.Context, nodes []NodeRev) {
	ctx, cancel := context.WithTimeout(ctx, s.keyWait)
	defer cancel()
	for _, n := range nodes {
		s.waitApplied(ctx, WaitRevocation, n.NodeID, n.Rev)
	}
}
