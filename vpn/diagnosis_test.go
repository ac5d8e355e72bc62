package vpn_test

import (
	"testing"
	"time"

	"stile/vpn"
)

// What a diagnosis says is what IssueKey says, whatever is in the way, and nothing is changed by asking.
func TestDiagnosisSaysWhatIssueKeySays(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	b.addServer("Premium 2", 2)
	diagnose := func(device, server int64) vpn.Diagnosis {
		t.Helper()
		d, err := b.Diagnose(ctx, shell, b.user.ID, device, server)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := diagnose(0, 0); d.Code != vpn.CodeNoDevice {
		t.Errorf("nobody signed in: %+v", d)
	}
	if d := diagnose(7, 0); d.Code != vpn.CodeDeviceNotFound {
		t.Errorf("another device: %+v", d)
	}
	a, session := b.signIn("user@example.com", "one")
	same := func(name string, server int64, want vpn.Code) {
		t.Helper()
		d := diagnose(a.Device.ID, server)
		b.pass(2 * time.Second) // past every cache
		_, err := b.IssueKey(ctx, b.authenticate(session.Token), vpn.IssueKey{ServerID: server})
		if d.Code != want || vpn.CodeOf(err) != want {
			t.Errorf("%s: diagnosis %q, IssueKey %v, want %q", name, d.Code, err, want)
		}
	}
	same("all is well", 1, "")
	same("no such server", 9, vpn.CodeServerNotFound)
	same("a better plan's server", 2, vpn.CodePlanUpgradeRequired)
	if d := diagnose(0, 0); d.Code != "" {
		t.Errorf("a key that works: %+v", d)
	}
	b.nodes.mu.Lock()
	b.nodes.live[1] = vpn.NodeLive{}
	b.nodes.mu.Unlock()
	b.pass(2 * time.Second)
	same("offline", 1, vpn.CodeServerOffline)
	if d := diagnose(0, 0); d.Code != vpn.CodeNoServer {
		t.Errorf("no server is left: %+v", d)
	}
	b.nodes.mu.Lock()
	b.nodes.live[1] = vpn.NodeLive{IsOnline: true}
	b.nodes.isDeaf = true
	b.nodes.mu.Unlock()
	b.pass(2 * time.Second)
	if d := diagnose(0, 1); d.Code != vpn.CodeKeyPending || d.ServerID != 1 || d.DeviceID != a.Device.ID {
		t.Errorf("a node that does not confirm: %+v", d)
	}
	b.nodes.isDeaf = false
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.SetServerState(ctx, shell, 1, vpn.ServerMaintenance))
	same("maintenance", 1, vpn.CodeServerMaintenance)
	must(b.SetExpiry(ctx, shell, b.user.ID, b.now.AddDate(0, 0, -10)))
	same("expired, before the server", 1, vpn.CodeSubscriptionExpired)
	must(b.SetUserStatus(ctx, shell, b.user.ID, vpn.UserBlocked))
	same("blocked, before the expiry", 1, vpn.CodeAccountBlocked)
	_, err := b.Diagnose(ctx, shell, b.user.ID+100, 0, 0)
	b.refused(err, vpn.CodeNotFound)
}

// Support extends up to two weeks from now, however often it tries.
func TestSupportExtendsWithinItsBound(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	support := &vpn.Actor{User: vpn.User{ID: 1000, Role: vpn.RoleSupport, Status: vpn.UserActive}}
	if err := b.SetExpiry(ctx, shell, b.user.ID, b.now.AddDate(0, 0, -1)); err != nil {
		t.Fatal(err)
	}
	sub, err := b.Extend(ctx, support, b.user.ID, 10)
	if err != nil || !sub.ExpiresAt.Equal(b.now.AddDate(0, 0, 10)) {
		t.Fatalf("%v, %v", sub.ExpiresAt, err)
	}
	_, err = b.Extend(ctx, support, b.user.ID, 5)
	b.refused(err, vpn.CodeValidationFailed)
	if _, err = b.Extend(ctx, support, b.user.ID, vpn.HelpDays-10); err != nil {
		t.Error(err)
	}
	_, err = b.Extend(ctx, support, b.user.ID, 1)
	b.refused(err, vpn.CodeValidationFailed)
	_, err = b.Subscribe(ctx, support, b.user.ID, "standard", 1)
	b.refused(err, vpn.CodeForbidden)
	if _, err = b.Extend(ctx, shell, b.user.ID, 365); err != nil {
		t.Error(err)
	}
	for _, days := range []int{0, -1, 36_501} {
		_, err = b.Extend(ctx, shell, b.user.ID, days)
		b.refused(err, vpn.CodeValidationFailed)
	}
}

