package vpn_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// codeOf is what an authenticator shows (RFC 6238).
func codeOf(secret vpn.OTPSecret, at time.Time) string {
	mac := hmac.New(sha1.New, secret[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	from := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[from:])&0x7fffffff%1_000_000)
}

// turnOn turns the second factor of the bench's user on, and lets the step of its code pass.
func (b *bench) turnOn(a *vpn.Actor) (vpn.OTPSecret, []string) {
	b.t.Helper()
	if err := b.BeginSecondFactor(b.t.Context(), a, "password123", home); err != nil {
		b.t.Fatal(err)
	}
	f, err := b.SecondFactor(b.t.Context(), a)
	if err != nil || f.IsOn() {
		b.t.Fatalf("a second factor that is to be confirmed: %+v, %v", f, err)
	}
	codes, err := b.ConfirmSecondFactor(b.t.Context(), a, codeOf(f.Secret, b.now))
	if err != nil {
		b.t.Fatal(err)
	}
	b.now = b.now.Add(2 * time.Minute)
	return f.Secret, codes
}

// enter signs in to the dashboard with a code.
func (b *bench) enter(password, code string) (string, error) {
	return b.SignInBrowser(b.t.Context(), vpn.BrowserSignIn{Email: "user@example.com", Password: password, Code: code, Address: home})
}

// onDevice signs a device in with a code.
func (b *bench) onDevice(password, code string) error {
	_, err := b.SignIn(b.t.Context(), vpn.SignIn{
		Email: "user@example.com", Password: password, ClientID: "phone", DeviceName: "Phone", Code: code, Address: home,
	})
	return err
}

func TestSecondFactor(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.browse()
	b.refused(b.BeginSecondFactor(ctx, a, "wrong", home), vpn.CodeInvalidCredentials)
	_, err := b.ConfirmSecondFactor(ctx, a, "000000")
	b.refused(err, vpn.CodeNotFound)
	if err := b.BeginSecondFactor(ctx, a, "password123", home); err != nil {
		t.Fatal(err)
	}
	_, err = b.ConfirmSecondFactor(ctx, a, "nothing")
	b.refused(err, vpn.CodeOTPInvalid)
	if err := b.onDevice("password123", ""); err != nil {
		t.Fatalf("a second factor counted before it was confirmed: %v", err)
	}
	secret, _ := b.turnOn(a)
	b.refused(b.BeginSecondFactor(ctx, a, "password123", home), vpn.CodeConflict)
	_, err = b.ConfirmSecondFactor(ctx, a, codeOf(secret, b.now))
	b.refused(err, vpn.CodeConflict)
	if f, err := b.SecondFactor(ctx, a); err != nil || !f.IsOn() || f.Secret != (vpn.OTPSecret{}) || f.RecoveryCodes != 10 {
		t.Errorf("once it is on: %+v, %v", f, err)
	}

	b.refused(b.onDevice("password123", ""), vpn.CodeOTPRequired)
	b.refused(b.onDevice("wrong", codeOf(secret, b.now)), vpn.CodeInvalidCredentials)
	b.refused(b.onDevice("password123", codeOf(secret, b.now.Add(-time.Minute))), vpn.CodeOTPInvalid)
	if err := b.onDevice("password123", codeOf(secret, b.now)); err != nil {
		t.Fatal(err)
	}
	b.refused(b.onDevice("password123", codeOf(secret, b.now)), vpn.CodeOTPInvalid)
	b.refused(b.onDevice("password123", codeOf(secret, b.now.Add(-30*time.Second))), vpn.CodeOTPInvalid)
	spaced := codeOf(secret, b.now.Add(30*time.Second))
	if err := b.onDevice("password123", spaced[:3]+" "+spaced[3:]); err != nil {
		t.Errorf("a code of the next step: %v", err)
	}

	// Its owner turns it off with a code or the password.
	b.now = b.now.Add(10 * time.Minute)
	b.refused(b.RemoveSecondFactor(ctx, a, vpn.Proof{Address: home}), vpn.CodeValidationFailed)
	b.refused(b.RemoveSecondFactor(ctx, a, vpn.Proof{Password: "wrong", Address: home}), vpn.CodeInvalidCredentials)
	b.refused(b.RemoveSecondFactor(ctx, a, vpn.Proof{Code: "000", Address: home}), vpn.CodeOTPInvalid)
	if err := b.RemoveSecondFactor(ctx, a, vpn.Proof{Code: codeOf(secret, b.now), Address: home}); err != nil {
		t.Fatal(err)
	}
	b.refused(b.RemoveSecondFactor(ctx, a, vpn.Proof{Password: "password123", Address: home}), vpn.CodeNotFound)
	if err := b.onDevice("password123", ""); err != nil {
		t.Errorf("after it was turned off: %v", err)
	}
	b.turnOn(a)
	if err := b.RemoveSecondFactor(ctx, a, vpn.Proof{Password: "password123", Address: home}); err != nil {
		t.Fatal(err)
	}

	// An operator turns it off for them, and nobody else does.
	b.turnOn(a)
	b.refused(b.ResetSecondFactor(ctx, a, b.user.ID), vpn.CodeForbidden)
	if err := b.ResetSecondFactor(ctx, shell, b.user.ID); err != nil {
		t.Fatal(err)
	}
	b.refused(b.ResetSecondFactor(ctx, shell, b.user.ID), vpn.CodeNotFound)
	log, err := b.AuditLog(ctx, shell, 0, 1)
	if err != nil || log[0].Action != "user.second_factor_reset" || log[0].SubjectID != b.user.ID {
		t.Errorf("audit %+v, %v", log, err)
	}
}

