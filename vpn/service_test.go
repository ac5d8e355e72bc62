package vpn_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"stile/store"
	"stile/vpn"
)

// nodes is a fleet that does what it is told at once, unless it is told not to.
type nodes struct {
	mu     sync.Mutex
	live   map[int64]vpn.NodeLive
	woken  []vpn.NodeRev
	isDeaf bool
}

func (n *nodes) Wake(changes ...vpn.NodeRev) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.woken = append(n.woken, changes...)
}

func (n *nodes) WaitApplied(ctx context.Context, _, _ int64) bool {
	if n.isDeaf {
		<-ctx.Done()
		return false
	}
	return true
}

func (n *nodes) HasApplied(int64, int64) bool { return !n.isDeaf }

func (*nodes) Refuses(int64, int64) bool { return false }

func (n *nodes) Live(id int64) vpn.NodeLive {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l, ok := n.live[id]; ok {
		return l
	}
	return vpn.NodeLive{IsOnline: true}
}

// plainPasswords hashes by a prefix: hashing has its own tests.
type plainPasswords struct{}

func (plainPasswords) Hash(_ context.Context, password string) (string, error) {
	return "plain:" + password, nil
}

func (plainPasswords) Verify(_ context.Context, hash, password string) (ok, weak bool, err error) {
	if password == "busy" {
		return false, false, vpn.ErrBusy
	}
	return hash == "plain:"+password || hash == "weak:"+password, hash == "weak:"+password, nil
}

func (plainPasswords) Reads(string) bool { return true }

// bench is a service on a real store, with a clock to turn.
type bench struct {
	*vpn.Service
	t     *testing.T
	store *store.Store
	nodes *nodes
	mu    sync.Mutex
	now   time.Time
	user  vpn.User
}

var shell = vpn.Shell()

// setup makes a service with a plan of two devices and 1,000 bytes, a subscribed user, and a server of tier 1 (id 1).
func setup(t *testing.T) *bench {
	t.Helper()
	return setupOn(t, filepath.Join(t.TempDir(), "stile.db"))
}

