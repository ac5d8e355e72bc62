package vpn_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"stile/store/storetest"
	"stile/vpn"
)

// interposed is a store that lets a test act at the moment before a write, as another process may.
type interposed struct {
	vpn.Store
	beforeIssue, beforeRefresh, beforeSignIn, beforeRehash, beforeSubscription func()
	// broken is a user whose keys cannot be refreshed.
	broken int64
}

// once calls a hook and forgets it.
func once(hook *func()) {
	if f := *hook; f != nil {
		*hook = nil
		f()
	}
}

func (i *interposed) IssueKey(ctx context.Context, k vpn.NewKey, a vpn.Audit) (vpn.Key, error) {
	once(&i.beforeIssue)
	return i.Store.IssueKey(ctx, k, a)
}

func (i *interposed) RefreshKeys(ctx context.Context, userID int64, terms vpn.KeyTerms) ([]vpn.NodeRev, error) {
	once(&i.beforeRefresh)
	if userID == i.broken {
		return nil, errors.New("broken")
	}
	return i.Store.RefreshKeys(ctx, userID, terms)
}

func (i *interposed) SignIn(ctx context.Context, s vpn.NewSession, a vpn.Audit) (vpn.SignedIn, error) {
	once(&i.beforeSignIn)
	return i.Store.SignIn(ctx, s, a)
}

func (i *interposed) Rehash(ctx context.Context, userID int64, old, hash string, a vpn.Audit) error {
	once(&i.beforeRehash)
	return i.Store.Rehash(ctx, userID, old, hash, a)
}

func (i *interposed) ChangeSubscription(ctx context.Context, userID int64, rule vpn.SubscriptionRule, a vpn.Audit) (vpn.Subscription, error) {
	once(&i.beforeSubscription)
	return i.Store.ChangeSubscription(ctx, userID, rule, a)
}

// peers is a bench with a second service on its database, as the command line is beside the running service.
func peers(t *testing.T) (b *bench, store *interposed, other *vpn.Service) {
	t.Helper()
	b = setup(t)
	store = &interposed{Store: b.store}
	cfg := vpn.Config{Now: func() time.Time { return b.now }, KeyWait: 50 * time.Millisecond}
	b.Service = vpn.NewService(store, b.nodes, plainPasswords{}, cfg)
	return b, store, vpn.NewService(b.store, b.nodes, plainPasswords{}, cfg)
}

// suspended reports whether the key of a device on server 1 is one that no node honours now.
func (b *bench) suspended(deviceID int64) bool {
	b.t.Helper()
	key, err := b.store.DeviceKey(b.t.Context(), deviceID, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	return !key.NotAfter.IsZero() && !key.NotAfter.After(b.now)
}

// hasNoKey fails if the actor's device has a live key on a server.
func (b *bench) hasNoKey(a *vpn.Actor, serverID int64) {
	b.t.Helper()
	if key, err := b.store.DeviceKey(b.t.Context(), a.Device.ID, serverID); !errors.Is(err, vpn.ErrNotFound) {
		b.t.Errorf("there is a key: %+v, %v", key, err)
	}
}

func TestNoKeyIsIssuedWhileAPeerBlocksTheUser(t *testing.T) {
	b, store, other := peers(t)
	a, _ := b.signIn("user@example.com", "phone")
	store.beforeIssue = func() {
		if err := other.SetUserStatus(t.Context(), shell, b.user.ID, vpn.UserBlocked); err != nil {
			t.Error(err)
		}
	}
	_, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 1})
	b.refused(err, vpn.CodeAccountBlocked)
	b.hasNoKey(a, 1)
}

// TestNoKeyOutlivesAPeersBlock has one process issue the keys of many devices just when another blocks their user.
func TestNoKeyOutlivesAPeersBlock(t *testing.T) {
	dsn := storetest.Postgres(t)
	b := setupOn(t, dsn)
	plan, err := b.store.PlanByCode(t.Context(), "standard")
	if err != nil {
		t.Fatal(err)
	}
	plan.DeviceLimit = 5
	if err := b.UpdatePlan(t.Context(), shell, plan); err != nil {
		t.Fatal(err)
	}
	far := b.open(dsn)
	other := vpn.NewService(far, b.nodes, plainPasswords{}, vpn.Config{Now: b.clock})
	var devices []*vpn.Actor
	for i := range 5 {
		a, _ := b.signIn("user@example.com", strconv.Itoa(i))
		devices = append(devices, a)
	}
	for round := range 40 {
		var busy sync.WaitGroup
		for _, a := range devices {
			busy.Go(func() {
				_, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 1, Rotate: round%2 == 0})
				if err != nil && vpn.CodeOf(err) != vpn.CodeAccountBlocked {
					t.Error(err)
				}
			})
		}
		busy.Go(func() {
			if err := other.SetUserStatus(t.Context(), shell, b.user.ID, vpn.UserBlocked); err != nil {
				t.Error(err)
			}
		})
		busy.Wait()
		for _, a := range devices {
			key, err := far.DeviceKey(t.Context(), a.Device.ID, 1)
			if err == nil && (key.NotAfter.IsZero() || key.NotAfter.After(b.now)) {
				t.Fatalf("round %d: a key of a blocked user works: %+v", round, key)
			}
		}
		if err := other.SetUserStatus(t.Context(), shell, b.user.ID, vpn.UserActive); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(time.Minute) // beyond what is kept, and what is throttled
	}
}

