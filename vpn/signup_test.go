package vpn_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"stile/vpn"
)

// allow sets who may sign up.
func (b *bench) allow(mode vpn.SignUpMode) {
	b.t.Helper()
	if err := b.SetSettings(b.t.Context(), shell, vpn.Settings{SignUp: mode, MailFrom: "vpn@example.net"}); err != nil {
		b.t.Fatal(err)
	}
}

// invite makes an invitation.
func (b *bench) invite(in vpn.NewInvitation) string {
	b.t.Helper()
	if in.Days == 0 {
		in.Days = 7
	}
	_, secret, err := b.Invite(b.t.Context(), shell, in)
	if err != nil {
		b.t.Fatal(err)
	}
	return secret
}

// signUp signs up, each time from another address.
func (b *bench) signUp(in vpn.SignUp) error {
	b.t.Helper()
	b.now = b.now.Add(2 * time.Second)
	if !in.Address.IsValid() {
		in.Address = home
	}
	if in.Password == "" {
		in.Password = "password123"
	}
	isMailed, err := b.SignUp(b.t.Context(), in)
	if isMailed {
		b.t.Error("a mail, without a mail server")
	}
	return err
}

// plan is what an account has.
func (b *bench) planOf(email string) string {
	b.t.Helper()
	u, err := b.FindUser(b.t.Context(), shell, email)
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := b.Account(b.t.Context(), shell, u.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return a.Entitlement.Plan.Code
}

// What each mode takes, and what an invitation and a voucher give.
func TestSignUpModes(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	invitation := b.invite(vpn.NewInvitation{Plan: "standard", Periods: 1})
	codes, err := b.AddVouchers(ctx, shell, vpn.NewVouchers{Plan: "standard", Periods: 1, Uses: 1, Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	with := func(email, invitation, voucher string) error {
		return b.signUp(vpn.SignUp{Email: email, Invitation: invitation, Voucher: voucher})
	}
	b.refused(with("a@example.com", invitation, codes[0]), vpn.CodeNotFound)
	b.allow(vpn.SignUpInvitation)
	b.refused(with("a@example.com", "", ""), vpn.CodeValidationFailed)
	b.refused(with("a@example.com", "", codes[0]), vpn.CodeValidationFailed)
	b.refused(with("a@example.com", "none", ""), vpn.CodeInvitationInvalid)
	if err := with("A@example.com ", invitation, ""); err != nil {
		t.Fatal(err)
	}
	if got := b.planOf("a@example.com"); got != "standard" {
		t.Errorf("invited to %q", got)
	}
	b.refused(with("b@example.com", invitation, ""), vpn.CodeInvitationInvalid)
	b.allow(vpn.SignUpVoucher)
	b.now = b.now.Add(time.Minute)
	b.refused(with("c@example.com", "", " "), vpn.CodeValidationFailed)
	b.refused(with("c@example.com", "", "0000-0000-0000-0000"), vpn.CodeVoucherInvalid)
	if err := with("c@example.com", "", codes[0]); err != nil {
		t.Fatal(err)
	}
	b.refused(with("d@example.com", "", codes[0]), vpn.CodeVoucherInvalid)
	if err := with("e@example.com", b.invite(vpn.NewInvitation{Email: "E@example.com"}), ""); err != nil {
		t.Errorf("invited where vouchers do: %v", err)
	}
	if got := b.planOf("e@example.com"); got != "" {
		t.Errorf("a bare invitation gives %q", got)
	}
	b.allow(vpn.SignUpOpen)
	b.now = b.now.Add(time.Minute)
	if err := with("f@example.com", "", codes[1]); err != nil || b.planOf("f@example.com") != "standard" {
		t.Errorf("a voucher where none is needed: %v", err)
	}
	if err := with("g@example.com", "", ""); err != nil {
		t.Error(err)
	}
	b.refused(with("x@example.com", b.invite(vpn.NewInvitation{Email: "y@example.com"}), ""), vpn.CodeInvitationInvalid)
	late := b.invite(vpn.NewInvitation{Days: 1})
	b.now = b.now.AddDate(0, 0, 1)
	b.refused(with("x@example.com", late, ""), vpn.CodeInvitationInvalid)
	b.refused(with("nobody", "", ""), vpn.CodeValidationFailed)
	b.refused(b.signUp(vpn.SignUp{Email: "x@example.com", Password: "short"}), vpn.CodeValidationFailed)
	b.refused(b.signUp(vpn.SignUp{Email: "x@example.com", Locale: "de"}), vpn.CodeValidationFailed)
	// All of them can sign in.
	for _, email := range []string{"a@example.com", "c@example.com", "e@example.com", "f@example.com", "g@example.com"} {
		b.signIn(email, "phone")
	}
}

// An e-mail that has an account gets what another one gets, and the account stays as it is.
func TestSignUpTellsNobodyWhoIsThere(t *testing.T) {
	b := setup(t)
	b.allow(vpn.SignUpOpen)
	codes, err := b.AddVouchers(t.Context(), shell, vpn.NewVouchers{Plan: "standard", Periods: 1, Uses: 1, Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.signUp(vpn.SignUp{Email: "user@example.com", Password: "another one", Voucher: codes[0]}); err != nil {
		t.Errorf("an e-mail that has an account: %v", err)
	}
	b.signIn("user@example.com", "phone")
	if err := b.signUp(vpn.SignUp{Email: "new@example.com", Voucher: codes[0]}); err != nil {
		t.Errorf("the voucher was used up by nothing: %v", err)
	}
}

// So many accounts a minute as guesses at passwords, and each try counts.
func TestSignUpIsThrottled(t *testing.T) {
	b := setup(t)
	b.allow(vpn.SignUpOpen)
	ctx := t.Context()
	for range 5 {
		if _, err := b.SignUp(ctx, vpn.SignUp{Email: "a@example.com", Password: "password123", Address: home}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.SignUp(ctx, vpn.SignUp{Email: "a@example.com", Password: "password123", Address: home})
	b.refused(err, vpn.CodeTooManyAttempts)
	for i := range 25 {
		_, err := b.SignUp(ctx, vpn.SignUp{Email: number(int64(i)) + "@example.com", Voucher: "0000", Address: home})
		b.refused(err, vpn.CodeVoucherInvalid)
	}
	_, err = b.SignUp(ctx, vpn.SignUp{Email: "b@example.com", Password: "password123", Address: home})
	b.refused(err, vpn.CodeTooManyAttempts)
	b.refused(b.MaySignUp(ctx, home), vpn.CodeTooManyAttempts)
	if err := b.MaySignUp(ctx, netip.MustParseAddr("198.51.100.9")); err != nil {
		t.Error(err)
	}
}

// Without mail, whoever signs up with an e-mail and then tries the password learns whether it was taken. Of taken ones an address finds
// 15 a minute: the sign-up counts, and the sign-in that fails.
func TestFindingAccountsBySigningUpIsThrottled(t *testing.T) {
	b := setup(t)
	b.allow(vpn.SignUpOpen)
	ctx := t.Context()
	found := 0
	for i := range 20 {
		email := "taken" + number(int64(i)) + "@example.com"
		b.addUser(email)
		if _, err := b.SignUp(ctx, vpn.SignUp{Email: email, Password: "what I chose", Address: home}); err != nil {
			b.refused(err, vpn.CodeTooManyAttempts)
			break
		}
		_, err := b.SignIn(ctx, vpn.SignIn{Email: email, Password: "what I chose", ClientID: "c", DeviceName: "d", Address: home})
		b.refused(err, vpn.CodeInvalidCredentials)
		found++
	}
	if found != 15 {
		t.Errorf("%d accounts were found within a minute, want 15", found)
	}
}

func TestInvitations(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	for field, in := range map[string]vpn.NewInvitation{
		"email":   {Email: "nobody", Days: 1},
		"days":    {Days: vpn.MaxInvitationDays + 1},
		"plan":    {Plan: "none", Periods: 1, Days: 1},
		"periods": {Plan: "standard", Periods: 1201, Days: 1},
		"note":    {Note: string(make([]byte, 256)), Days: 1},
	} {
		_, _, err := b.Invite(ctx, shell, in)
		b.refused(err, vpn.CodeValidationFailed)
		if refusal := err.Error(); refusal[:len("validation_failed: "+field)] != "validation_failed: "+field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, _, err := b.Invite(ctx, shell, vpn.NewInvitation{Email: "user@example.com", Days: 1})
	b.refused(err, vpn.CodeConflict)
	_, _, err = b.Invite(ctx, &vpn.Actor{User: b.user}, vpn.NewInvitation{Days: 1})
	b.refused(err, vpn.CodeForbidden)
	b.invite(vpn.NewInvitation{Email: "x@example.com", Plan: "standard", Periods: 2, Note: "for x"})
	all, err := b.Invitations(ctx, shell, 0, 10)
	if err != nil || len(all) != 1 || all[0].Email != "x@example.com" || all[0].Periods != 2 || !all[0].Holds(b.now) {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := b.RemoveInvitation(ctx, shell, all[0].ID); err != nil {
		t.Error(err)
	}
	b.refused(b.RemoveInvitation(ctx, shell, all[0].ID), vpn.CodeNotFound)
}

// mailed is a service that sends mail, with the letters that come.
func (b *bench) mailed() (*vpn.Service, <-chan vpn.Letter) {
	letters := make(chan vpn.Letter, 16)
	s := vpn.NewService(b.store, b.nodes, plainPasswords{}, vpn.Config{Now: b.clock, Post: func(_ context.Context, l vpn.Letter) error {
		letters <- l
		return nil
	}})
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.WriteLetters(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	return s, letters
}

// Where mail is sent, an account is made once its mail is answered; the owner of an account is told, and nobody else.
func TestSignUpByMail(t *testing.T) {
	b := setup(t)
	b.allow(vpn.SignUpInvitation)
	ctx := t.Context()
	s, letters := b.mailed()
	invitation := b.invite(vpn.NewInvitation{Plan: "standard", Periods: 1})
	ask := func(email string) {
		t.Helper()
		if isMailed, err := s.SignUp(ctx, vpn.SignUp{Email: email, Locale: "en", Invitation: invitation, Address: home}); err != nil || !isMailed {
			t.Fatalf("mailed %v: %v", isMailed, err)
		}
	}
	ask("New@example.com")
	first := <-letters
	if first.Kind != vpn.LetterSignUp || first.To != "new@example.com" || first.Locale != "en" || first.Token == "" {
		t.Fatalf("letter %+v", first)
	}
	_, err := b.FindUser(ctx, shell, "new@example.com")
	b.refused(err, vpn.CodeNotFound)
	ask("user@example.com")
	if l := <-letters; l.Kind != vpn.LetterTaken || l.To != "user@example.com" || l.Token != "" {
		t.Errorf("letter %+v", l)
	}
	ask("new@example.com")
	second := <-letters
	for _, bad := range []string{"", "x", first.Token + "x"} {
		_, err = s.ConfirmSignUp(ctx, bad, "", "password123")
		b.refused(err, vpn.CodeSignUpInvalid)
	}
	_, err = s.ConfirmSignUp(ctx, first.Token, "", "short")
	b.refused(err, vpn.CodeValidationFailed)
	browser, err := s.ConfirmSignUp(ctx, first.Token, "Anna", "password123")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Browser(ctx, browser)
	if err != nil || a.User.Email != "new@example.com" || a.User.EmailVerifiedAt.IsZero() || a.User.Name != "Anna" || a.User.Locale != "en" {
		t.Errorf("%+v, %v", a, err)
	}
	if b.planOf("new@example.com") != "standard" {
		t.Error("the invitation gave nothing")
	}
	_, err = s.ConfirmSignUp(ctx, first.Token, "", "password123")
	b.refused(err, vpn.CodeSignUpInvalid)
	_, err = s.ConfirmSignUp(ctx, second.Token, "", "password123")
	b.refused(err, vpn.CodeConflict)

	// A link is worth nothing a day later, nor once nobody may sign up.
	b.allow(vpn.SignUpOpen)
	b.pass(time.Second)
	invitation = ""
	ask("late@example.com")
	late := <-letters
	b.pass(24 * time.Hour)
	_, err = s.ConfirmSignUp(ctx, late.Token, "", "password123")
	b.refused(err, vpn.CodeSignUpInvalid)
	ask("closed@example.com")
	closed := <-letters
	b.allow(vpn.SignUpClosed)
	b.pass(time.Second)
	_, err = s.ConfirmSignUp(ctx, closed.Token, "", "password123")
	b.refused(err, vpn.CodeSignUpInvalid)
}

// Whoever forgot the password gets a mail; nobody learns who has an account, and no mailbox is flooded.
func TestResetByMail(t *testing.T) {
	b := setup(t)
	b.allow(vpn.SignUpClosed)
	ctx := t.Context()
	b.refused(b.AskReset(ctx, "user@example.com", home), vpn.CodeNotFound) // no mail server
	s, letters := b.mailed()
	b.refused(s.AskReset(ctx, "nobody", home), vpn.CodeValidationFailed)
	from := home
	for range 10 {
		from = from.Next()
		if err := s.AskReset(ctx, "user@example.com", from); err != nil {
			t.Fatal(err)
		}
		if err := s.AskReset(ctx, "nobody@example.com", from); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if l := <-letters; l.Kind != vpn.LetterReset || l.To != "user@example.com" {
			t.Errorf("letter %+v", l)
		}
	}
	b.signIn("user@example.com", "phone")
	b.pass(20 * time.Minute)
	if err := s.AskReset(ctx, "user@example.com", home); err != nil {
		t.Fatal(err)
	}
	l := <-letters
	if err := s.RedeemPasswordReset(ctx, l.Token, "another one", true); err != nil {
		t.Fatal(err)
	}
	if devices, err := b.store.Devices(ctx, b.user.ID); err != nil || len(devices) != 1 {
		t.Errorf("devices %v, %v", devices, err)
	}
	b.refused(s.CheckPasswordReset(ctx, l.Token), vpn.CodeResetInvalid)
	select {
	case l := <-letters:
		t.Errorf("one letter too many: %+v", l)
	default:
	}
}
