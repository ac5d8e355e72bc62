package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/vpn"
	"stile/wire"
)

func loginBody(device string, more string) string {
	return `{"email":"user@example.com","password":"password123","device_id":"` + device + `","device_name":"Pixel 9"` + more + `}`
}

// All slots are taken: the answer says by whom, and one of them can be replaced, which ends its token.
func TestDeviceLimit(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	plan := w.plan
	plan.DeviceLimit = 2
	if err := w.service.UpdatePlan(t.Context(), vpn.Shell(), plan); err != nil {
		t.Fatal(err)
	}
	first, firstID := w.signIn("user@example.com", "first")
	_, _ = w.signIn("user@example.com", "second")
	p := wantProblem(t, w.call("POST", "/api/login", loginBody("third", ""), "Content-Type: application/json"), http.StatusConflict, vpn.CodeDeviceLimitReached)
	if p.Details.Limit != 2 || len(p.Details.Devices) != 2 || p.Details.Devices[0].ID != firstID || p.Details.Devices[0].Current {
		t.Fatalf("details %+v", p.Details)
	}
	again := decode[wire.LoginResponse](t, w.as("", "POST", "/api/login", loginBody("second", "")), http.StatusOK) // the same client takes no second slot
	signedIn := decode[wire.LoginResponse](t, w.as("", "POST", "/api/login", loginBody("third", `,"replace_device_id":"`+id(firstID)+`"`)), http.StatusOK)
	wantProblem(t, w.as(first, "GET", "/api/user", ""), http.StatusUnauthorized, vpn.CodeUnauthenticated)
	for _, token := range []string{again.Token, signedIn.Token} {
		decode[wire.User](t, w.as(token, "GET", "/api/user", ""), http.StatusOK)
	}
	_, foreign := w.signIn("stranger@example.com", "x")
	wantProblem(t, w.as("", "POST", "/api/login", loginBody("fourth", `,"replace_device_id":`+id(foreign))), http.StatusConflict, vpn.CodeDeviceLimitReached)
}

// A subscription runs through its grace period to its end, its traffic is used up, and every screen says why.
func TestNoAccess(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	token, _ := w.signIn("user@example.com", "phone")
	key := `{"server_id":` + id(w.servers[0].ID) + `}`
	issued := decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", key), http.StatusOK)

	report := vpn.UsageReport{NodeID: w.servers[0].ID, Stream: 1, Seq: 1, Entries: []vpn.UsageEntry{{KeyID: issued.KeyID, Up: 1 << 30, Down: 99 << 30}}}
	must(w.service.RecordUsage(t.Context(), report))(t)
	p := wantProblem(t, w.as(token, "POST", "/api/key", key), http.StatusPaymentRequired, vpn.CodeTrafficQuotaExceeded)
	s := decode[wire.SubscriptionResponse](t, w.as(token, "GET", "/api/subscription", ""), http.StatusOK)
	if s.Access.Allowed || *s.Access.Reason != "traffic_quota_exceeded" || s.Access.Message == nil || *s.Traffic.LeftBytes != 0 ||
		s.Traffic.UsedBytes != 100<<30 || p.Details.ResetsAt == nil || !p.Details.ResetsAt.Equal(*s.Traffic.ResetsAt) {
		t.Errorf("after the quota: %+v %+v, details %+v", s.Access, s.Traffic, p.Details)
	}

	w.pass(32 * 24 * time.Hour) // the quota is new, the plan in its three days of grace
	s = decode[wire.SubscriptionResponse](t, w.as(token, "GET", "/api/subscription", ""), http.StatusOK)
	if s.Subscription.Status != "grace" || *s.Subscription.DaysLeft != 0 || *s.Subscription.ExpiresIn != 0 || !s.Access.Allowed || s.Traffic.UsedBytes != 0 {
		t.Errorf("in grace: %+v %+v %+v", s.Subscription, s.Access, s.Traffic)
	}
	decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", key), http.StatusOK)

	w.pass(3 * 24 * time.Hour)
	p = wantProblem(t, w.as(token, "POST", "/api/key", key, "Accept-Language: en"), http.StatusPaymentRequired, vpn.CodeSubscriptionExpired)
	if p.Details.RenewURL != "https://vpn.example.net/renew" || p.Message != "Your subscription has expired." {
		t.Errorf("expired: %+v %+v", p, p.Details)
	}
	list := decode[wire.ServersResponse](t, w.as(token, "POST", "/api/servers", "{}"), http.StatusOK)
	if list.Meta.Count != 3 || list.Meta.RecommendedServerID != nil || slices.ContainsFunc(list.Data, func(s wire.Server) bool {
		return s.Accessible || *s.LockedReason != "subscription_expired"
	}) {
		t.Errorf("the list of an expired subscription: %+v", list)
	}
	decode[wire.LoginResponse](t, w.as("", "POST", "/api/login", loginBody("phone", "")), http.StatusOK)
}

