package vpn_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

var home = netip.MustParseAddr("192.0.2.1")

// browse signs the bench's user in to the dashboard.
func (b *bench) browse() (*vpn.Actor, string) {
	b.t.Helper()
	secret, err := b.SignInBrowser(b.t.Context(), vpn.BrowserSignIn{Email: " User@Example.com", Password: "password123", Address: home})
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := b.Browser(b.t.Context(), secret)
	if err != nil {
		b.t.Fatal(err)
	}
	return a, secret
}

func TestBrowserSession(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, secret := b.browse()
	if a.User.ID != b.user.ID || a.Device.ID != 0 || a.Browser.ID == 0 {
		t.Errorf("actor %+v", a)
	}
	if devices, err := b.Devices(ctx, a); err != nil || len(devices) != 0 {
		t.Errorf("a browser took a slot: %v, %v", devices, err)
	}
	_, other := b.browse()
	if err := b.SignOutBrowser(ctx, a, secret); err != nil {
		t.Fatal(err)
	}
	_, err := b.Browser(ctx, secret)
	b.refused(err, vpn.CodeUnauthenticated)
	if a, err = b.Browser(ctx, other); err != nil {
		t.Fatal(err)
	}
	if err := b.SignOutBrowsers(ctx, a); err != nil {
		t.Fatal(err)
	}
	_, err = b.Browser(ctx, other)
	b.refused(err, vpn.CodeUnauthenticated)
	for _, bad := range []string{"", "x", strings.Repeat("x", 513)} {
		_, err = b.Browser(ctx, bad)
		b.refused(err, vpn.CodeUnauthenticated)
	}
}

func TestBrowserSessionEnds(t *testing.T) {
	const day = 24 * time.Hour
	b := setup(t)
	_, idle := b.browse()
	b.now = b.now.Add(14*day - time.Millisecond)
	if _, err := b.Browser(t.Context(), idle); err != nil {
		t.Fatalf("a session ended before its time: %v", err)
	}
	b.now = b.now.Add(14*day + time.Millisecond) // it was used 13 days after it began
	_, err := b.Browser(t.Context(), idle)
	b.refused(err, vpn.CodeUnauthenticated)

	_, used := b.browse()
	began := b.now
	for b.now.Sub(began) < vpn.BrowserLife-day {
		b.now = b.now.Add(day)
		if _, err := b.Browser(t.Context(), used); err != nil {
			t.Fatalf("after %v: %v", b.now.Sub(began), err)
		}
	}
	b.now = began.Add(vpn.BrowserLife)
	_, err = b.Browser(t.Context(), used)
	b.refused(err, vpn.CodeUnauthenticated)
}

// A browser's secret is no bearer token, and no bearer token is a browser's secret, also while both are cached.
func TestBrowserIsNoBearer(t *testing.T) {
	b := setup(t)
	_, secret := b.browse()
	_, signedIn := b.signIn("user@example.com", "phone")
	_, bearer, _ := strings.Cut(signedIn.Token, "|")
	_, err := b.Authenticate(t.Context(), secret)
	b.refused(err, vpn.CodeUnauthenticated)
	for _, token := range []string{signedIn.Token, bearer} {
		_, err = b.Browser(t.Context(), token)
		b.refused(err, vpn.CodeUnauthenticated)
	}
}

// Browsers share the throttle of the API: what fails in one place counts in the other.
func TestBrowserSharesTheThrottle(t *testing.T) {
	b := setup(t)
	for range 5 {
		_, err := b.SignInBrowser(t.Context(), vpn.BrowserSignIn{Email: "user@example.com", Password: "wrong", Address: home})
		b.refused(err, vpn.CodeInvalidCredentials)
	}
	_, err := b.SignIn(t.Context(), vpn.SignIn{Email: "user@example.com", Password: "password123", ClientID: "x", Address: home})
	b.refused(err, vpn.CodeTooManyAttempts)
	_, err = b.SignInBrowser(t.Context(), vpn.BrowserSignIn{Email: "user@example.com", Password: "password123", Address: home})
	b.refused(err, vpn.CodeTooManyAttempts)
}

func TestBlockedUserOpensNoBrowser(t *testing.T) {
	b := setup(t)
	if err := b.SetUserStatus(t.Context(), shell, b.user.ID, vpn.UserBlocked); err != nil {
		t.Fatal(err)
	}
	_, err := b.SignInBrowser(t.Context(), vpn.BrowserSignIn{Email: "user@example.com", Password: "password123"})
	b.refused(err, vpn.CodeAccountBlocked)
}

func TestChangePassword(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, secret := b.browse()
	_, device := b.signIn("user@example.com", "phone")
	_, err := b.ChangePassword(ctx, a, "wrong", "a new password", home)
	b.refused(err, vpn.CodeInvalidCredentials)
	_, err = b.ChangePassword(ctx, a, "password123", "short", home)
	b.refused(err, vpn.CodeValidationFailed)
	_, err = b.ChangePassword(ctx, a, "password123", strings.Repeat("x", 1025), home)
	b.refused(err, vpn.CodeValidationFailed)
	renewed, err := b.ChangePassword(ctx, a, "password123", "a new password", home)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Browser(ctx, secret)
	b.refused(err, vpn.CodeUnauthenticated)
	_, err = b.Authenticate(ctx, device.Token)
	b.refused(err, vpn.CodeUnauthenticated)
	if _, err := b.Browser(ctx, renewed); err != nil {
		t.Errorf("whoever changed the password was signed out: %v", err)
	}
}

