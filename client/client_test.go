package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stile/wire"
)

// The bodies of the API's documentation.
const (
	userBody         = `{"id":42,"name":"Иван","email":"ivan@example.com","email_verified_at":null,"status":"active","locale":"ru","created_at":"2026-09-01T00:00:00Z","updated_at":"2026-09-02T00:00:00Z"}`
	subscriptionBody = `{"user":{"id":42,"email":"ivan@example.com","name":"Иван"},
 "subscription":{"status":"active","plan":{"code":"standard","name":"Стандарт","tier":1},
   "starts_at":"2026-09-01T00:00:00Z","expires_at":"2026-10-01T00:00:00Z","days_left":8,"expires_in":691200,"is_trial":false},
 "access":{"allowed":true,"reason":null,"message":null},
 "traffic":{"used_bytes":1073741824,"limit_bytes":107374182400,"left_bytes":106300440576,"resets_at":"2026-10-01T00:00:00Z","speed_limit_mbps":null},
 "devices":{"used":2,"limit":5},
 "device":{"id":6,"name":"Chrome on Windows","current":true},
 "servers_revision":"9f2c41d0","recommended_server_id":10,
 "links":{"account":"https://vpn.example.net/account","renew":"https://vpn.example.net/renew","support":null},
 "server_time":"2026-09-23T00:00:00Z","poll_after":600}`
	appBody = `{"user":` + userBody + `,
 "subscription":{"status":"none","plan":null,"starts_at":null,"expires_at":null,"days_left":null,"expires_in":null,"is_trial":false},
 "access":{"allowed":false,"reason":"subscription_required","message":"Нужна подписка"},
 "traffic":{"used_bytes":0,"limit_bytes":null,"left_bytes":null,"resets_at":null,"speed_limit_mbps":100},
 "devices":{"used":1,"limit":5,"data":[{"id":6,"name":"iPhone 12","platform":"ios","current":true,"created_at":"2026-09-01T00:00:00Z","last_seen_at":"2026-09-22T00:00:00Z"}]},
 "device":{"id":6,"name":"iPhone 12","platform":"ios","current":true,"created_at":"2026-09-01T00:00:00Z","last_seen_at":"2026-09-22T00:00:00Z"},
 "servers_revision":"9f2c41d0","recommended_server_id":null,"links":{"account":null,"renew":null,"support":null},
 "server_time":"2026-09-23T00:00:00Z","poll_after":600,
 "protocols":["shadowsocks"],"app":{"min_version":null,"latest_version":"1.2.0","update_url":null},"subscription_url":null}`
	serversBody = `{"data":[{"id":10,"name":"Амстердам 1","country":"Нидерланды","country_code":"NL","city":"Амстердам",
  "latitude":52.37,"longitude":4.9,"api_url":"https://nl1.example.net/ping",
  "active_connections":37,"capacity":200,"load":19,"score":1.24,
  "status":"online","accessible":true,"locked_reason":null,"tier":0,
  "protocols":["shadowsocks","https"],"has_key":true}],
 "meta":{"revision":"9f2c41d0","count":1,"recommended_server_id":10,"load_updated_at":"2026-09-23T00:00:00Z"}}`
	keyBody = `{"key":"ss://YWVzLTI1Ni1nY206cA@nl1.example.net:8388/?outline=1#Amsterdam%201",
 "key_id":981,"server_id":10,"device_id":6,"protocol":"shadowsocks","ready":true,
 "dynamic_key":"ssconf://vpn.example.net/api/ssconf/981/t","issued_at":"2026-09-01T00:00:00Z","refresh_at":"2026-09-02T00:00:00Z","expires_at":null,
 "server":{"id":10,"name":"Амстердам 1","country_code":"NL","city":"Амстердам","api_url":"https://nl1.example.net/ping"},
 "shadowsocks":{"host":"nl1.example.net","port":8388,"method":"aes-256-gcm","password":"p","prefix":null,"udp":true},
 "https":{"scheme":"https","host":"nl1.example.net","port":443,"username":"u","password":"p","realm":"Stile","bypass":["10.0.0.0/8"],"probe_url":"https://nl1.example.net/ping"},
 "wireguard":null,
 "limits":{"speed_mbps":null,"traffic_left_bytes":106300440576}}`
	devicesBody = `{"data":[{"id":6,"name":"iPhone 12","platform":"ios","current":true,"created_at":"2026-09-01T00:00:00Z","last_seen_at":null}],"meta":{"used":1,"limit":5}}`
)

