package courier_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/courier"
	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
	"stile/wire"
)

// awayNodes has no nodes.
type awayNodes struct{}

func (awayNodes) Wake(...vpn.NodeRev)                            {}
func (awayNodes) HasApplied(int64, int64) bool                   { return false }
func (awayNodes) WaitApplied(context.Context, int64, int64) bool { return false }
func (awayNodes) Live(int64) vpn.NodeLive                        { return vpn.NodeLive{} }
func (awayNodes) Refuses(int64, int64) bool                      { return false }

// plainPasswords hashes not at all: hashing has its own tests.
type plainPasswords struct{}

func (plainPasswords) Hash(_ context.Context, password string) (string, error) {
	return password, nil
}

func (plainPasswords) Verify(_ context.Context, hash, password string) (ok, weak bool, err error) {
	return hash == password, false, nil
}

func (plainPasswords) Reads(string) bool { return true }

// clock can be turned.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// office is a service on a real store with a courier that runs.
type office struct {
	*vpn.Service
	t     *testing.T
	store *store.Store
	clock *clock
	stop  func()
}

var shell = vpn.Shell()

func sqlite(t *testing.T) string { return filepath.Join(t.TempDir(), "stile.db") }

// open starts an office on a database.
func open(t *testing.T, dsn string, mailer vpn.Mailer) *office {
	t.Helper()
	o := &office{t: t, clock: &clock{}}
	var err error
	if o.store, err = store.Open(t.Context(), store.Config{DSN: dsn, Secret: [32]byte{7}, Now: o.clock.now}); err != nil {
		t.Fatal(err)
	}
	o.Service = vpn.NewService(o.store, awayNodes{}, plainPasswords{}, vpn.Config{
		Now: o.clock.now, Defaults: vpn.Settings{Links: vpn.Links{Renew: "https://vpn.example.net/account", Support: "help@example.net"}},
	})
	c, err := courier.New(courier.Config{
		Store: o.store, Event: o.Event, Mailer: mailer, PublicURL: "https://vpn.example.net", Settings: o.Settings, Agent: "stile/test",
		Now: o.clock.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	o.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := o.store.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(o.stop)
	return o
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *office) webhook(url string, events ...string) (vpn.Webhook, string) {
	o.t.Helper()
	w, secret, err := o.AddWebhook(o.t.Context(), shell, url, events)
	ok(o.t, err)
	return w, secret
}

func (o *office) user(email string) vpn.User {
	o.t.Helper()
	u, err := o.AddUser(o.t.Context(), shell, vpn.NewAccount{Email: email, Password: "password123"})
	ok(o.t, err)
	return u
}

func (o *office) until(what string, check func() bool) {
	o.t.Helper()
	until(o.t, what, check)
}

// until waits for something to become true.
func until(t testing.TB, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// delivery is the newest one of a webhook.
func (o *office) delivery(webhookID int64) vpn.Delivery {
	o.t.Helper()
	list, err := o.Deliveries(o.t.Context(), shell, webhookID, 0, 1)
	ok(o.t, err)
	if len(list) == 0 {
		return vpn.Delivery{}
	}
	return list[0]
}

// isUnderWay reports that an attempt of a delivery has begun and not ended: it is held for half a minute then, which no pause
// of the schedule is near.
func (o *office) isUnderWay(d vpn.Delivery) bool {
	left := d.DueAt.Sub(o.clock.now())
	return d.Attempts == 0 || (d.EndedAt.IsZero() && left > 10*time.Second && left <= 30*time.Second)
}

// receiver is somebody else's program.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	got   []wire.Event
	heads []http.Header
	raw   [][]byte
	// answer decides; nil = 204.
	answer func(w http.ResponseWriter, r *http.Request)
}

func receive(t testing.TB, answer func(w http.ResponseWriter, r *http.Request)) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var e wire.Event
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.got, r.heads, r.raw = append(r.got, e), append(r.heads, req.Header.Clone()), append(r.raw, body)
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, req)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// events are those received so far.
func (r *receiver) events() []wire.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]wire.Event(nil), r.got...)
}

