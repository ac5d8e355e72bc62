package vpn_test

import (
	"testing"
	"time"

	"stile/vpn"
)

func TestExpiryFarAway(t *testing.T) {
	b := setup(t)
	b.now = b.now.Add(time.Second)
	for _, c := range []struct {
		at   time.Time
		want vpn.SubscriptionStatus
		days int
	}{
		{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), vpn.SubscriptionActive, 2_912_199},
		{time.Unix(0, 0), vpn.SubscriptionExpired, 0}, // stored as 0, it would be for life
		{time.Time{}, vpn.SubscriptionExpired, 0},
	} {
		if err := b.SetExpiry(t.Context(), shell, b.user.ID, c.at); err != nil {
			t.Fatal(err)
		}
		a, err := b.Account(t.Context(), shell, b.user.ID)
		if err != nil {
			t.Fatal(err)
		}
		if days, ok := a.Entitlement.DaysLeft(b.now); a.Status != c.want || days != c.days || !ok {
			t.Errorf("ends %v: %v, %d days left, %v; want %v, %d", c.at, a.Status, days, ok, c.want, c.days)
		}
	}
}

// What is given again and again ends before there are no instants any more that can be written (RFC 3339), grace included.
func TestNoEndBeyondAllInstants(t *testing.T) {
	b := setup(t)
	ends := func() time.Time {
		a, err := b.Account(t.Context(), shell, b.user.ID)
		if err != nil {
			t.Fatal(err)
		}
		return a.Entitlement.Subscription.ExpiresAt
	}
	for range 3 {
		if _, err := b.Subscribe(t.Context(), shell, b.user.ID, "standard", 1200); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := ends(), b.now.AddDate(0, 0, 36_500); !got.Equal(want) {
		t.Errorf("36,000 days three times end %v, want %v", got, want)
	}
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	if err := b.SetExpiry(t.Context(), shell, b.user.ID, last); err != nil {
		t.Fatal(err)
	}
	b.refused(b.SetExpiry(t.Context(), shell, b.user.ID, last.Add(time.Second)), vpn.CodeValidationFailed)
	if _, err := b.Subscribe(t.Context(), shell, b.user.ID, "standard", 1); err != nil || !ends().Equal(last) {
		t.Errorf("a period more ends %v, %v; want %v", ends(), err, last)
	}
	a, _ := b.signIn("user@example.com", "phone")
	if issued, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 1}); err != nil || !issued.Key.NotAfter.Equal(last) {
		t.Errorf("the key ends %v, %v; want %v", issued.Key.NotAfter, err, last)
	}
}

func TestSubscribeRefusesMoreTimeThanThereIs(t *testing.T) {
	b := setup(t)
	long := vpn.Plan{Code: "long", Name: vpn.Text{EN: "Long"}, PeriodDays: 3650, DeviceLimit: 1}
	if _, err := b.AddPlan(t.Context(), shell, long); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Subscribe(t.Context(), shell, b.user.ID, "long", 10); err != nil {
		t.Fatal(err)
	}
	_, err := b.Subscribe(t.Context(), shell, b.user.ID, "long", 11)
	b.refused(err, vpn.CodeValidationFailed)
}

func TestPlanThatBeginsToCountTrafficResetsIt(t *testing.T) {
	b := setup(t)
	plan, err := b.AddPlan(t.Context(), shell, vpn.Plan{Code: "free", Name: vpn.Text{EN: "Free"}, Tier: 1, DeviceLimit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Subscribe(t.Context(), shell, b.user.ID, "free", 1); err != nil {
		t.Fatal(err)
	}
	a, _ := b.signIn("user@example.com", "phone")
	issued, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 1})
	if err != nil {
		t.Fatal(err)
	}
	report := vpn.UsageReport{NodeID: 1, Stream: 7, Seq: 1, Entries: []vpn.UsageEntry{{KeyID: issued.Key.ID, Up: 2000}}}
	if _, err := b.RecordUsage(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	plan.TrafficLimit = 1000
	if err := b.UpdatePlan(t.Context(), shell, plan); err != nil {
		t.Fatal(err)
	}
	account, err := b.Account(t.Context(), shell, b.user.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := account.Traffic; got.Used != 0 || !got.ResetsAt.Equal(b.now.AddDate(0, 1, 0)) {
		t.Errorf("traffic %+v, want none used and an end of the period in a month", got)
	}
}