func TestRecoveryCodes(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.browse()
	_, err := b.RenewRecoveryCodes(ctx, a, vpn.Proof{Password: "password123", Address: home})
	b.refused(err, vpn.CodeNotFound)
	_, codes := b.turnOn(a)
	if len(codes) != 10 || len(codes[0]) != 19 || codes[0] == codes[1] {
		t.Fatalf("codes %q", codes)
	}
	if err := b.onDevice("password123", " "+strings.ToUpper(codes[0])+" "); err != nil {
		t.Fatal(err)
	}
	b.refused(b.onDevice("password123", codes[0]), vpn.CodeOTPInvalid)
	if _, err := b.enter("password123", strings.ReplaceAll(codes[1], "-", "")); err != nil {
		t.Fatal(err)
	}
	renewed, err := b.RenewRecoveryCodes(ctx, a, vpn.Proof{Code: codes[2], Address: home})
	if err != nil {
		t.Fatal(err)
	}
	b.refused(b.onDevice("password123", codes[3]), vpn.CodeOTPInvalid)
	if err := b.onDevice("password123", renewed[9]); err != nil {
		t.Error(err)
	}
}

// The second step of a sign-in needs no password again, for five minutes, and nothing but a code makes it whole.
func TestTickets(t *testing.T) {
	b := setup(t)
	a, _ := b.browse()
	stranger := b.addUser("stranger@example.com")
	secret, _ := b.turnOn(a)
	with := func(email, ticket, code string) error {
		_, err := b.SignInBrowser(t.Context(), vpn.BrowserSignIn{Email: email, Ticket: ticket, Code: code, Address: home})
		return err
	}
	ticket := func() string {
		_, err := b.enter("password123", "")
		b.refused(err, vpn.CodeOTPRequired)
		refusal, _ := errors.AsType[*vpn.Error](err)
		return refusal.Ticket
	}
	first := ticket()
	b.refused(with("user@example.com", first, ""), vpn.CodeOTPRequired)
	b.refused(with("user@example.com", first, "000"), vpn.CodeOTPInvalid)
	if err := with("user@example.com", first, codeOf(secret, b.now)); err != nil {
		t.Fatal(err)
	}
	b.refused(with("user@example.com", first, codeOf(secret, b.now)), vpn.CodeOTPInvalid)
	b.refused(with(stranger.Email, first, codeOf(secret, b.now)), vpn.CodeInvalidCredentials)
	for _, forged := range []string{"x", ".", "99999999999.", "99999999999." + strings.Split(first, ".")[1], first + "x"} {
		b.now = b.now.Add(time.Minute)
		b.refused(with("user@example.com", forged, codeOf(secret, b.now)), vpn.CodeInvalidCredentials)
	}
	late := ticket()
	b.now = b.now.Add(5 * time.Minute)
	b.refused(with("user@example.com", late, codeOf(secret, b.now)), vpn.CodeInvalidCredentials)
	old := ticket()
	if err := b.SetPassword(t.Context(), shell, b.user.ID, "another password"); err != nil {
		t.Fatal(err)
	}
	b.refused(with("user@example.com", old, codeOf(secret, b.now)), vpn.CodeInvalidCredentials)
}