func TestAnEventArrives(t *testing.T) {
	t.Parallel()
	o, r := open(t, sqlite(t), nil), receive(t, nil)
	ctx := t.Context()
	_, err := o.AddPlan(ctx, shell, vpn.Plan{Code: "standard", Name: vpn.Text{EN: "Standard"}, PeriodDays: 30, DeviceLimit: 2, TrafficLimit: 1000})
	ok(t, err)
	hook, secret := o.webhook(r.URL, "user.add", "subscription.*", "device.*")
	u := o.user("user@example.com")
	_, err = o.Subscribe(ctx, shell, u.ID, "standard", 1)
	ok(t, err)
	in, err := o.SignIn(ctx, vpn.SignIn{Email: u.Email, Password: "password123", ClientID: "uuid-1", DeviceName: "Pixel 8"})
	ok(t, err)
	o.until("three events", func() bool { return len(r.events()) == 3 })
	byName := map[string]wire.Event{}
	for i, e := range r.events() {
		byName[e.Event] = e
		h := r.heads[i]
		if h.Get(wire.EventHeader) != e.Event || h.Get(wire.DeliveryHeader) != strconv.FormatInt(e.ID, 10) ||
			h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "stile/test" {
			t.Errorf("headers: %v", h)
		}
		if err := wire.VerifySignature(h.Get(wire.SignatureHeader), []byte(secret), r.raw[i], time.Now()); err != nil {
			t.Errorf("signature: %v", err)
		}
		if err := wire.VerifySignature(h.Get(wire.SignatureHeader), []byte(secret+"x"), r.raw[i], time.Now()); err == nil {
			t.Error("another secret fits, too")
		}
		signedAsOpenSSL(t, h.Get(wire.SignatureHeader), secret, r.raw[i])
	}
	added, set, signIn := byName["user.add"], byName["subscription.set"], byName["device.sign_in"]
	if added.UserID == nil || *added.UserID != u.ID || added.SubjectID != u.ID || added.User == nil || added.User.Email != u.Email || added.User.Status != "active" {
		t.Errorf("user.add: %+v", added)
	}
	if s := set.Subscription; s == nil || s.Status != "active" || s.Plan != "standard" || s.ExpiresAt == nil || s.LimitBytes == nil || *s.LimitBytes != 1000 {
		t.Errorf("subscription.set: %+v", set.Subscription)
	}
	if d := signIn.Device; d == nil || d.ID != in.DeviceID || d.Name != "Pixel 8" || d.Platform != "android" || signIn.SubjectID != in.DeviceID || *signIn.UserID != u.ID {
		t.Errorf("device.sign_in: %+v, %+v", signIn, signIn.Device)
	}
	o.until("all are written down", func() bool { return o.delivery(hook.ID).IsDelivered })
	if d := o.delivery(hook.ID); d.Status != http.StatusNoContent || d.Attempts != 1 || d.Error != "" {
		t.Errorf("delivery: %+v", d)
	}

	// What is gone when it is told has a number and no more.
	ok(t, o.RemoveUser(ctx, shell, u.ID))
	_, err = o.TestWebhook(ctx, shell, hook.ID)
	ok(t, err)
	o.until("the test event", func() bool { return len(r.events()) == 4 })
	if e := r.events()[3]; e.Event != vpn.EventTest || e.User != nil || e.UserID != nil || e.SubjectID != hook.ID {
		t.Errorf("test event: %+v", e)
	}
	all, _ := o.webhook(r.URL, "user.remove")
	gone := o.user("gone@example.com")
	ok(t, o.RemoveUser(ctx, shell, gone.ID))
	o.until("the removal", func() bool { return o.delivery(all.ID).IsDelivered })
	for _, e := range r.events() {
		if e.Event == "user.remove" && (e.User != nil || *e.UserID != gone.ID || e.Subscription != nil) {
			t.Errorf("user.remove: %+v", e)
		}
	}
	ok(t, o.RemoveWebhook(ctx, shell, all.ID))
}

// signedAsOpenSSL compares a signature with that of somebody else's program.
func signedAsOpenSSL(t *testing.T, header, secret string, body []byte) {
	t.Helper()
	stamp, mac, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	cmd := exec.Command("openssl", "dgst", "-sha256", "-hmac", secret)
	cmd.Stdin = strings.NewReader(stamp + "." + string(body))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl (Debian's package openssl): %v", err)
	}
	if _, want, _ := strings.Cut(strings.TrimSpace(string(out)), "= "); mac != want {
		t.Errorf("signature %s, openssl says %s", mac, want)
	}
}

