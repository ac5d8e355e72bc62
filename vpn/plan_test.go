package vpn_test

import (
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// A subscription that begins with its first use waits, and its first key begins it, once.
func TestSubscriptionBeginsAtFirstUse(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	late := vpn.Plan{Code: "late", Name: vpn.Text{EN: "Late"}, Tier: 1, PeriodDays: 7, DeviceLimit: 2, StartsAtFirstUse: true}
	if _, err := b.AddPlan(ctx, shell, late); err != nil {
		t.Fatal(err)
	}
	b.subscribe("late")
	a, _ := b.signIn("user@example.com", "phone")
	b.now = b.now.AddDate(0, 1, 0)
	o, err := b.Overview(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	if days, ok := o.Entitlement.DaysLeft(b.now); o.Status != vpn.SubscriptionActive || !ok || days != 7 || !o.Access.Allowed {
		t.Errorf("waiting: %s, %d days, %+v", o.Status, days, o.Access)
	}
	b.subscribe("late") // a second period waits with the first
	for range 2 {
		key := b.issue(a, 1)
		if want := b.now.AddDate(0, 0, 14); !key.NotAfter.Equal(want) {
			t.Errorf("the key ends at %v, want %v", key.NotAfter, want)
		}
	}
	b.now = b.now.AddDate(0, 0, 14)
	_, err = b.IssueKey(ctx, a, vpn.IssueKey{ServerID: 1})
	b.refused(err, vpn.CodeSubscriptionExpired)
}

// When a subscription and its grace have ended, the plan that follows takes over, and the same key works on.
func TestNextPlanFollows(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	free, err := b.AddPlan(ctx, shell, vpn.Plan{Code: "free", Name: vpn.Text{EN: "Free"}, Tier: 1, DeviceLimit: 2, SpeedLimitMbps: 8})
	if err != nil {
		t.Fatal(err)
	}
	trial := vpn.Plan{Code: "trial", Name: vpn.Text{EN: "Trial"}, Tier: 1, PeriodDays: 3, GraceDays: 1, DeviceLimit: 2, IsTrial: true, NextPlanID: free.ID}
	if trial, err = b.AddPlan(ctx, shell, trial); err != nil {
		t.Fatal(err)
	}
	b.subscribe("trial")
	a, _ := b.signIn("user@example.com", "phone")
	key := b.issue(a, 1)
	b.now = b.now.Add(4*24*time.Hour - time.Millisecond)
	if err := b.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	b.worksIs("in its grace", key.ID, true)
	b.now = b.now.Add(time.Millisecond)
	b.worksIs("at the end", key.ID, false)
	if err := b.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	b.worksIs("on the next plan", key.ID, true)
	if now := b.issue(a, 1); now.ID != key.ID || now.Limits.DownBytesPerSecond != 1_000_000 {
		t.Errorf("the key is %+v", now)
	}
	for _, id := range []int64{trial.ID, trial.ID + 1000, -1} {
		trial.NextPlanID = id
		b.refused(b.UpdatePlan(ctx, shell, trial), vpn.CodeValidationFailed)
		trial.Code = "trial-2"
		_, err = b.AddPlan(ctx, shell, trial)
		if id != trial.ID {
			b.refused(err, vpn.CodeValidationFailed)
		}
	}
}

// Guessing vouchers is slowed down.
func TestVoucherGuessesAreThrottled(t *testing.T) {
	b := setup(t)
	a, _ := b.signIn("user@example.com", "phone")
	codes, err := b.AddVouchers(t.Context(), shell, vpn.NewVouchers{Plan: "standard", Periods: 1, Uses: 1, Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	before := b.entitled(a)
	for range 10 {
		_, err := b.RedeemVoucher(t.Context(), a, "0000")
		b.refused(err, vpn.CodeVoucherInvalid)
	}
	_, err = b.RedeemVoucher(t.Context(), a, codes[0])
	b.refused(err, vpn.CodeTooManyAttempts)
	b.now = b.now.Add(time.Minute)
	if _, err := b.RedeemVoucher(t.Context(), a, codes[0]); err != nil {
		t.Fatal(err)
	}
	if after := b.entitled(a); !after.Equal(before.AddDate(0, 0, 30)) {
		t.Errorf("ends at %v, before at %v", after, before)
	}
}

// entitled is the end of the actor's subscription.
func (b *bench) entitled(a *vpn.Actor) time.Time {
	b.t.Helper()
	account, err := b.Account(b.t.Context(), shell, a.User.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return account.Entitlement.Subscription.ExpiresAt
}

func TestVouchersAreChecked(t *testing.T) {
	b := setup(t)
	good := vpn.NewVouchers{Plan: "standard", Periods: 1, Uses: 1, Count: 1}
	for field, change := range map[string]func(*vpn.NewVouchers){
		"plan":    func(v *vpn.NewVouchers) { v.Plan = "none" },
		"periods": func(v *vpn.NewVouchers) { v.Periods = 1201 },
		"uses":    func(v *vpn.NewVouchers) { v.Uses = 1_000_001 },
		"count":   func(v *vpn.NewVouchers) { v.Count = 10_001 },
		"expires": func(v *vpn.NewVouchers) { v.ExpiresAt = b.now },
		"note":    func(v *vpn.NewVouchers) { v.Note = strings.Repeat("я", 256) },
	} {
		v := good
		change(&v)
		_, err := b.AddVouchers(t.Context(), shell, v)
		if refusal, ok := err.(*vpn.Error); !ok || refusal.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	a, _ := b.signIn("user@example.com", "phone")
	_, err := b.AddVouchers(t.Context(), a, good)
	b.refused(err, vpn.CodeForbidden)
	good.Note = strings.Repeat("я", 255) // characters, not bytes
	if _, err := b.AddVouchers(t.Context(), shell, good); err != nil {
		t.Error(err)
	}
}

// A new plan has a code that scripts can name. One of before keeps another code, which no other plan gets.
func TestPlanCodes(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	plan := func(code string) vpn.Plan {
		return vpn.Plan{Code: code, Name: vpn.Text{EN: "Plan"}, PeriodDays: 30, DeviceLimit: 1}
	}
	for _, code := range []string{" Gold ", "1.5-year_s", strings.Repeat("x", 64)} {
		if made, err := b.AddPlan(ctx, shell, plan(code)); err != nil || made.Code != strings.ToLower(strings.TrimSpace(code)) {
			t.Errorf("%q: %q, %v", code, made.Code, err)
		}
	}
	wrong := []string{"", " ", "a b", "a/b", "a\tb", "a\x00b", "-x", ".", "тариф", "x\u200b", strings.Repeat("x", 65)}
	for _, code := range wrong {
		_, err := b.AddPlan(ctx, shell, plan(code))
		b.refused(err, vpn.CodeValidationFailed)
	}
	older, err := b.store.AddPlan(ctx, plan("старый тариф"), vpn.Audit{Action: "plan.add"})
	if err != nil {
		t.Fatal(err)
	}
	older.DeviceLimit = 7
	if err := b.UpdatePlan(ctx, shell, older); err != nil {
		t.Errorf("a plan of before: %v", err)
	}
	b.subscribe(older.Code)
	for _, code := range wrong {
		renamed := older
		renamed.Code = code
		b.refused(b.UpdatePlan(ctx, shell, renamed), vpn.CodeValidationFailed)
	}
	renamed, err := b.store.PlanByCode(ctx, "gold")
	if err != nil {
		t.Fatal(err)
	}
	renamed.Code = older.Code
	b.refused(b.UpdatePlan(ctx, shell, renamed), vpn.CodeValidationFailed)
}

// What is no money, or money that went back, is no payment.
func TestPaymentsAreChecked(t *testing.T) {
	b := setup(t)
	good := vpn.NewPayment{ID: "pi_1", Email: b.user.Email, Plan: "standard"}
	for _, c := range []struct {
		amount          int64
		currency, field string
	}{
		{-1, "RUB", "amount"}, {-1, "", "amount"}, {1, "RU", "currency"}, {1, "RUBL", "currency"}, {1, "R1B", "currency"}, {1, "руб", "currency"}, {1, "\x00\x00\x00", "currency"},
	} {
		p := good
		p.Amount, p.Currency = c.amount, c.currency
		_, err := b.TakePayment(t.Context(), p)
		if refusal, ok := err.(*vpn.Error); !ok || refusal.Field != c.field {
			t.Errorf("%d %q: %v", c.amount, c.currency, err)
		}
	}
	good.Currency = "rub" // for nothing, as with a promotion
	if taken, err := b.TakePayment(t.Context(), good); err != nil || !taken.IsApplied || taken.Payment.Currency != "RUB" {
		t.Errorf("%+v, %v", taken, err)
	}
}
