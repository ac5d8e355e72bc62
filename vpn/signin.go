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
	// Hints tell the platform: Origin, User-Agent. They are not kept.
	Hints   []string
	Address netip.Addr
	// ReplaceDeviceID names a device to sign out when no slot is free; 0 = none.
	ReplaceDeviceID int64
}

// SignInResult is what a client gets: its token, shown once, and our id of its device.
type SignInResult struct {
	Token    string
	DeviceID int64
}

// NormalEmail is the form in which e-mails are compared and kept.
func NormalEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// SignIn checks the throttle, the credentials, the account and the device limit, in this order, and makes the device's
// token. Refusals: CodeTooManyAttempts, CodeInvalidCredentials (the same for an unknown e-mail, after the same work),
// CodeAccountBlocked, CodeDeviceLimitReached, CodeTemporarilyOverloaded.
func (s *Service) SignIn(ctx context.Context, in SignIn) (SignInResult, error) {
	in.Email = NormalEmail(in.Email)
	try, err := s.signIns.begin(in.Email, in.Address)
	if err != nil {
		return SignInResult{}, err
	}
	if err := try.wait(ctx); err != nil {
		try.forgive()
		return SignInResult{}, err
	}
	cred, err := s.verify(ctx, in)
	if CodeOf(err) != CodeInvalidCredentials {
		try.forgive()
	}
	if err != nil {
		return SignInResult{}, err
	}
	if cred.Status == UserBlocked {
		return SignInResult{}, Refusal(CodeAccountBlocked)
	}
	return s.newSession(ctx, cred.UserID, in)
}

// verify checks e-mail and password, and replaces a weak hash by a new one.
func (s *Service) verify(ctx context.Context, in SignIn) (Credentials, error) {
	cred, err := s.store.Credentials(ctx, in.Email)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Credentials{}, err
	}
	ok, weak, err := s.passwords.Verify(ctx, cred.PasswordHash, in.Password)
	switch {
	case errors.Is(err, ErrBusy):
		return Credentials{}, &Error{Code: CodeTemporarilyOverloaded, RetryAfter: time.Second}
	case err != nil:
		return Credentials{}, err
	case !ok || cred.UserID == 0:
		return Credentials{}, Refusal(CodeInvalidCredentials)
	}
	if weak {
		s.rehash(ctx, cred.UserID, in.Password)
	}
	return cred, nil
}

// rehash stores a password anew with today's parameters. A failure costs nothing but the next try.
func (s *Service) rehash(ctx context.Context, userID int64, password string) {
	hash, err := s.passwords.Hash(ctx, password)
	if err == nil {
		_, err = s.store.SetPasswordHash(ctx, userID, hash, false, Audit{ActorID: userID, Action: "user.rehash", SubjectID: userID})
	}
	if err != nil {
		s.log.WarnContext(ctx, "password not rehashed", "user", userID, "err", err)
	}
}

// newSession takes the device slot and makes the token.
func (s *Service) newSession(ctx context.Context, userID int64, in SignIn) (SignInResult, error) {
	e, err := s.entitlement(ctx, userID)
	if err != nil {
		return SignInResult{}, err
	}
	secret := newTokenSecret()
	signedIn, err := s.store.SignIn(ctx, NewSession{
		UserID: userID, ClientID: in.ClientID, Name: in.DeviceName,
		Platform:  PlatformOf(append([]string{in.DeviceName}, in.Hints...)...),
		TokenHash: hashToken(secret), DeviceLimit: e.DeviceLimit(), ReplaceDeviceID: in.ReplaceDeviceID,
	}, Audit{ActorID: userID, Action: "device.sign_in"})
	if errors.Is(err, ErrDeviceLimit) {
		devices, err := s.store.Devices(ctx, userID)
		if err != nil {
			return SignInResult{}, err
		}
		return SignInResult{}, &Error{Code: CodeDeviceLimitReached, Limit: e.DeviceLimit(), Devices: devices}
	}
	if err != nil {
		return SignInResult{}, err
	}
	s.changed(userID, signedIn.Changed)
	return SignInResult{Token: formatToken(signedIn.TokenID, secret), DeviceID: signedIn.DeviceID}, nil
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
		s.nodes.WaitApplied(ctx, n.NodeID, n.Rev)
	}
}