// A receiver that fails is tried again by the schedule, under the same number, and what came of it can be seen.
func TestAFailingReceiverRecovers(t *testing.T) {
	t.Parallel()
	var isUp atomic.Bool
	o := open(t, sqlite(t), nil)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		if !isUp.Load() {
			http.Error(w, "secret detail", http.StatusServiceUnavailable)
		}
	})
	hook, _ := o.webhook(r.URL, "user.add")
	o.user("user@example.com")
	for n, pause := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute} {
		o.until("an attempt", func() bool { d := o.delivery(hook.ID); return d.Attempts == n+1 && !o.isUnderWay(d) })
		d := o.delivery(hook.ID)
		if d.Status != http.StatusServiceUnavailable || d.Error != "status 503" || d.IsDelivered || !d.EndedAt.IsZero() {
			t.Errorf("after attempt %d: %+v", n+1, d)
		}
		if left := d.DueAt.Sub(o.clock.now()); left > pause || left < pause-5*time.Second {
			t.Errorf("after attempt %d the next is in %v, want %v", n+1, left, pause)
		}
		isUp.Store(n == 2)
		o.clock.forward(pause)
	}
	o.until("it is delivered", func() bool { return o.delivery(hook.ID).IsDelivered })
	events := r.events()
	if len(events) != 4 {
		t.Fatalf("%d attempts", len(events))
	}
	for _, e := range events {
		if e.ID != events[0].ID {
			t.Errorf("number %d, was %d", e.ID, events[0].ID)
		}
	}
}

// One that never recovers is given up within a day, and can be sent once more by hand.
func TestADeadReceiverIsGivenUp(t *testing.T) {
	t.Parallel()
	var isUp atomic.Bool
	o := open(t, sqlite(t), nil)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		if !isUp.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	hook, _ := o.webhook(r.URL, "user.add")
	began := o.clock.now()
	o.user("user@example.com")
	for attempts := 0; ; attempts++ {
		o.until("an attempt", func() bool { d := o.delivery(hook.ID); return d.Attempts > attempts && !o.isUnderWay(d) })
		d := o.delivery(hook.ID)
		if !d.EndedAt.IsZero() {
			break
		}
		o.clock.forward(d.DueAt.Sub(o.clock.now()))
	}
	d := o.delivery(hook.ID)
	if took := d.EndedAt.Sub(began); took > 24*time.Hour || took < 23*time.Hour || d.Attempts != 9 || d.IsDelivered {
		t.Errorf("given up after %v: %+v", took, d)
	}
	isUp.Store(true)
	ok(t, o.Redeliver(t.Context(), shell, d.ID))
	o.until("it is delivered", func() bool { return o.delivery(hook.ID).IsDelivered })
}