func TestBulk(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	ids := []int64{b.user.ID, 999, b.user.ID}
	for range 40 {
		ids = append(ids, b.addUser(number(int64(len(ids)))+"@example.com").ID)
	}
	out, err := b.Bulk(ctx, shell, vpn.Bulk{Action: vpn.BulkBlock, IDs: ids})
	if err != nil || len(out) != len(ids)-1 || out[0] != (vpn.BulkOutcome{ID: b.user.ID}) || out[1] != (vpn.BulkOutcome{ID: 999, Code: vpn.CodeNotFound}) {
		t.Fatalf("%+v, %v", out, err)
	}
	for _, o := range out[2:] {
		if u, err := b.store.User(ctx, o.ID); err != nil || u.Status != vpn.UserBlocked || o.Code != "" {
			t.Errorf("%+v: %s, %v", o, u.Status, err)
		}
	}
	_, err = b.Bulk(ctx, shell, vpn.Bulk{Action: vpn.BulkBlock})
	b.refused(err, vpn.CodeValidationFailed)
	_, err = b.Bulk(ctx, shell, vpn.Bulk{Action: vpn.BulkBlock, IDs: make([]int64, vpn.MaxBulk+1)})
	b.refused(err, vpn.CodeValidationFailed)
	_, err = b.Bulk(ctx, shell, vpn.Bulk{Action: "erase", IDs: ids})
	b.refused(err, vpn.CodeValidationFailed)
	_, err = b.Bulk(ctx, shell, vpn.Bulk{Action: vpn.BulkPlan, Plan: "none", Periods: 1, IDs: ids})
	b.refused(err, vpn.CodeValidationFailed)
	if out, err := b.Bulk(ctx, shell, vpn.Bulk{Action: vpn.BulkExtend, Days: 3, IDs: ids[:1]}); err != nil || out[0].Code != "" {
		t.Errorf("%+v, %v", out, err)
	}
	support := &vpn.Actor{User: vpn.User{ID: 1000, Role: vpn.RoleSupport, Status: vpn.UserActive}}
	_, err = b.Bulk(ctx, support, vpn.Bulk{Action: vpn.BulkExtend, Days: 3, IDs: ids})
	b.refused(err, vpn.CodeForbidden)
}

func TestPasswordReset(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.signIn("user@example.com", "one")
	secret, _, err := b.ResetPassword(ctx, shell, b.user.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.refused(b.RedeemPasswordReset(ctx, secret, "short", false), vpn.CodeValidationFailed)
	b.refused(b.RedeemPasswordReset(ctx, secret+"x", "password456", false), vpn.CodeResetInvalid)
	if err := b.RedeemPasswordReset(ctx, secret, "password456", false); err != nil {
		t.Fatal(err)
	}
	b.refused(b.RedeemPasswordReset(ctx, secret, "password789", false), vpn.CodeResetInvalid)
	if devices, err := b.Devices(ctx, a); err != nil || len(devices) != 0 {
		t.Errorf("still signed in: %v, %v", devices, err)
	}
	late, _, err := b.ResetPassword(ctx, shell, b.user.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.pass(25 * time.Hour)
	b.refused(b.RedeemPasswordReset(ctx, late, "password789", false), vpn.CodeResetInvalid)
	support := &vpn.Actor{User: vpn.User{ID: 1000, Role: vpn.RoleSupport, Status: vpn.UserActive}}
	if _, _, err := b.ResetPassword(ctx, support, b.user.ID); err != nil {
		t.Error(err)
	}
	if err := b.SetRole(ctx, shell, b.user.ID, vpn.RoleViewer); err != nil {
		t.Fatal(err)
	}
	if err := b.SetRole(ctx, shell, b.user.ID, vpn.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	_, _, err = b.ResetPassword(ctx, support, b.user.ID)
	b.refused(err, vpn.CodeForbidden)
}
