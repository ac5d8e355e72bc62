package vpn_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// passkey makes one of the actor's.
func (b *bench) passkey(a *vpn.Actor, credential string) error {
	b.t.Helper()
	challenge, _, err := b.BeginPasskey(b.t.Context(), a, "password123", home)
	if err != nil {
		return err
	}
	return b.AddPasskey(b.t.Context(), a, challenge, vpn.Passkey{Credential: []byte(credential), PublicKey: []byte{1}, Name: credential})
}

// holds is a signature that holds.
func holds(*vpn.Passkey) (uint32, error) { return 0, nil }

func TestPasskeys(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.browse()
	hook := b.webhook("user.*")
	_, _, err := b.BeginPasskey(ctx, a, "wrong", home)
	b.refused(err, vpn.CodeInvalidCredentials)
	if err := b.passkey(a, "first"); err != nil {
		t.Fatal(err)
	}
	if told := b.told(hook.ID); len(told) != 1 || told[0] != "user.passkey_add" {
		t.Errorf("told of %q", told)
	}
	b.refused(b.passkey(a, "first"), vpn.CodePasskeyInvalid)
	b.refused(b.passkey(a, ""), vpn.CodeValidationFailed)
	b.refused(b.passkey(a, strings.Repeat("x", 256)), vpn.CodeValidationFailed)
	stranger := &vpn.Actor{User: b.addUser("stranger@example.com")}
	challenge, kept, err := b.BeginPasskey(ctx, a, "password123", home)
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	p := vpn.Passkey{Credential: []byte("second"), PublicKey: []byte{1}, Name: "second"}
	b.refused(b.AddPasskey(ctx, stranger, challenge, p), vpn.CodePasskeyInvalid)
	long := p
	long.Credential = make([]byte, 1024)
	b.refused(b.AddPasskey(ctx, a, challenge, long), vpn.CodePasskeyInvalid)
	b.now = b.now.Add(5 * time.Minute)
	b.refused(b.AddPasskey(ctx, a, challenge, p), vpn.CodePasskeyInvalid)
	all, err := b.Passkeys(ctx, a)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	b.refused(b.RenamePasskey(ctx, stranger, all[0].ID, "x"), vpn.CodeNotFound)
	b.refused(b.RenamePasskey(ctx, a, all[0].ID, " "), vpn.CodeValidationFailed)
	b.refused(b.RemovePasskey(ctx, stranger, all[0].ID), vpn.CodeNotFound)
	for _, change := range []error{b.RenamePasskey(ctx, a, all[0].ID, "My phone"), b.RemovePasskey(ctx, a, all[0].ID)} {
		if change != nil {
			t.Error(change)
		}
	}
	b.now = b.now.Add(time.Minute)
	if err := b.passkey(a, "third"); err != nil {
		t.Fatal(err)
	}
	b.refused(b.ResetPasskeys(ctx, stranger, b.user.ID), vpn.CodeForbidden)
	if account, err := b.Account(ctx, shell, b.user.ID); err != nil || account.Passkeys != 1 || account.Factor.IsOn() {
		t.Errorf("account %+v, %v", account, err)
	}
	if err := b.ResetPasskeys(ctx, shell, b.user.ID); err != nil {
		t.Fatal(err)
	}
	b.refused(b.ResetPasskeys(ctx, shell, b.user.ID), vpn.CodeNotFound)
	for i := range 20 {
		b.now = b.now.Add(time.Minute)
		if err := b.passkey(a, number(int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	b.refused(b.passkey(a, "one too many"), vpn.CodeConflict)
}

// A passkey is a whole sign-in, also where the password would need a code, and each answer to a challenge counts once.
func TestPasskeySignIn(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.browse()
	if err := b.passkey(a, "mine"); err != nil {
		t.Fatal(err)
	}
	b.turnOn(a)
	enter := func(credential string, challenge []byte, verify func(*vpn.Passkey) (uint32, error)) (string, error) {
		return b.SignInPasskey(ctx, vpn.PasskeySignIn{Credential: []byte(credential), Challenge: challenge, Address: home, Verify: verify})
	}
	ask := func() []byte {
		challenge, err := b.BeginPasskeySignIn(home)
		if err != nil {
			t.Fatal(err)
		}
		return challenge
	}
	challenge := ask()
	secret, err := enter("mine", challenge, holds)
	if err != nil {
		t.Fatal(err)
	}
	if in, err := b.Browser(ctx, secret); err != nil || in.User.ID != b.user.ID {
		t.Errorf("%+v, %v", in, err)
	}
	_, err = enter("mine", challenge, holds)
	b.refused(err, vpn.CodePasskeyInvalid)
	own, _, err := b.BeginPasskey(ctx, a, "password123", home)
	if err != nil {
		t.Fatal(err)
	}
	late := ask()
	for what, bad := range map[string]func() error{
		"a challenge for a new passkey": func() error { _, err := enter("mine", own, holds); return err },
		"a forged challenge":            func() error { _, err := enter("mine", make([]byte, 44), holds); return err },
		"an unknown passkey":            func() error { _, err := enter("theirs", ask(), holds); return err },
		"a wrong signature": func() error {
			_, err := enter("mine", ask(), func(*vpn.Passkey) (uint32, error) { return 0, errors.New("wrong") })
			return err
		},
	} {
		if err := bad(); vpn.CodeOf(err) != vpn.CodePasskeyInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.now = b.now.Add(5 * time.Minute)
	_, err = enter("mine", late, holds)
	b.refused(err, vpn.CodePasskeyInvalid)
	if err := b.SetUserStatus(ctx, shell, b.user.ID, vpn.UserBlocked); err != nil {
		t.Fatal(err)
	}
	_, err = enter("mine", ask(), holds)
	b.refused(err, vpn.CodeAccountBlocked)

	// Wrong answers are failures of the sign-in throttle.
	b.now = b.now.Add(time.Minute)
	for range 5 {
		_, err = enter("mine", nil, holds)
		b.refused(err, vpn.CodePasskeyInvalid)
	}
	_, err = enter("mine", ask(), holds)
	b.refused(err, vpn.CodeTooManyAttempts)
}