// A lifetime plan without limits is full of nulls.
func TestUnlimited(t *testing.T) {
	w := setup(t, engines[0].dsn(t), func(c *Config) {
		c.App = AppVersions{Min: "1.2", Latest: "2.0", UpdateURL: "https://vpn.example.net/app"}
		c.PublicURL = "https://vpn.example.net/"
	})
	must(w.service.AddPlan(t.Context(), vpn.Shell(), vpn.Plan{Code: "life", Name: vpn.Text{EN: "For life"}, DeviceLimit: 1, SpeedLimitMbps: 50}))(t)
	must(w.service.Subscribe(t.Context(), vpn.Shell(), w.user.ID, "life", 1))(t)
	token, device := w.signIn("user@example.com", "phone")
	a := decode[wire.AppResponse](t, w.as(token, "GET", "/api/userApp", ""), http.StatusOK)
	s := a.Subscription
	if s.Status != "active" || s.Plan.Name != "For life" || s.ExpiresAt != nil || s.DaysLeft != nil || s.ExpiresIn != nil ||
		a.Traffic.LimitBytes != nil || a.Traffic.LeftBytes != nil || a.Traffic.ResetsAt != nil || *a.Traffic.SpeedLimitMbps != 50 {
		t.Errorf("%+v %+v", s, a.Traffic)
	}
	if *a.App.MinVersion != "1.2" || *a.App.LatestVersion != "2.0" || *a.App.UpdateURL != "https://vpn.example.net/app" ||
		a.Device.ID != device || len(a.Devices.Data) != 1 || !a.Devices.Data[0].Current || a.Device.LastSeenAt == nil {
		t.Errorf("%+v", a)
	}
	k := decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", `{"server_id":`+id(w.servers[0].ID)+`}`), http.StatusOK)
	if k.ExpiresAt != nil || k.Limits.TrafficLeftBytes != nil || *k.Limits.SpeedMbps != 50 || !strings.HasPrefix(*k.DynamicKey, "ssconf://vpn.example.net/api/ssconf/") {
		t.Errorf("%+v", k)
	}
}

// A dynamic key follows its key: refusals come with status 200 and a text, and a rotated key's address is dead.
func TestDynamicKey(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	token, _ := w.signIn("user@example.com", "phone")
	request := `{"server_id":` + id(w.servers[0].ID) + `}`
	issued := decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", request), http.StatusOK)
	path := func(k wire.IssuedKey) string {
		address, _, _ := strings.Cut(strings.TrimPrefix(*k.DynamicKey, "ssconf://"+w.server.Listener.Addr().String()), "#")
		return address
	}
	answer := w.call("GET", path(issued), "")
	ss := issued.Shadowsocks
	want := wire.DynamicKey{Server: ss.Host, ServerPort: ss.Port, Password: ss.Password, Method: ss.Method, Prefix: *ss.Prefix}
	if got := decode[wire.DynamicKey](t, answer, http.StatusOK); got != want || answer.Header.Get("Cache-Control") != "no-cache, private, no-store" {
		t.Errorf("got %+v with %q, want %+v", got, answer.Header.Get("Cache-Control"), want)
	}
	again := decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", request), http.StatusOK)
	if again.Key != issued.Key || again.KeyID != issued.KeyID {
		t.Error("asking again gave another key")
	}
	rotated := decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", strings.Replace(request, "}", `,"rotate":true}`, 1)), http.StatusOK)
	if rotated.Key == issued.Key || rotated.KeyID == issued.KeyID {
		t.Error("rotation kept the key")
	}
	refused := func(path, code string) {
		t.Helper()
		answer := w.call("GET", path, "")
		if r := decode[wire.DynamicKeyRefusal](t, answer, http.StatusOK); r.Error.Details != code || r.Error.Message == "" || answer.Header.Get("X-Error-Code") != code {
			t.Errorf("%s: %s", path, answer.body)
		}
	}
	refused(path(issued), "not_found")
	w.pass(40 * 24 * time.Hour)
	refused(path(rotated), "subscription_expired")
}