// Whoever knows the password finds no code by trying, from however many addresses; the owner's recovery codes still work.
func TestCodesAreThrottled(t *testing.T) {
	b := setup(t)
	a, _ := b.browse()
	secret, codes := b.turnOn(a)
	for range 5 {
		b.refused(b.onDevice("password123", "000"), vpn.CodeOTPInvalid)
	}
	b.refused(b.onDevice("password123", codes[0]), vpn.CodeTooManyAttempts) // wrong codes are failures of the sign-in throttle
	b.now = b.now.Add(10 * time.Minute)
	from := home
	tried := 0
	for range 3600 {
		b.now = b.now.Add(time.Second)
		from = from.Next()
		_, err := b.SignIn(t.Context(), vpn.SignIn{Email: "user@example.com", Password: "password123", ClientID: "x", Code: "000", Address: from})
		if vpn.CodeOf(err) == vpn.CodeOTPInvalid {
			tried++
		} else {
			b.refused(err, vpn.CodeTooManyAttempts)
		}
	}
	if tried < 60 || tried > 65 {
		t.Errorf("%d codes were tried within an hour", tried)
	}
	_, err := b.enter("password123", codeOf(secret, b.now))
	b.refused(err, vpn.CodeTooManyAttempts)
	if _, err := b.enter("password123", codes[1]); err != nil {
		t.Errorf("the owner's recovery code: %v", err)
	}
}

// The count of wrong codes is the database's: neither another replica nor a new start of the program gives more tries.
func TestCodesAreThrottledOnAllReplicas(t *testing.T) {
	b, other := replicas(t)
	a, _ := b.browse()
	_, codes := b.turnOn(a)
	from := home
	try := func(s *vpn.Service, code string) error {
		from = from.Next()
		_, err := s.SignInBrowser(t.Context(), vpn.BrowserSignIn{Email: "user@example.com", Password: "password123", Code: code, Address: from})
		return err
	}
	for i := range 5 {
		b.refused(try([]*vpn.Service{b.Service, other}[i%2], "000"), vpn.CodeOTPInvalid)
	}
	for _, s := range []*vpn.Service{b.Service, other, vpn.NewService(b.store, b.nodes, plainPasswords{}, vpn.Config{Now: b.clock})} {
		err := try(s, "000")
		b.refused(err, vpn.CodeTooManyAttempts)
		if refusal, _ := errors.AsType[*vpn.Error](err); refusal.RetryAfter <= 0 || refusal.RetryAfter > time.Minute {
			t.Errorf("to be tried again in %v", refusal.RetryAfter)
		}
	}
	if err := try(other, codes[0]); err != nil {
		t.Errorf("the owner's recovery code: %v", err)
	}
}

// A code that is refused for another reason than itself can be given again.
func TestDeviceLimitTakesNoCode(t *testing.T) {
	b := setup(t)
	a, _ := b.browse()
	b.signIn("user@example.com", "one")
	_, two := b.signIn("user@example.com", "two")
	secret, codes := b.turnOn(a)
	replaced := two.DeviceID
	for i, code := range []string{codeOf(secret, b.now), codes[0]} {
		enter := func(replace int64) error {
			in, err := b.SignIn(t.Context(), vpn.SignIn{
				Email: "user@example.com", Password: "password123", ClientID: number(int64(i)), Code: code, Address: home, ReplaceDeviceID: replace,
			})
			if err == nil {
				replaced = in.DeviceID
			}
			return err
		}
		b.refused(enter(0), vpn.CodeDeviceLimitReached)
		if err := enter(replaced); err != nil {
			t.Errorf("the code was taken: %v", err)
		}
		b.refused(enter(replaced), vpn.CodeOTPInvalid)
	}
}

// A weak hash that was imported is replaced on the dashboard too, where the second step has no password; the ticket that the
// first step gave holds for it.
func TestWeakHashIsReplacedBeforeTheCode(t *testing.T) {
	b := setup(t)
	a, _ := b.browse()
	secret, _ := b.turnOn(a)
	if _, err := b.store.SetPasswordHash(t.Context(), b.user.ID, "weak:password123", false, vpn.Audit{Action: "user.password"}); err != nil {
		t.Fatal(err)
	}
	_, err := b.enter("password123", "")
	b.refused(err, vpn.CodeOTPRequired)
	refusal, _ := errors.AsType[*vpn.Error](err)
	if cred, err := b.store.Credentials(t.Context(), "user@example.com"); err != nil || cred.PasswordHash != "plain:password123" {
		t.Errorf("kept %+v, %v", cred, err)
	}
	if _, err := b.SignInBrowser(t.Context(), vpn.BrowserSignIn{
		Email: "user@example.com", Ticket: refusal.Ticket, Code: codeOf(secret, b.now), Address: home,
	}); err != nil {
		t.Error(err)
	}
}
