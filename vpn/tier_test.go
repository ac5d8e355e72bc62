package vpn_test

import (
	"testing"
	"time"

	"stile/vpn"
)

// tierBench is a bench with a plan "premium" of tier 2, which the user has, and a server of tier 2 (id 2).
func tierBench(t *testing.T) (*bench, *interposed, *vpn.Service, vpn.Server) {
	t.Helper()
	b, store, other := peers(t)
	premium := vpn.Plan{Code: "premium", Name: vpn.Text{EN: "Premium"}, Tier: 2, PeriodDays: 30, DeviceLimit: 2}
	if _, err := b.AddPlan(t.Context(), shell, premium); err != nil {
		t.Fatal(err)
	}
	server := b.addServer("Oslo 1", 2)
	b.subscribe("premium")
	return b, store, other, server
}

func (b *bench) subscribe(plan string) {
	b.t.Helper()
	if _, err := b.Subscribe(b.t.Context(), shell, b.user.ID, plan, 1); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) issue(a *vpn.Actor, serverID int64) vpn.Key {
	b.t.Helper()
	issued, err := b.IssueKey(b.t.Context(), a, vpn.IssueKey{ServerID: serverID})
	if err != nil {
		b.t.Fatal(err)
	}
	return issued.Key
}

// worksIs fails unless nodes honour a key now, or do not.
func (b *bench) worksIs(what string, keyID int64, want bool) {
	b.t.Helper()
	key, err := b.store.Key(b.t.Context(), keyID)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	if works := key.NotAfter.IsZero() || key.NotAfter.After(b.now); works != want {
		b.t.Errorf("%s: works: %v (until %v)", what, works, key.NotAfter)
	}
}

func TestKeysFollowTheTier(t *testing.T) {
	b, _, _, server := tierBench(t)
	ctx := t.Context()
	a, _ := b.signIn("user@example.com", "phone")
	low, high := b.issue(a, 1), b.issue(a, 2)
	locked := func(what string) {
		t.Helper()
		b.worksIs(what, low.ID, true)
		b.worksIs(what, high.ID, false)
		_, err := b.IssueKey(ctx, a, vpn.IssueKey{ServerID: 2})
		b.refused(err, vpn.CodePlanUpgradeRequired)
		_, err = b.DynamicKey(ctx, high.ID, high.Seed.DynamicToken())
		b.refused(err, vpn.CodePlanUpgradeRequired)
	}
	open := func(what string) {
		t.Helper()
		b.worksIs(what, low.ID, true)
		b.worksIs(what, high.ID, true)
		if again := b.issue(a, 2); again.ID != high.ID || again.Seed != high.Seed {
			t.Errorf("%s: another key", what)
		}
	}
	update := func(tier int) {
		t.Helper()
		b.now = b.now.Add(time.Second) // an update of its own
		server.Tier = tier
		if err := b.UpdateServer(ctx, shell, server); err != nil {
			t.Fatal(err)
		}
	}
	open("at first")
	b.subscribe("standard")
	locked("moved to a plan of a lower tier")
	b.subscribe("premium")
	open("moved back")
	lowBefore, err := b.store.Key(ctx, low.ID)
	if err != nil {
		t.Fatal(err)
	}
	update(3)
	locked("the server's tier raised")
	update(2)
	open("and lowered")
	plan, err := b.store.PlanByCode(ctx, "premium")
	if err != nil {
		t.Fatal(err)
	}
	plan.Tier = 1
	if err := b.UpdatePlan(ctx, shell, plan); err != nil {
		t.Fatal(err)
	}
	locked("the plan's tier lowered")
	plan.Tier = 2
	if err := b.UpdatePlan(ctx, shell, plan); err != nil {
		t.Fatal(err)
	}
	open("and raised")
	if key, err := b.store.Key(ctx, low.ID); err != nil || key != lowBefore {
		t.Errorf("the key on the other server was touched: %+v, was %+v; %v", key, lowBefore, err)
	}
}

func TestNoKeyIsIssuedWhileAPeerRaisesTheTier(t *testing.T) {
	b, store, other, server := tierBench(t)
	a, _ := b.signIn("user@example.com", "phone")
	server.Tier = 3
	store.beforeIssue = func() {
		if err := other.UpdateServer(t.Context(), shell, server); err != nil {
			t.Error(err)
		}
	}
	_, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 2})
	b.refused(err, vpn.CodePlanUpgradeRequired)
	b.hasNoKey(a, 2)
	// A service that has not heard of the new tier makes none either.
	_, err = b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 2})
	b.refused(err, vpn.CodePlanUpgradeRequired)
	b.hasNoKey(a, 2)
}

func TestNoKeyIsIssuedWhileAPeerLowersThePlan(t *testing.T) {
	b, store, other, _ := tierBench(t)
	a, _ := b.signIn("user@example.com", "phone")
	store.beforeIssue = func() {
		if _, err := other.Subscribe(t.Context(), shell, b.user.ID, "standard", 1); err != nil {
			t.Error(err)
		}
	}
	_, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 2})
	b.refused(err, vpn.CodePlanUpgradeRequired)
	b.hasNoKey(a, 2)
}