// The list as a client meets it: with the tag, compressed, in both languages, and with the device's keys marked.
func TestServerList(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	for i := range 3 * segmentServers {
		must(w.service.AddServer(t.Context(), vpn.Shell(), vpn.Server{
			Name: "Сервер\t" + id(int64(i)), CountryCode: "DE", Host: "h.example.net", ShadowsocksPort: 8388, ShadowsocksPorts: 1, Capacity: 10,
		}))(t)
	}
	token, _ := w.signIn("user@example.com", "phone")
	plain := w.as(token, "GET", "/api/servers", "")
	list := decode[wire.ServersResponse](t, plain, http.StatusOK)
	if list.Meta.Count != len(list.Data) || len(list.Data) != 3*segmentServers+3 {
		t.Fatalf("%d servers, meta %+v", len(list.Data), list.Meta)
	}
	tag := plain.Header.Get("ETag")
	if tag != `W/"`+list.Meta.Revision+`"` || plain.Header.Get("Vary") != "Accept-Language, Accept-Encoding" {
		t.Errorf("tag %s, revision %s, %s", tag, list.Meta.Revision, plain.Header.Get("Vary"))
	}
	for _, header := range []string{tag, `"x", ` + tag, `"` + list.Meta.Revision + `"`} {
		if r := w.as(token, "GET", "/api/servers", "", "If-None-Match: "+header); r.StatusCode != http.StatusNotModified || r.body != "" || r.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %d", header, r.StatusCode)
		}
	}
	if r := w.as(token, "POST", "/api/servers", "{}", "If-None-Match: "+tag); r.StatusCode != http.StatusOK || r.Header.Get("ETag") != "" {
		t.Errorf("POST with a tag: %d", r.StatusCode)
	}

	// Keys on servers in different segments, and two in one.
	var keys []int64
	for _, i := range []int{0, 5, 6, segmentServers, 2*segmentServers + 7, len(list.Data) - 2} {
		if list.Data[i].Accessible && list.Data[i].Status == "online" {
			keys = append(keys, list.Data[i].ID)
			decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", `{"server_id":`+id(list.Data[i].ID)+`}`), http.StatusOK)
		}
	}
	want := w.as(token, "POST", "/api/servers", "{}")
	for _, s := range decode[wire.ServersResponse](t, want, http.StatusOK).Data {
		if s.HasKey != slices.Contains(keys, s.ID) {
			t.Errorf("server %d: has_key %v", s.ID, s.HasKey)
		}
	}
	for range 2 { // made, then kept
		packed := w.as(token, "POST", "/api/servers", "{}", "Accept-Encoding: br;q=1.0, gzip;q=0.8, *;q=0.1")
		unpacked := must(gzip.NewReader(strings.NewReader(packed.body)))(t)
		if got := string(must(io.ReadAll(unpacked))(t)); got != want.body || packed.Header.Get("Content-Encoding") != "gzip" || len(packed.body) > len(want.body)/5 {
			t.Errorf("gzip: %d bytes of %d, equal %v, %s", len(packed.body), len(want.body), got == want.body, packed.Header.Get("Content-Encoding"))
		}
	}
	if r := w.as(token, "POST", "/api/servers", "{}", "Accept-Encoding: gzip;q=0"); r.Header.Get("Content-Encoding") != "" || r.body != want.body {
		t.Error("gzip for who does not take it")
	}

	// Load changes the list, not the tag; a changed server changes both.
	w.nodes.mu.Lock()
	w.nodes.active[w.servers[0].ID] = 100
	w.nodes.mu.Unlock()
	w.pass(2 * time.Second)
	loaded := w.as(token, "GET", "/api/servers", "")
	if loaded.Header.Get("ETag") != tag || !strings.Contains(loaded.body, `"active_connections":100,"capacity":200,"load":50,"score":1.63`) {
		t.Errorf("after load: tag %s, was %s: %.400s", loaded.Header.Get("ETag"), tag, loaded.body)
	}
	if err := w.service.RemoveServer(t.Context(), vpn.Shell(), w.servers[2].ID); err != nil {
		t.Fatal(err)
	}
	if r := w.as(token, "GET", "/api/servers", "", "If-None-Match: "+tag); r.StatusCode != http.StatusOK || r.Header.Get("ETag") == tag {
		t.Error("a removed server did not change the tag")
	}
}