// setupOn is setup on a database of any engine.
func setupOn(t *testing.T, dsn string) *bench {
	t.Helper()
	b := &bench{t: t, nodes: &nodes{live: make(map[int64]vpn.NodeLive)}, now: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)}
	b.store = b.open(dsn)
	b.Service = vpn.NewService(b.store, b.nodes, plainPasswords{}, vpn.Config{Now: b.clock, KeyWait: 50 * time.Millisecond})
	plan := vpn.Plan{Code: "standard", Name: vpn.Text{RU: "Стандарт"}, Tier: 1, PeriodDays: 30, GraceDays: 3, DeviceLimit: 2, TrafficLimit: 1000}
	if _, err := b.AddPlan(t.Context(), shell, plan); err != nil {
		t.Fatal(err)
	}
	b.user = b.addUser("user@example.com")
	b.addServer("Amsterdam 1", 1)
	return b
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// pass lets time pass while others read the clock.
func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) open(dsn string) *store.Store {
	b.t.Helper()
	s, err := store.Open(b.t.Context(), store.Config{DSN: dsn, Now: b.clock})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (b *bench) addUser(email string) vpn.User {
	b.t.Helper()
	u, err := b.AddUser(b.t.Context(), shell, vpn.NewAccount{Email: email, Password: "password123"})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Subscribe(b.t.Context(), shell, u.ID, "standard", 1); err != nil {
		b.t.Fatal(err)
	}
	return u
}

func (b *bench) addServer(name string, tier int) vpn.Server {
	b.t.Helper()
	s, err := b.AddServer(b.t.Context(), shell, vpn.Server{
		Name: name, CountryCode: "nl", Host: "nl1.example.net", Tier: tier, Capacity: 10, ShadowsocksPort: 8388, ShadowsocksPorts: 16,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) signIn(email, client string) (*vpn.Actor, vpn.SignInResult) {
	b.t.Helper()
	r, err := b.SignIn(b.t.Context(), vpn.SignIn{Email: email, Password: "password123", ClientID: client, DeviceName: client})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.authenticate(r.Token), r
}

func (b *bench) authenticate(token string) *vpn.Actor {
	b.t.Helper()
	a, err := b.Authenticate(b.t.Context(), token)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func (b *bench) refused(err error, want vpn.Code) {
	b.t.Helper()
	if got := vpn.CodeOf(err); got != want {
		b.t.Errorf("refused with %q (%v), want %q", got, err, want)
	}
}

func TestSignInAndOut(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, first := b.signIn("  USER@example.com ", "uuid-1")
	if a.User.ID != b.user.ID || a.Device.ClientID != "uuid-1" || a.Device.ID != first.DeviceID {
		t.Errorf("the token stands for %+v", a)
	}
	_, again := b.signIn("user@example.com", "uuid-1")
	if again.DeviceID != first.DeviceID {
		t.Errorf("the same client device became device %d, was %d", again.DeviceID, first.DeviceID)
	}
	_, err := b.Authenticate(ctx, first.Token)
	b.refused(err, vpn.CodeUnauthenticated)
	if err := b.SignOut(ctx, b.authenticate(again.Token)); err != nil {
		t.Fatal(err)
	}
	_, err = b.Authenticate(ctx, again.Token)
	b.refused(err, vpn.CodeUnauthenticated)
	if devices, _ := b.Devices(ctx, a); len(devices) != 0 {
		t.Errorf("signed-out devices hold slots: %+v", devices)
	}
}

func TestSignInRefusals(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	home := netip.MustParseAddr("203.0.113.1")
	try := func(email, password string) error {
		_, err := b.SignIn(ctx, vpn.SignIn{Email: email, Password: password, ClientID: "c", DeviceName: "n", Address: home})
		return err
	}
	b.refused(try("ghost@example.com", "password123"), vpn.CodeInvalidCredentials)
	b.refused(try("user@example.com", "busy"), vpn.CodeTemporarilyOverloaded)
	for range 5 {
		b.refused(try("user@example.com", "wrong"), vpn.CodeInvalidCredentials)
	}
	b.refused(try("user@example.com", "password123"), vpn.CodeTooManyAttempts)
	b.now = b.now.Add(time.Minute)
	if err := try("user@example.com", "password123"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	if err := b.SetUserStatus(ctx, shell, b.user.ID, vpn.UserBlocked); err != nil {
		t.Fatal(err)
	}
	b.refused(try("user@example.com", "password123"), vpn.CodeAccountBlocked)
	b.refused(try("user@example.com", "wrong"), vpn.CodeInvalidCredentials)
}

func TestWeakHashIsReplacedAtSignIn(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	if _, err := b.store.SetPasswordHash(ctx, b.user.ID, "weak:password123", false, vpn.Audit{Action: "test"}); err != nil {
		t.Fatal(err)
	}
	b.signIn("user@example.com", "c")
	if cred, _ := b.store.Credentials(ctx, "user@example.com"); cred.PasswordHash != "plain:password123" {
		t.Errorf("the hash is still %q", cred.PasswordHash)
	}
}

func TestDeviceLimit(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	_, first := b.signIn("user@example.com", "one")
	b.signIn("user@example.com", "two")
	third := vpn.SignIn{Email: "user@example.com", Password: "password123", ClientID: "three", DeviceName: "three"}
	_, err := b.SignIn(ctx, third)
	refusal, ok := errors.AsType[*vpn.Error](err)
	if !ok || refusal.Code != vpn.CodeDeviceLimitReached || refusal.Limit != 2 || len(refusal.Devices) != 2 {
		t.Fatalf("third device: %+v", err)
	}
	third.ReplaceDeviceID = first.DeviceID
	if _, err := b.SignIn(ctx, third); err != nil {
		t.Fatalf("replacing: %v", err)
	}
	_, err = b.Authenticate(ctx, first.Token)
	b.refused(err, vpn.CodeUnauthenticated)
}

func TestIssueKeyIsIdempotentUntilRotated(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.signIn("user@example.com", "one")
	issue := func(in vpn.IssueKey) vpn.Key {
		t.Helper()
		in.ServerID = 1
		k, err := b.IssueKey(ctx, a, in)
		if err != nil {
			t.Fatal(err)
		}
		if !k.IsReady {
			t.Error("not ready")
		}
		return k.Key
	}
	first := issue(vpn.IssueKey{})
	if second := issue(vpn.IssueKey{}); second.ID != first.ID || second.Seed != first.Seed {
		t.Error("the second call made another key")
	}
	if rotated := issue(vpn.IssueKey{Rotate: true}); rotated.ID == first.ID || rotated.Seed == first.Seed {
		t.Error("rotation kept the key")
	}
	// Extending the subscription moves the deadline of the very same key.
	before := issue(vpn.IssueKey{})
	if _, err := b.Subscribe(ctx, shell, b.user.ID, "standard", 1); err != nil {
		t.Fatal(err)
	}
	after := issue(vpn.IssueKey{})
	if after.ID != before.ID || !after.NotAfter.Equal(before.NotAfter.AddDate(0, 0, 30)) {
		t.Errorf("extended by 30 days: from %v to %v, key %d to %d", before.NotAfter, after.NotAfter, before.ID, after.ID)
	}
	b.nodes.isDeaf = true
	k, err := b.IssueKey(ctx, a, vpn.IssueKey{ServerID: 1, Rotate: true})
	if err != nil || k.IsReady {
		t.Errorf("a deaf node: ready %v, %v", k.IsReady, err)
	}
}

// The checks of a key come in the documented order: with everything wrong at once, each is seen when those before it
// are mended.
func TestIssueKeyOrderOfChecks(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	b.addServer("Oslo 1", 2)
	_, r := b.signIn("user@example.com", "one")
	other, _ := b.signIn("user@example.com", "two")
	b.nodes.live[1], b.nodes.live[2] = vpn.NodeLive{}, vpn.NodeLive{}
	issue := func(in vpn.IssueKey) error {
		t.Helper()
		_, err := b.IssueKey(ctx, b.authenticate(r.Token), in)
		return err
	}
	wrong := vpn.IssueKey{Device: "nobody's", ServerID: 99, Protocol: "carrier-pigeon"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.SetUserStatus(ctx, shell, b.user.ID, vpn.UserBlocked))
	must(b.SetExpiry(ctx, shell, b.user.ID, b.now.AddDate(0, 0, -10)))
	b.refused(issue(wrong), vpn.CodeDeviceNotFound)
	wrong.Device = ""
	b.refused(issue(wrong), vpn.CodeAccountBlocked)
	must(b.SetUserStatus(ctx, shell, b.user.ID, vpn.UserActive))
	b.refused(issue(wrong), vpn.CodeSubscriptionExpired)
	must(b.SetExpiry(ctx, shell, b.user.ID, b.now.AddDate(0, 0, 10)))
	b.use(other, 1000)
	b.refused(issue(wrong), vpn.CodeTrafficQuotaExceeded)
	b.now = b.now.AddDate(0, 1, 0)
	must(b.SetExpiry(ctx, shell, b.user.ID, b.now.AddDate(0, 0, 10)))
	b.refused(issue(wrong), vpn.CodeServerNotFound)
	wrong.ServerID = 2
	b.refused(issue(wrong), vpn.CodePlanUpgradeRequired)
	wrong.ServerID = 1
	b.refused(issue(wrong), vpn.CodeProtocolUnavailable)
	wrong.Protocol = ""
	b.refused(issue(wrong), vpn.CodeServerOffline)
	b.nodes.live[1] = vpn.NodeLive{IsOnline: true, ActiveDevices: 10}
	b.now = b.now.Add(2 * time.Second)
	b.refused(issue(wrong), vpn.CodeServerFull)
	b.nodes.live[1] = vpn.NodeLive{IsOnline: true}
	b.now = b.now.Add(2 * time.Second)
	must(issue(wrong))
	b.nodes.live[1] = vpn.NodeLive{IsOnline: true, ActiveDevices: 10}
	b.now = b.now.Add(2 * time.Second)
	must(issue(wrong)) // who has a key goes on using a full server
}

// use books traffic of a key that exists for this purpose.
func (b *bench) use(a *vpn.Actor, bytes int64) {
	b.t.Helper()
	key, err := b.store.IssueKey(b.t.Context(), vpn.NewKey{UserID: a.User.ID, DeviceID: a.Device.ID, ServerID: 1}, vpn.Audit{Action: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	report := vpn.UsageReport{NodeID: 1, Stream: uint64(b.now.UnixMilli()), Seq: 1, Entries: []vpn.UsageEntry{{KeyID: key.ID, Down: bytes}}}
	if cursor, err := b.RecordUsage(b.t.Context(), report); err != nil || cursor != 1 {
		b.t.Fatalf("usage: cursor %d, %v", cursor, err)
	}
}

func TestQuotaSuspendsKeysAndResets(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.signIn("user@example.com", "one")
	k, err := b.IssueKey(ctx, a, vpn.IssueKey{ServerID: 1})
	if err != nil {
		t.Fatal(err)
	}
	book := func(stream uint64, entry vpn.UsageEntry) {
		t.Helper()
		r := vpn.UsageReport{NodeID: 1, Stream: stream, Seq: 1, Entries: []vpn.UsageEntry{entry}}
		if _, err := b.RecordUsage(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	book(6, vpn.UsageEntry{KeyID: k.Key.ID, Down: 999})
	if got, _ := b.store.Key(ctx, k.Key.ID); got.NotAfter.Before(b.now) {
		t.Error("suspended below the quota")
	}
	for range 2 { // the repetition is not booked
		book(7, vpn.UsageEntry{KeyID: k.Key.ID, Up: 1})
	}
	got, err := b.store.Key(ctx, k.Key.ID)
	if err != nil || !got.NotAfter.Before(b.now) {
		t.Errorf("at the quota the key goes on until %v (%v)", got.NotAfter, err)
	}
	if o, _ := b.Overview(ctx, a); o.Traffic.Used != 1000 || o.Traffic.Left != 0 || o.Access.Reason != vpn.CodeTrafficQuotaExceeded {
		t.Errorf("overview: %+v %+v", o.Traffic, o.Access)
	}
	b.now = b.now.AddDate(0, 1, 0)
	if err := b.SetExpiry(ctx, shell, b.user.ID, b.now.AddDate(0, 0, 10)); err != nil {
		t.Fatal(err)
	}
	if err := b.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if got, _ = b.store.Key(ctx, k.Key.ID); !got.NotAfter.After(b.now) {
		t.Error("a new month does not wake the key")
	}
	if days, _ := b.Usage(ctx, a, 40); len(days) != 1 || days[0].Up+days[0].Down != 1000 {
		t.Errorf("history: %+v", days)
	}
}

func TestDeviceReferences(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, own := b.signIn("user@example.com", "uuid-1-1-1")
	_, sibling := b.signIn("user@example.com", "tablet")
	b.addUser("other@example.com")
	_, foreign := b.signIn("other@example.com", "uuid-9")
	for ref, want := range map[vpn.DeviceRef]vpn.Code{
		"": "", "0": "", "uuid-1-1-1": "", vpn.DeviceRef(number(own.DeviceID)): "",
		vpn.DeviceRef(number(sibling.DeviceID)): vpn.CodeDeviceMismatch, "tablet": vpn.CodeDeviceMismatch,
		vpn.DeviceRef(number(foreign.DeviceID)): vpn.CodeDeviceNotFound, "uuid-9": vpn.CodeDeviceNotFound,
		"987654321": vpn.CodeDeviceNotFound, "99999999999999999999": vpn.CodeDeviceNotFound, "-1": vpn.CodeDeviceNotFound,
	} {
		_, err := b.Servers(ctx, a, ref)
		if got := vpn.CodeOf(err); got != want {
			t.Errorf("%q: %q, want %q", ref, got, want)
		}
	}
	token, err := b.AddToken(ctx, shell, b.user.ID, "script", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	script := b.authenticate(token)
	if _, err := b.IssueKey(ctx, script, vpn.IssueKey{ServerID: 1, Device: "tablet"}); err != nil {
		t.Errorf("an API token may name any of its user's devices: %v", err)
	}
	_, err = b.IssueKey(ctx, script, vpn.IssueKey{ServerID: 1})
	b.refused(err, vpn.CodeValidationFailed)
	_, err = b.IssueKey(ctx, script, vpn.IssueKey{ServerID: 1, Device: "uuid-9"})
	b.refused(err, vpn.CodeDeviceNotFound)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func TestOnlyOperatorsManage(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.signIn("user@example.com", "one")
	_, err := b.AddUser(ctx, a, vpn.NewAccount{Email: "x@example.com", Password: "password123"})
	b.refused(err, vpn.CodeForbidden)
	_, err = b.AddToken(ctx, a, b.user.ID+1, "x", time.Time{})
	b.refused(err, vpn.CodeForbidden)
	b.refused(b.RemoveUser(ctx, a, b.user.ID), vpn.CodeForbidden)
	if _, err := b.AddUser(ctx, shell, vpn.NewAccount{Email: "root@example.com", Password: "password123", IsOperator: true}); err != nil {
		t.Fatal(err)
	}
	phone, _ := b.signIn("root@example.com", "one")
	_, err = b.AddUser(ctx, phone, vpn.NewAccount{Email: "x@example.com", Password: "password123"})
	b.refused(err, vpn.CodeForbidden) // a device is no place to manage from
	root := &vpn.Actor{User: phone.User}
	if _, err := b.AddUser(ctx, root, vpn.NewAccount{Email: "x@example.com", Password: "password123"}); err != nil {
		t.Errorf("an operator may not add a user: %v", err)
	}
	_, err = b.AddUser(ctx, root, vpn.NewAccount{Email: "X@example.com", Password: "password123"})
	b.refused(err, vpn.CodeConflict)
}

// Keys that are made while the account is being blocked end up suspended, whichever was first.
func TestBlockingBeatsIssuing(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	for range 20 {
		a, _ := b.signIn("user@example.com", "one")
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = b.IssueKey(ctx, a, vpn.IssueKey{ServerID: 1, Rotate: true}) })
		wg.Go(func() {
			if err := b.SetUserStatus(ctx, shell, b.user.ID, vpn.UserBlocked); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if k, err := b.store.DeviceKey(ctx, a.Device.ID, 1); err == nil && !k.NotAfter.Before(b.now) {
			t.Fatalf("a blocked user has a key until %v", k.NotAfter)
		}
		if err := b.SetUserStatus(ctx, shell, b.user.ID, vpn.UserActive); err != nil {
			t.Fatal(err)
		}
		if err := b.RemoveDevice(ctx, a, a.Device.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDynamicKey(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.signIn("user@example.com", "one")
	k, err := b.IssueKey(ctx, a, vpn.IssueKey{ServerID: 1})
	if err != nil {
		t.Fatal(err)
	}
	token := k.Key.Seed.DynamicToken()
	if got, err := b.DynamicKey(ctx, k.Key.ID, token); err != nil || got.Key.Seed != k.Key.Seed {
		t.Errorf("by its own secret: %v", err)
	}
	_, err = b.DynamicKey(ctx, k.Key.ID, token+"x")
	b.refused(err, vpn.CodeNotFound)
	_, err = b.DynamicKey(ctx, k.Key.ID+1, token)
	b.refused(err, vpn.CodeNotFound)
	if err := b.SetExpiry(ctx, shell, b.user.ID, b.now.AddDate(0, 0, -10)); err != nil {
		t.Fatal(err)
	}
	_, err = b.DynamicKey(ctx, k.Key.ID, token)
	b.refused(err, vpn.CodeSubscriptionExpired)
	if err := b.SignOut(ctx, a); err != nil {
		t.Fatal(err)
	}
	_, err = b.DynamicKey(ctx, k.Key.ID, token)
	b.refused(err, vpn.CodeNotFound)
}

func TestSetupTokenOnlyWithoutOperator(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	if secret, err := b.SetupToken(ctx); err != nil || secret == "" {
		t.Fatalf("%q, %v", secret, err)
	}
	if _, err := b.AddUser(ctx, shell, vpn.NewAccount{Email: "root@example.com", Password: "password123", IsOperator: true}); err != nil {
		t.Fatal(err)
	}
	if secret, err := b.SetupToken(ctx); err != nil || secret != "" {
		t.Errorf("with an operator: %q, %v", secret, err)
	}
}
