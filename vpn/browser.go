package vpn

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"
)

const (
	// browserIdle is how many days a browser's session holds without being used. Its use is kept by the day.
	browserIdle = 14 * day
	// BrowserLife is how long a browser's session holds at most.
	BrowserLife = 90 * day
	// maxBrowsers is how many sessions in browsers an account may have; the oldest makes room.
	maxBrowsers = 20
)

// Browser is a session of the dashboard. It is no device: it takes no slot and has no keys.
type Browser struct {
	ID     int64
	UserID int64
	// LastUsedDay is the day of last use, midnight UTC.
	LastUsedDay time.Time
	CreatedAt   time.Time
}

// Holds reports whether the session is neither idle nor too old.
func (b *Browser) Holds(now time.Time) bool {
	return now.Before(b.LastUsedDay.Add(browserIdle)) && now.Before(b.CreatedAt.Add(BrowserLife))
}

// hashBrowser returns the stored form of a browser's secret. It is no token's hash: neither passes for the other.
func hashBrowser(secret string) TokenHash { return sha256.Sum256([]byte("browser\x00" + secret)) }

// BrowserSignIn is a sign-in to the dashboard. The password is as typed.
type BrowserSignIn struct {
	Email    string
	Password string
	// Ticket is what CodeOTPRequired came with, in place of the password; "" = there is a password.
	Ticket string
	// Code is one of the second factor or a recovery code; "" = none.
	Code    string
	Address netip.Addr
}

// SignInBrowser checks the throttle, the credentials, the account and the second factor as SignIn does, and returns the
// secret of a new session, which is shown once. Refusals: CodeTooManyAttempts, CodeInvalidCredentials (also for a ticket
// that is late), CodeAccountBlocked, CodeOTPRequired (with a Ticket), CodeOTPInvalid, CodeTemporarilyOverloaded.
func (s *Service) SignInBrowser(ctx context.Context, b BrowserSignIn) (secret string, err error) {
	defer func() { s.observer.SignedIn(outcome(err)) }()
	in := SignIn{Email: NormalEmail(b.Email), Password: b.Password, Address: b.Address, Code: b.Code, ticket: b.Ticket}
	err = s.try(ctx, in.Email, in.Address, func() error {
		secret, err = s.browse(ctx, in)
		return err
	})
	return secret, err
}

// browse is SignInBrowser within the throttle.
func (s *Service) browse(ctx context.Context, in SignIn) (secret string, err error) {
	cred, code, err := s.admit(ctx, in)
	if err != nil {
		return "", err
	}
	secret, err = s.newBrowser(ctx, cred.UserID, code)
	if errors.Is(err, ErrNotFound) { // removed since the password was checked
		return "", Refusal(CodeInvalidCredentials)
	}
	if err != nil {
		return "", codeTaken(err)
	}
	if err := s.confirm(ctx, cred, in); err != nil {
		return "", errors.Join(err, s.store.RemoveBrowser(context.WithoutCancel(ctx), hashBrowser(secret)))
	}
	return secret, nil
}

// newBrowser makes a session of a user, which takes a code, and returns its secret.
func (s *Service) newBrowser(ctx context.Context, userID int64, code CodeUse) (string, error) {
	secret := newTokenSecret()
	return secret, s.store.AddBrowser(ctx, userID, hashBrowser(secret), maxBrowsers, code, Audit{ActorID: userID, Action: "browser.sign_in"})
}

// Browser returns who a browser's secret stands for, or CodeUnauthenticated. The Actor is shared: read only.
func (s *Service) Browser(ctx context.Context, secret string) (*Actor, error) {
	if secret == "" || len(secret) > maxBearer {
		return nil, Refusal(CodeUnauthenticated)
	}
	hash := hashBrowser(secret)
	a, err := s.actors.get(hash, func() (*Actor, int64, error) { return s.loadBrowser(ctx, hash) })
	if errors.Is(err, ErrNotFound) {
		return nil, Refusal(CodeUnauthenticated)
	}
	if err != nil {
		return nil, err
	}
	if !a.Browser.Holds(s.now()) {
		return nil, Refusal(CodeUnauthenticated)
	}
	return a, nil
}

// loadBrowser reads a session and notes the day of its use, once a day.
func (s *Service) loadBrowser(ctx context.Context, hash TokenHash) (*Actor, int64, error) {
	b, u, err := s.store.Browser(ctx, hash)
	if err != nil {
		return nil, 0, err
	}
	now := s.now()
	if today := now.Truncate(day); b.Holds(now) && b.LastUsedDay.Before(today) {
		if err := s.store.TouchBrowser(ctx, b.ID, today); err != nil {
			s.log.WarnContext(ctx, "day of last use not noted", "err", err)
		} else {
			b.LastUsedDay = today
		}
	}
	return &Actor{User: u, Browser: b}, u.ID, nil
}

// Browsers returns the actor's sessions in browsers, also those that are over.
func (s *Service) Browsers(ctx context.Context, a *Actor) ([]Browser, error) {
	return s.store.Browsers(ctx, a.User.ID)
}

// SignOutBrowser ends the session with this secret. One that is over already is no error.
func (s *Service) SignOutBrowser(ctx context.Context, a *Actor, secret string) error {
	if err := s.store.RemoveBrowser(ctx, hashBrowser(secret)); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	s.changed(a.User.ID, nil)
	return nil
}

// SignOutBrowsers ends all of the actor's sessions in browsers. Devices and tokens stay.
func (s *Service) SignOutBrowsers(ctx context.Context, a *Actor) error {
	if err := s.store.RemoveBrowsers(ctx, a.User.ID, a.audit("browser.sign_out_all", a.User.ID)); err != nil {
		return err
	}
	s.changed(a.User.ID, nil)
	return nil
}