// A server that is off, full or closed is refused with where to go instead; a node that is slow gives a key that is not ready.
func TestServerStates(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	spare := must(w.service.AddServer(t.Context(), vpn.Shell(), vpn.Server{
		Name: "Spare", CountryCode: "NL", Host: "spare.example.net", ShadowsocksPort: 8388, ShadowsocksPorts: 1, Capacity: 10,
	}))(t)
	token, _ := w.signIn("user@example.com", "phone")
	key := `{"server_id":` + id(w.servers[0].ID) + `}`
	set := func(isOffline bool, active int) {
		w.nodes.mu.Lock()
		w.nodes.isOffline[w.servers[0].ID], w.nodes.active[w.servers[0].ID] = isOffline, active
		w.nodes.mu.Unlock()
		w.pass(2 * time.Second)
	}
	for code, put := range map[vpn.Code]func(){
		vpn.CodeServerOffline: func() { set(true, 0) },
		vpn.CodeServerFull:    func() { set(false, 200) },
	} {
		put()
		answer := w.as(token, "POST", "/api/key", key)
		p := wantProblem(t, answer, http.StatusServiceUnavailable, code)
		if !slices.Equal(p.Details.Alternatives, []int64{spare.ID}) || answer.Header.Get("Retry-After") != "30" || p.Details.RetryAfter != 30 {
			t.Errorf("%s: %+v, Retry-After %s", code, p.Details, answer.Header.Get("Retry-After"))
		}
	}
	set(false, 0)
	w.nodes.mu.Lock()
	w.nodes.isSlow = true
	w.nodes.mu.Unlock()
	if k := decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", key), http.StatusOK); k.Ready || k.Key == "" {
		t.Errorf("a key that no node confirmed: %+v", k)
	}
}

// The HTTPS protocol's object, and the default of a browser extension.
func TestExtensionGetsHTTPS(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	server := w.servers[0]
	body := strings.Replace(loginBody("ext", ""), "Pixel 9", "My laptop", 1)
	signedIn := decode[wire.LoginResponse](t, w.call("POST", "/api/login", body, "Content-Type: application/json", "Origin: chrome-extension://abc"), http.StatusOK)
	k := decode[wire.IssuedKey](t, w.as(signedIn.Token, "POST", "/api/key", `{"server_id":`+id(server.ID)+`}`), http.StatusOK)
	if k.Protocol != "https" || k.Key != k.HTTPS.URI() || k.HTTPS.Host != server.Host || k.HTTPS.Port != 8443 ||
		!server.Door.Issued(k.HTTPS.Username, k.HTTPS.Password) || !strings.HasSuffix(k.HTTPS.ProbeURL, ".invalid/") || k.Shadowsocks == nil ||
		!slices.Contains(k.HTTPS.Bypass, "127.0.0.1") || !slices.Contains(k.HTTPS.Bypass, "s1.example.net") || !slices.Contains(k.HTTPS.Bypass, "s3.example.net") {
		t.Errorf("%+v %+v", k, k.HTTPS)
	}
}

