package vpn_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

func TestSettings(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	defaults := vpn.Settings{Brand: "Stile", SignUp: vpn.SignUpClosed}
	if got := b.Settings(ctx); got != defaults {
		t.Errorf("at first %+v", got)
	}
	want := vpn.Settings{
		Brand: strings.Repeat("я", 45), SignUp: vpn.SignUpOpen, MailFrom: "VPN <vpn@example.net>",
		Links: vpn.Links{Account: "https://example.net/a", Renew: "http://example.net/r", Support: "mailto:help@example.net"},
	}
	if err := b.SetSettings(ctx, shell, want); err != nil {
		t.Fatal(err)
	}
	if got := b.Settings(ctx); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for field, wrong := range map[string]vpn.Settings{
		"brand":       {Brand: strings.Repeat("я", 46)},
		"account_url": {Links: vpn.Links{Account: "mailto:help@example.net"}},
		"renew_url":   {Links: vpn.Links{Renew: "javascript:alert(1)"}},
		"support_url": {Links: vpn.Links{Support: "https://x/" + strings.Repeat("x", 1024)}},
		"sign_up":     {SignUp: "sometimes"},
		"mail_from":   {MailFrom: "a@example.net, b@example.net"},
	} {
		err := b.SetSettings(ctx, shell, wrong)
		b.refused(err, vpn.CodeValidationFailed)
		if !strings.Contains(err.Error(), field+" ") {
			t.Errorf("%v, want %s", err, field)
		}
	}
	if got := b.Settings(ctx); got != want {
		t.Errorf("a refusal changed %+v", got)
	}
	if err := b.SetSettings(ctx, shell, vpn.Settings{}); err != nil {
		t.Fatal(err)
	}
	if got := b.Settings(ctx); got != defaults {
		t.Errorf("not the defaults: %+v", got)
	}
}

// A flag wins over the database, and what it sets can't be changed; all else can.
func TestFixedSettings(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	if err := b.SetSettings(ctx, shell, vpn.Settings{Brand: "Kept", SignUp: vpn.SignUpVoucher}); err != nil {
		t.Fatal(err)
	}
	s := vpn.NewService(b.store, b.nodes, plainPasswords{}, vpn.Config{
		Now: b.clock, Fixed: vpn.Settings{Brand: "Fixed", MailFrom: "vpn@example.net"}, Post: func(context.Context, vpn.Letter) error { return nil },
		Defaults: vpn.Settings{Links: vpn.Links{Account: "https://example.net/account"}},
	})
	v, err := s.ViewSettings(ctx, shell)
	if err != nil {
		t.Fatal(err)
	}
	inForce := vpn.Settings{
		Brand: "Fixed", SignUp: vpn.SignUpVoucher, MailFrom: "vpn@example.net", Links: vpn.Links{Account: "https://example.net/account"},
	}
	if v.Kept.Brand != "Kept" || v.InForce != inForce || s.Settings(ctx) != inForce || !v.SendsMail || !reflect.DeepEqual(v.Fixed, []string{"brand", "mail_from"}) {
		t.Errorf("%+v", v)
	}
	change := v.Kept
	change.SignUp = vpn.SignUpOpen
	if err := s.SetSettings(ctx, shell, change); err != nil {
		t.Error(err)
	}
	change.Brand = "Other"
	err = s.SetSettings(ctx, shell, change)
	b.refused(err, vpn.CodeValidationFailed)
	if err.Error() != "validation_failed: brand (fixed)" {
		t.Error(err)
	}
}

// What one replica sets, it honours at once, and another within a second.
func TestOtherReplicasFollowSettingsWithinASecond(t *testing.T) {
	b, other := replicas(t)
	ctx := t.Context()
	for _, mode := range []vpn.SignUpMode{vpn.SignUpOpen, vpn.SignUpClosed} {
		other.Settings(ctx)
		if err := b.SetSettings(ctx, shell, vpn.Settings{SignUp: mode}); err != nil {
			t.Fatal(err)
		}
		if got := b.Settings(ctx).SignUp; got != mode {
			t.Errorf("here %q, want %q", got, mode)
		}
		b.now = b.now.Add(time.Second)
		if got := other.Settings(ctx).SignUp; got != mode {
			t.Errorf("on another replica %q, want %q", got, mode)
		}
	}
}