func TestErase(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, secret := b.browse()
	b.refused(b.Erase(ctx, a, "wrong", home), vpn.CodeInvalidCredentials)
	if err := b.Erase(ctx, a, "password123", home); err != nil {
		t.Fatal(err)
	}
	_, err := b.Browser(ctx, secret)
	b.refused(err, vpn.CodeUnauthenticated)
	_, err = b.FindUser(ctx, shell, "user@example.com")
	b.refused(err, vpn.CodeNotFound)

	if _, err := b.AddUser(ctx, shell, vpn.NewAccount{Email: "user@example.com", Password: "password123", IsOperator: true}); err != nil {
		t.Fatal(err)
	}
	operator, _ := b.browse()
	b.refused(b.Erase(ctx, operator, "password123", home), vpn.CodeForbidden)
}

func TestAddedDeviceHasAKey(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.browse()
	_, err := b.AddDevice(ctx, a, "  ", vpn.PlatformIOS)
	b.refused(err, vpn.CodeValidationFailed)
	_, err = b.AddDevice(ctx, a, strings.Repeat("я", 256), vpn.PlatformIOS)
	b.refused(err, vpn.CodeValidationFailed)
	phone, err := b.AddDevice(ctx, a, strings.Repeat("я", 255), vpn.PlatformIOS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddDevice(ctx, a, "Tablet", vpn.PlatformAndroid); err != nil {
		t.Fatal(err)
	}
	_, err = b.AddDevice(ctx, a, "One too many", vpn.PlatformAndroid)
	b.refused(err, vpn.CodeDeviceLimitReached)

	_, err = b.HeldKey(ctx, a, phone, 1)
	b.refused(err, vpn.CodeNotFound)
	issued, err := b.IssueKey(ctx, a, vpn.IssueKey{ServerID: 1, Device: vpn.DeviceRef(number(phone))})
	if err != nil {
		t.Fatal(err)
	}
	held, err := b.HeldKey(ctx, a, phone, 1)
	if err != nil || held.Key != issued.Key {
		t.Errorf("held %+v, issued %+v: %v", held, issued, err)
	}
	_, err = b.HeldKey(ctx, a, phone+1000, 1)
	b.refused(err, vpn.CodeDeviceNotFound)
	_, err = b.HeldKey(ctx, a, phone, 1000)
	b.refused(err, vpn.CodeServerNotFound)
	devices, err := b.Devices(ctx, a)
	if err != nil || len(devices) != 2 || !devices[0].IsAdded() || devices[0].Platform != vpn.PlatformIOS {
		t.Errorf("devices %+v, %v", devices, err)
	}
	if err := b.RemoveDevice(ctx, a, phone); err != nil {
		t.Fatal(err)
	}
	_, err = b.HeldKey(ctx, a, phone, 1)
	b.refused(err, vpn.CodeDeviceNotFound)
}

func TestAPITokens(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.browse()
	_, err := b.AddToken(ctx, a, b.user.ID, " ", time.Time{})
	b.refused(err, vpn.CodeValidationFailed)
	token, err := b.AddToken(ctx, a, b.user.ID, " backup ", b.now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	b.authenticate(token)
	tokens, err := b.Tokens(ctx, a)
	if err != nil || len(tokens) != 1 || tokens[0].Name != "backup" || !tokens[0].ExpiresAt.Equal(b.now.Add(time.Hour)) {
		t.Fatalf("tokens %+v, %v", tokens, err)
	}
	b.refused(b.RemoveToken(ctx, a, tokens[0].ID+1), vpn.CodeNotFound)
	if err := b.RemoveToken(ctx, a, tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	_, err = b.Authenticate(ctx, token)
	b.refused(err, vpn.CodeUnauthenticated)
	for range 100 {
		if _, err := b.AddToken(ctx, a, b.user.ID, "x", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = b.AddToken(ctx, a, b.user.ID, "one too many", time.Time{})
	b.refused(err, vpn.CodeConflict)
}

func TestExportHoldsNoSecret(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.browse()
	b.signIn("user@example.com", "phone")
	if _, err := b.AddToken(ctx, a, b.user.ID, "backup", time.Time{}); err != nil {
		t.Fatal(err)
	}
	e, err := b.Export(ctx, a)
	if err != nil || e.User.ID != b.user.ID || len(e.Devices) != 1 || len(e.Tokens) != 1 || len(e.Browsers) != 1 || e.Entitlement.Plan.Code != "standard" {
		t.Errorf("export %+v, %v", e, err)
	}
}

func TestSetupMakesTheFirstOperator(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	secret, err := b.SetupToken(ctx)
	if err != nil || secret == "" {
		t.Fatalf("link %q, %v", secret, err)
	}
	b.refused(b.CheckSetup(ctx, "x"+secret), vpn.CodeNotFound)
	b.refused(b.CheckSetup(ctx, strings.Repeat("x", 513)), vpn.CodeNotFound)
	_, err = b.Setup(ctx, secret, vpn.NewAccount{Email: "root@example.com", Password: "short"})
	b.refused(err, vpn.CodeValidationFailed)
	_, err = b.Setup(ctx, secret, vpn.NewAccount{Email: "user@example.com", Password: "password123"})
	b.refused(err, vpn.CodeConflict)
	_, err = b.Setup(ctx, "x", vpn.NewAccount{Email: "root@example.com", Password: "password123"})
	b.refused(err, vpn.CodeNotFound)
	browser, err := b.Setup(ctx, secret, vpn.NewAccount{Email: "root@example.com", Password: "password123"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.Browser(ctx, browser)
	if err != nil || a.User.Role != vpn.RoleOwner {
		t.Errorf("actor %+v, %v", a, err)
	}
	b.refused(b.CheckSetup(ctx, secret), vpn.CodeNotFound)
	_, err = b.Setup(ctx, secret, vpn.NewAccount{Email: "second@example.com", Password: "password123"})
	b.refused(err, vpn.CodeNotFound)
}