// Too many wrong passwords of one address are refused before the password is looked at, and only there: addresses count
// as trusted proxies name them.
func TestThrottle(t *testing.T) {
	w := setup(t, engines[0].dsn(t), func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	w.service = vpn.NewService(w.store, w.nodes, fastPasswords{}, vpn.Config{SignInFailures: 3, Now: w.now})
	handler := must(New(w.service, *w.config))(t)
	w.server.Config.Handler = handler
	login := func(password, address string) reply {
		body := strings.Replace(loginBody("d", ""), "password123", password, 1)
		return w.call("POST", "/api/login", body, "Content-Type: application/json", "X-Forwarded-For: 203.0.113.9, "+address)
	}
	for range 3 {
		wantProblem(t, login("wrong", "198.51.100.1"), http.StatusUnauthorized, vpn.CodeInvalidCredentials)
	}
	answer := login("password123", "198.51.100.1")
	p := wantProblem(t, answer, http.StatusTooManyRequests, vpn.CodeTooManyAttempts)
	if p.Details.RetryAfter < 1 || p.Details.RetryAfter > 60 || answer.Header.Get("Retry-After") == "" ||
		answer.Header.Get("X-RateLimit-Limit") != "3" || answer.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("%+v %v", p.Details, answer.Header)
	}
	if answer := login("right", "198.51.100.2"); answer.StatusCode != http.StatusOK || answer.Header.Get("X-RateLimit-Limit") != "" {
		t.Errorf("another address: %d %s", answer.StatusCode, answer.body)
	}
	// An address that failed over many accounts is refused before its input is looked at.
	try := func(body, address string) reply {
		return w.call("POST", "/api/login", body, "Content-Type: application/json", "X-Forwarded-For: "+address)
	}
	for i := range 18 {
		body := strings.Replace(loginBody("d", ""), "user@", "ghost"+strconv.Itoa(i)+"@", 1)
		wantProblem(t, try(body, "198.51.100.3"), http.StatusUnauthorized, vpn.CodeInvalidCredentials)
	}
	wantProblem(t, try("{}", "198.51.100.3"), http.StatusTooManyRequests, vpn.CodeTooManyAttempts)
	wantProblem(t, try("{}", "198.51.100.4"), http.StatusUnprocessableEntity, vpn.CodeValidationFailed)
}

// fastPasswords takes "right" for every account's password, or is as broken as it is told.
type fastPasswords struct{ err error }

func (fastPasswords) Hash(context.Context, string) (string, error) { return "x", nil }

func (fastPasswords) Reads(string) bool { return true }

func (f fastPasswords) Verify(_ context.Context, _, password string) (ok, weak bool, err error) {
	return password == "right", false, f.err
}

// A fault of ours says nothing to the client, is logged once with the id that the client has, and a panic is one too.
func TestFaults(t *testing.T) {
	w := setup(t, engines[0].dsn(t), func(c *Config) { c.Ready = func(context.Context) error { return errors.New("secret detail") } })
	for name, err := range map[string]error{"error": errors.New("secret detail"), "busy": vpn.ErrBusy, "full disk": fmt.Errorf("store: %w", vpn.ErrUnavailable)} {
		w.service = vpn.NewService(w.store, w.nodes, fastPasswords{err}, vpn.Config{Now: w.now})
		w.server.Config.Handler = must(New(w.service, *w.config))(t)
		answer := w.as("", "POST", "/api/login", loginBody("d", ""))
		if name != "error" {
			wantProblem(t, answer, http.StatusServiceUnavailable, vpn.CodeTemporarilyOverloaded)
			if answer.Header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", name)
			}
			continue
		}
		wantProblem(t, answer, http.StatusInternalServerError, codeServerError)
		if answer.body != `{"message":"Server Error"}` || strings.Count(w.log.String(), "request_id="+answer.Header.Get("X-Request-Id")) != 1 ||
			!strings.Contains(w.log.String(), "secret detail") {
			t.Errorf("%s\n%s", answer.body, w.log)
		}
	}
	a := must(New(nil, *w.config))(t) // without a service every use case panics
	w.server.Config.Handler = a
	answer := w.as("1|x", "GET", "/api/user", "")
	wantProblem(t, answer, http.StatusInternalServerError, codeServerError)
	if answer.Header.Get("Cache-Control") != "no-cache, private" || !strings.Contains(w.log.String(), "panic: runtime error") {
		t.Errorf("%v\n%s", answer.Header, w.log)
	}
	if answer := w.call("GET", "/readyz", ""); answer.StatusCode != http.StatusServiceUnavailable || answer.body != `{"status":"unavailable"}` {
		t.Errorf("not ready: %d %s", answer.StatusCode, answer.body)
	}
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, "route=/readyz") != strings.Contains(line, "level=WARN") {
			t.Errorf("not ready is no fault of a request: %s", line)
		}
	}
}