// documented answers one call and remembers it.
type documented struct {
	status int
	header http.Header
	body   string
	got    *http.Request
	sent   string
}

func (d *documented) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, _ := io.ReadAll(r.Body)
	d.got, d.sent = r, string(sent)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, private")
	for name, values := range d.header {
		w.Header()[name] = values
	}
	w.WriteHeader(d.status)
	_, _ = io.WriteString(w, d.body)
}

// answering starts an API that answers every call with d, and a client of it.
func answering(t *testing.T, d *documented) *Client {
	t.Helper()
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/", "7|secret", Options{Language: "en", UserAgent: "test/1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func TestCallsAreAsDocumented(t *testing.T) {
	for name, c := range map[string]struct {
		call         func(context.Context, *Client) (any, error)
		request      string
		sent, answer string
	}{
		"login": {func(ctx context.Context, c *Client) (any, error) {
			return c.Login(ctx, wire.LoginRequest{Email: "user@example.com", Password: "password123", DeviceID: "uuid-1-1-1", DeviceName: "iPhone 12"})
		}, "POST /api/login", `{"email":"user@example.com","password":"password123","device_id":"uuid-1-1-1","device_name":"iPhone 12"}`, `{"token":"1|abc","device_id":"12345"}`},
		"logout": {func(ctx context.Context, c *Client) (any, error) {
			message, err := c.Logout(ctx)
			return wire.MessageResponse{Message: message}, err
		}, "POST /api/logout", "", `{"message":"Выход из системы выполнен успешно"}`},
		"user":         {func(ctx context.Context, c *Client) (any, error) { return c.User(ctx) }, "GET /api/user", "", userBody},
		"subscription": {func(ctx context.Context, c *Client) (any, error) { return c.Subscription(ctx) }, "GET /api/subscription", "", subscriptionBody},
		"userApp": {func(ctx context.Context, c *Client) (any, error) {
			var answer wire.AppResponse
			err := c.call(ctx, http.MethodGet, "/api/userApp", nil, &answer)
			return answer, err
		}, "GET /api/userApp", "", appBody},
		"servers": {func(ctx context.Context, c *Client) (any, error) { return c.Servers(ctx) }, "POST /api/servers", "{}", serversBody},
		"key": {func(ctx context.Context, c *Client) (any, error) {
			return c.Key(ctx, wire.KeyRequest{ServerID: 10, Protocol: "shadowsocks"})
		}, "POST /api/key", `{"server_id":10,"protocol":"shadowsocks"}`, keyBody},
		"devices":       {func(ctx context.Context, c *Client) (any, error) { return c.Devices(ctx) }, "GET /api/devices", "", devicesBody},
		"remove device": {func(ctx context.Context, c *Client) (any, error) { return nil, c.RemoveDevice(ctx, 6) }, "DELETE /api/devices/6", "", "null"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &documented{status: 200, body: c.answer}
			answer, err := c.call(timeout(t), answering(t, d))
			if err != nil {
				t.Fatal(err)
			}
			if got := d.got.Method + " " + d.got.URL.Path; got != c.request || d.sent != c.sent {
				t.Errorf("asked %s %s\nwant  %s %s", got, d.sent, c.request, c.sent)
			}
			header := d.got.Header
			if header.Get("Authorization") != "Bearer 7|secret" || header.Get("Accept-Language") != "en" || header.Get("Accept") != "application/json" || header.Get("User-Agent") != "test/1" {
				t.Errorf("headers %v", header)
			}
			raw, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := plain(t, raw), plain(t, []byte(c.answer)); got != want {
				t.Errorf("understood %s\nanswered   %s", got, want)
			}
		})
	}
}