// A receiver that hangs delays no other.
func TestAHangingReceiverDelaysNobody(t *testing.T) {
	t.Parallel()
	o := open(t, sqlite(t), nil)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hangs := receive(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	quick := receive(t, nil)
	stuck, _ := o.webhook(hangs.URL, "user.*")
	o.webhook(quick.URL, "user.*")
	const users = 100
	for i := range users {
		o.user(fmt.Sprintf("user%d@example.com", i))
	}
	o.until("the other has all", func() bool { return len(quick.events()) == users })
	list, err := o.Deliveries(t.Context(), shell, stuck.ID, 0, users)
	ok(t, err)
	waiting := 0
	for _, d := range list {
		if !d.DueAt.IsZero() {
			waiting++
		}
	}
	if waiting != users {
		t.Errorf("%d wait for the receiver that hangs", waiting)
	}
	o.until("the time-out", func() bool {
		list, err := o.Deliveries(t.Context(), shell, stuck.ID, 0, users)
		ok(t, err)
		return list[users-1].Error == "no answer within 10s"
	})
}

// Redirects are not followed, and an endless answer is cut.
func TestAReceiverCannotLeadAway(t *testing.T) {
	t.Parallel()
	o := open(t, sqlite(t), nil)
	var visits, written atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	t.Cleanup(trap.Close)
	redirects := receive(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, trap.URL, http.StatusTemporaryRedirect)
	})
	endless := receive(t, func(w http.ResponseWriter, r *http.Request) {
		block := make([]byte, 4096)
		for r.Context().Err() == nil {
			n, err := w.Write(block)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	first, _ := o.webhook(redirects.URL, "user.*")
	second, _ := o.webhook(endless.URL, "user.*")
	third, _ := o.webhook("http://127.0.0.1:1/token-in-the-path", "user.*")
	o.user("user@example.com")
	o.until("the redirect is refused", func() bool { return o.delivery(first.ID).Status == http.StatusTemporaryRedirect })
	o.until("the endless one is delivered", func() bool { return o.delivery(second.ID).IsDelivered })
	o.until("nobody is there", func() bool { return o.delivery(third.ID).Error != "" })
	if visits.Load() > 0 {
		t.Error("the redirect was followed")
	}
	if n := written.Load(); n > 16<<20 {
		t.Errorf("%d bytes of an answer were taken", n)
	}
	if d := o.delivery(third.ID); strings.Contains(d.Error, "token") || !strings.Contains(d.Error, "refused") {
		t.Errorf("error: %s", d.Error)
	}
}

// The largest event fits into what receivers must take.
func TestAnEventIsBounded(t *testing.T) {
	t.Parallel()
	o, r := open(t, sqlite(t), nil), receive(t, nil)
	o.webhook(r.URL, "*")
	long := vpn.NewUser{Email: strings.Repeat("a", 200) + "@example.com", Name: strings.Repeat("\x01", 100_000), Locale: "ru"} // as if imported
	_, err := o.store.AddUser(t.Context(), long, vpn.Audit{Action: "user.add"})
	ok(t, err)
	o.until("it arrives", func() bool { return len(r.events()) == 1 })
	if n := len(r.raw[0]); n > wire.MaxEvent {
		t.Errorf("%d bytes", n)
	}
	if n := len(r.events()[0].User.Name); n != 255 {
		t.Errorf("a name of %d characters", n)
	}
}

// What is removed is not sent, what is turned off waits.
func TestAWebhookThatIsOffWaits(t *testing.T) {
	t.Parallel()
	o, r := open(t, sqlite(t), nil), receive(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	hook, _ := o.webhook(r.URL, "user.*")
	o.user("user@example.com")
	o.until("the first attempt", func() bool { return o.delivery(hook.ID).Error != "" })
	hook.IsActive = false
	ok(t, o.SetWebhook(t.Context(), shell, hook))
	o.clock.forward(time.Hour)
	o.user("other@example.com")
	time.Sleep(1200 * time.Millisecond) // two looks
	if n := len(r.events()); n != 1 {
		t.Errorf("%d events", n)
	}
	hook.IsActive = true
	ok(t, o.SetWebhook(t.Context(), shell, hook))
	o.until("it goes on", func() bool { return len(r.events()) == 2 })
}

// Of two replicas each delivery goes out from one.
func TestReplicasShareTheLine(t *testing.T) {
	t.Parallel()
	dsn := storetest.Postgres(t)
	a, b := open(t, dsn, nil), open(t, dsn, nil)
	r := receive(t, nil)
	a.webhook(r.URL, "user.*")
	const users = 400
	var adding sync.WaitGroup
	for i := range users {
		o := []*office{a, b}[i%2]
		adding.Go(func() {
			_, err := o.AddUser(t.Context(), shell, vpn.NewAccount{Email: fmt.Sprintf("user%d@example.com", i), Password: "password123"})
			if err != nil {
				t.Error(err)
			}
		})
	}
	adding.Wait()
	until(t, "all arrive", func() bool { return len(r.events()) >= users })
	a.stop()
	b.stop()
	seen := map[int64]bool{}
	for _, e := range r.events() {
		if seen[*e.UserID] {
			t.Errorf("user %d is told of twice", *e.UserID)
		}
		seen[*e.UserID] = true
	}
	if len(seen) != users {
		t.Errorf("%d users are told of", len(seen))
	}
}