func TestRefreshNeverOutlivesAPeersBlock(t *testing.T) {
	b, store, other := peers(t)
	a, in := b.signIn("user@example.com", "phone")
	if _, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 1}); err != nil {
		t.Fatal(err)
	}
	store.beforeRefresh = func() {
		if err := other.SetUserStatus(t.Context(), shell, b.user.ID, vpn.UserBlocked); err != nil {
			t.Error(err)
		}
	}
	if err := b.SetExpiry(t.Context(), shell, b.user.ID, b.now.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.suspended(in.DeviceID) {
		t.Error("the key of a blocked user works")
	}
}

func TestSignInNeverOutlivesANewPassword(t *testing.T) {
	b, store, other := peers(t)
	store.beforeSignIn = func() {
		if err := other.SetPassword(t.Context(), shell, b.user.ID, "another password"); err != nil {
			t.Error(err)
		}
	}
	_, err := b.SignIn(t.Context(), vpn.SignIn{Email: "user@example.com", Password: "password123", ClientID: "phone", DeviceName: "phone"})
	b.refused(err, vpn.CodeInvalidCredentials)
	devices, err := b.store.Devices(t.Context(), b.user.ID)
	if err != nil || len(devices) != 0 {
		t.Errorf("signed in with the old password: %d devices, %v", len(devices), err)
	}
}

func TestRehashNeverBringsAnOldPasswordBack(t *testing.T) {
	b, store, other := peers(t)
	if _, err := b.store.SetPasswordHash(t.Context(), b.user.ID, "weak:password123", false, vpn.Audit{Action: "test"}); err != nil {
		t.Fatal(err)
	}
	store.beforeRehash = func() {
		if err := other.SetPassword(t.Context(), shell, b.user.ID, "another password"); err != nil {
			t.Error(err)
		}
	}
	_, err := b.SignIn(t.Context(), vpn.SignIn{Email: "user@example.com", Password: "password123", ClientID: "phone", DeviceName: "phone"})
	b.refused(err, vpn.CodeInvalidCredentials)
	if cred, err := b.store.Credentials(t.Context(), "user@example.com"); err != nil || cred.PasswordHash != "plain:another password" {
		t.Errorf("the hash is %q, %v", cred.PasswordHash, err)
	}
}

func TestSweepPassesAUserWhoseKeysAreBroken(t *testing.T) {
	b, store, other := peers(t)
	second := b.addUser("second@example.com")
	a, in := b.signIn("second@example.com", "phone")
	if _, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 1}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{b.user.ID, second.ID} { // by somebody who dies before the keys follow
		if err := b.store.SetUserStatus(t.Context(), id, vpn.UserBlocked, vpn.Audit{Action: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	store.broken = b.user.ID
	if err := b.Sweep(t.Context()); err == nil {
		t.Error("the sweep tells nothing of the broken user")
	}
	if !b.suspended(in.DeviceID) {
		t.Error("the second user's key works")
	}
	if err := other.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRenewalKeepsTrafficBookedMeanwhile(t *testing.T) {
	b, store, _ := peers(t)
	a, _ := b.signIn("user@example.com", "phone")
	issued, err := b.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 1})
	if err != nil {
		t.Fatal(err)
	}
	store.beforeSubscription = func() {
		report := vpn.UsageReport{NodeID: 1, Stream: 7, Seq: 1, Entries: []vpn.UsageEntry{{KeyID: issued.Key.ID, Up: 300, Down: 100}}}
		if _, _, _, err := b.store.ApplyUsage(t.Context(), report, b.now); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Subscribe(t.Context(), shell, b.user.ID, "standard", 1); err != nil {
		t.Fatal(err)
	}
	account, err := b.Account(t.Context(), shell, b.user.ID)
	if err != nil || account.Traffic.Used != 400 {
		t.Errorf("%d bytes are counted, want 400; %v", account.Traffic.Used, err)
	}
}