// plain writes JSON with sorted keys and no spaces.
func plain(t *testing.T, raw []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestProbe(t *testing.T) {
	refused := &documented{status: 401, header: http.Header{"Date": {"Wed, 23 Sep 2026 00:00:00 GMT"}}, body: `{"message":"Unauthenticated."}`}
	at, err := answering(t, refused).Probe(timeout(t))
	if err != nil || !at.Equal(time.Date(2026, 9, 23, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("Probe = %v, %v; want the server's clock", at, err)
	}
	if refused.got.Header.Get("Authorization") != "" {
		t.Error("the token was sent")
	}
	for name, d := range map[string]*documented{
		"open to all": {status: 200, body: userBody},
		"a portal":    {status: 403, header: http.Header{"Content-Type": {"text/html"}}, body: "<h1>Pay</h1>"},
		"no clock":    {status: 401, header: http.Header{"Date": {"now"}}, body: `{"message":"Unauthenticated."}`},
	} {
		if at, err := answering(t, d).Probe(timeout(t)); err == nil {
			t.Errorf("%s: Probe = %v, want an error", name, at)
		}
	}
}

func TestRefusalsAreTyped(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		header  http.Header
		body    string
		want    Error
		refused bool
	}{
		"documented 401":    {401, http.Header{"X-Error-Code": {"unauthenticated"}}, `{"message":"Unauthenticated."}`, Error{Status: 401, Code: CodeUnauthenticated, Message: "Unauthenticated."}, true},
		"401 without code":  {401, nil, `{"message":"Unauthenticated."}`, Error{Status: 401, Code: CodeUnauthenticated, Message: "Unauthenticated."}, true},
		"wrong password":    {401, nil, `{"error":"Неверный логин или пароль"}`, Error{Status: 401, Code: CodeInvalidCredentials, Message: "Неверный логин или пароль"}, true},
		"code in the body":  {402, http.Header{"X-Request-Id": {"r1"}}, `{"message":"Продлите","code":"subscription_expired","details":{"renew_url":"https://r"}}`, Error{Status: 402, Code: CodeSubscriptionExpired, Message: "Продлите", Details: wire.ProblemDetails{RenewURL: "https://r"}, RequestID: "r1"}, true},
		"throttled":         {429, http.Header{"Retry-After": {"7"}}, `{"message":"Slower","code":"too_many_attempts"}`, Error{Status: 429, Code: CodeTooManyAttempts, Message: "Slower", RetryAfter: 7 * time.Second}, false},
		"retry in details":  {503, nil, `{"message":"Full","code":"server_full","details":{"retry_after":9,"alternatives":[3,4]}}`, Error{Status: 503, Code: CodeServerFull, Message: "Full", Details: wire.ProblemDetails{RetryAfter: 9, Alternatives: []int64{3, 4}}, RetryAfter: 9 * time.Second}, false},
		"validation":        {422, nil, `{"message":"The email field is required.","errors":{"email":["The email field is required."]}}`, Error{Status: 422, Code: CodeValidationFailed, Message: "The email field is required.", Errors: wire.FieldErrors{{Field: "email", Messages: []string{"The email field is required."}}}}, true},
		"route":             {404, nil, `{"message":"The route api/nope could not be found."}`, Error{Status: 404, Code: CodeNotFound, Message: "The route api/nope could not be found."}, true},
		"unknown, no code":  {418, nil, `{"message":"Teapot"}`, Error{Status: 418, Code: "http_418", Message: "Teapot"}, true},
		"a page":            {502, http.Header{"Content-Type": {"text/html"}}, "<h1>Bad gateway</h1>", Error{Status: 502}, false},
		"a portal":          {403, http.Header{"Content-Type": {"text/html"}}, "<h1>Pay</h1>", Error{Status: 403}, false},
		"JSON of others":    {403, nil, `{"detail":"pay"}`, Error{Status: 403}, false},
		"broken JSON":       {500, nil, `{"message":`, Error{Status: 500}, false},
		"a redirect":        {301, http.Header{"Location": {"https://other.example/"}}, ``, Error{Status: 301, Location: "https://other.example/"}, false},
		"a bad Retry-After": {429, http.Header{"Retry-After": {"-1"}}, `{"message":"Slower"}`, Error{Status: 429, Code: CodeTooManyAttempts, Message: "Slower"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := answering(t, &documented{status: c.status, header: c.header, body: c.body}).User(timeout(t))
			got, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %v, want *Error", err)
			}
			gotJSON, _ := json.Marshal(got)
			wantJSON, _ := json.Marshal(c.want)
			if !bytes.Equal(gotJSON, wantJSON) {
				t.Errorf("got  %s\nwant %s", gotJSON, wantJSON)
			}
			if Refused(err) != c.refused || CodeOf(err) != c.want.Code {
				t.Errorf("Refused = %v, CodeOf = %q", Refused(err), CodeOf(err))
			}
			if !strings.Contains(err.Error(), "GET /api/user") || strings.Contains(err.Error(), "secret") {
				t.Errorf("error text %q", err)
			}
			if isAway := strings.Contains(err.Error(), "try again in a minute"); isAway != (c.want.Status == http.StatusBadGateway) {
				t.Errorf("a proxy whose service starts says to wait, and nothing else does: %q", err)
			}
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	fits := `"` + strings.Repeat("a", answerLimit-2) + `"`
	d := &documented{status: 200, body: fits}
	c := answering(t, d)
	var text string
	if err := c.call(timeout(t), "GET", "/", nil, &text); err != nil || len(text) != answerLimit-2 {
		t.Errorf("an answer of the limit: %d characters, %v", len(text), err)
	}
	d.body += " "
	if err := c.call(timeout(t), "GET", "/", nil, &text); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("one byte more: %v", err)
	}
}

func TestAnswersThatAreNot(t *testing.T) {
	for name, d := range map[string]*documented{
		"a page":         {status: 200, header: http.Header{"Content-Type": {"text/html"}}, body: "<h1>Hello</h1>"},
		"broken JSON":    {status: 200, body: `{"id":`},
		"of other types": {status: 200, body: `{"id":"forty-two"}`},
		"nothing":        {status: 200},
	} {
		if _, err := answering(t, d).User(timeout(t)); err == nil || !strings.Contains(err.Error(), "GET /api/user: ") {
			t.Errorf("%s: %v, want an error", name, err)
		}
	}
}

func TestCallsHonourTheirContext(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer server.Close()
	defer close(release)
	c, err := New(server.URL, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.User(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("User = %v, want context.DeadlineExceeded", err)
	}
}

// A redirect must not carry a token or a password away, and a proxy of the environment must not see them.
func TestCredentialsStayAtTheAddress(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s arrived elsewhere with %v", r.Method, r.URL, r.Header)
	}))
	defer elsewhere.Close()
	t.Setenv("HTTP_PROXY", elsewhere.URL)
	t.Setenv("http_proxy", elsewhere.URL)
	c := answering(t, &documented{status: 307, header: http.Header{"Location": {elsewhere.URL}}})
	if _, err := c.Login(timeout(t), wire.LoginRequest{Password: "p"}); err == nil || !strings.Contains(err.Error(), "sends on to "+elsewhere.URL) {
		t.Errorf("Login = %v, want to hear of the redirect", err)
	}
}

func TestNewRefusesBadAddresses(t *testing.T) {
	for _, address := range []string{"", "vpn.example.net", "ftp://h", "https://", "https://user:p@h", "https://h?x=1", "https://h#x", "http://%zz"} {
		if c, err := New(address, "", Options{}); err == nil {
			t.Errorf("New(%q) = %v, want an error", address, c.BaseURL())
		}
	}
	c, err := New("https://vpn.example.net/", "", Options{})
	if err != nil || c.BaseURL() != "https://vpn.example.net" {
		t.Errorf("BaseURL = %q, %v", c.BaseURL(), err)
	}
	if other := c.WithToken("t"); other.token != "t" || c.token != "" {
		t.Error("WithToken changes the client it is called on")
	}
}