// A panic in the middle of an answer cuts it off, so that nobody takes the half for the whole, and is logged.
func TestPanicInTheMiddle(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	a := must(New(w.service, *w.config))(t)
	serve := func(x *exchange) error {
		x.send(http.StatusOK, bytes.Repeat([]byte("x"), 64<<10))
		panic("half way")
	}
	a.router = newRouter([]entry{{"GET /ping", serve}}, a.log.Handler()) // the name of a public route
	w.server.Config.Handler = a
	resp, err := http.Get(w.server.URL + "/ping")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the answer ended with %v", err)
	}
	if log := w.log.String(); strings.Count(log, "msg=request") != 1 || !strings.Contains(log, "panic: half way") || !strings.Contains(log, "code=server_error") {
		t.Error(log)
	}
}

func TestPublicURLIsChecked(t *testing.T) {
	for _, address := range []string{"vpn.example.net", "ftp://vpn.example.net", "https://", "https://[", "/api"} {
		if _, err := New(nil, Config{PublicURL: address}); err == nil || !strings.Contains(err.Error(), "PublicURL") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// What users are and do stays out of the log.
func TestLogNamesNobody(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	canary := "user@example.com"
	token, _ := w.signIn(canary, "canary-device")
	k := decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", `{"server_id":`+id(w.servers[0].ID)+`}`), http.StatusOK)
	address, _, _ := strings.Cut(*k.DynamicKey, "#")
	w.call("GET", address[strings.Index(address, "/api/"):], "", "X-Forwarded-For: 198.51.100.77", "User-Agent: canary-agent")
	w.call("GET", "/api/canary-path?q=canary-query", "")
	w.call("CANARY-METHOD", "/api/user", "")
	w.as("", "POST", "/api/login", `{"email":"canary@example.com","password":"canary-password","device_id":"canary-device","device_name":"canary-name"}`)
	w.as(token, "POST", "/api/servers", `{"device_id":"canary-device"}`)
	log := w.log.String()
	for _, secret := range []string{canary, "canary", "CANARY", "127.0.0.1", "198.51.100.77", token, k.Shadowsocks.Password, "s1.example.net"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
	for _, event := range []string{"method=POST route=/api/key status=200 took=", "route=/api/ssconf/{id}/{token} status=200", "route=none status=404", "method=other route=/api/user status=405", "code=invalid_credentials"} {
		if !strings.Contains(log, event) {
			t.Errorf("the log lacks %q:\n%s", event, log)
		}
	}
	if n := strings.Count(log, "msg=request"); n != 6 {
		t.Errorf("%d events of 6 requests:\n%s", n, log)
	}
}

// A request that waits while the server is shut down is answered.
func TestShutdownAnswersWhatRuns(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	entered, leave := make(chan struct{}), make(chan struct{})
	w.config.Ready = func(context.Context) error { close(entered); <-leave; return nil }
	w.server.Config.Handler = must(New(w.service, *w.config))(t)
	answered := make(chan reply)
	go func() { answered <- w.call("GET", "/readyz", "") }()
	<-entered
	down := make(chan error)
	go func() { down <- w.server.Config.Shutdown(t.Context()) }()
	close(leave)
	if r := <-answered; r.StatusCode != http.StatusOK {
		t.Errorf("status %d", r.StatusCode)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestOpenAPIIsServedAsItIs(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	if r := w.call("GET", "/openapi.yaml", ""); !bytes.Equal([]byte(r.body), openAPI) || r.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d bytes, want %d", len(r.body), len(openAPI))
	}
}
