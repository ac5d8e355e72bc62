package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stile/accesskey"
	"stile/internal/testport"
)

// TestUserCommands runs the scripts of testdata/user, each against an API of its own that answers as documented, with
// Debian's ss-server behind the keys it gives.
func TestUserCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/user",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			api, err := startScriptedAPI(t)
			if err != nil {
				return err
			}
			env.Defer(api.stop)
			env.Values[apiKey{}] = api
			env.Setenv("PATH", filepath.Dir(stileBinary)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("LANG", "en_US.UTF-8")
			env.Setenv("TZ", "UTC")
			env.Setenv("API", api.server.URL)
			env.Setenv("SITE", api.site.URL)
			env.Setenv("PROXY", api.proxy)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fetch": fetchThrough,
			"knock": knockAtProxy,
			"api":   instructAPI,
		},
	})
}

type apiKey struct{}

// fetchThrough is the script command `[!] fetch PROXY-URL URL TEXT`: load a page by way of a proxy, which must contain
// TEXT. It waits for the proxy to open. Negated, the proxy must be there and the page not come. With "direct" for the
// proxy it asks the URL itself.
func fetchThrough(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: fetch PROXY-URL URL TEXT")
	}
	proxy, err := url.Parse(args[0])
	ts.Check(err)
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}
	if args[0] == "direct" {
		transport.Proxy = nil
		proxy, err = url.Parse(args[1])
		ts.Check(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", proxy.Host)
		if err == nil {
			ts.Check(conn.Close())
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the proxy does not open: %v", err)
		}
	}
	response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get(args[1])
	text := ""
	if err == nil {
		var raw []byte
		raw, err = io.ReadAll(response.Body)
		text = response.Status + " " + string(raw)
		response.Body.Close()
	}
	came := err == nil && strings.Contains(text, args[2])
	ts.Logf("%s, %v", text, err)
	if came == neg {
		ts.Fatalf("fetch %s by %s: %q, %v", args[1], args[0], text, err)
	}
}

// knockAtProxy is the script command `knock PROXY URL`: ask for a page by way of the HTTP proxy, whatever comes of it. A
// proxy that asks the API about its key on a failed connection may have ended by then.
func knockAtProxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: knock PROXY URL")
	}
	proxy := &url.URL{Scheme: "http", Host: args[0]}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get(args[1])
	if err != nil {
		ts.Logf("%v", err)
		return
	}
	response.Body.Close()
}

// instructAPI is the script command `api WORD`: from now on the API refuses as WORD says.
func instructAPI(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: api WORD")
	}
	api := ts.Value(apiKey{}).(*scriptedAPI)
	api.mu.Lock()
	defer api.mu.Unlock()
	if args[0] == "kill-server" {
		api.killServer()
		return
	}
	api.mood = args[0]
}

// scriptedAPI answers as the API documents, for an account with the token 7|good.
type scriptedAPI struct {
	server, site *httptest.Server
	proxy        string // a free address
	ssServer     *exec.Cmd
	key          string

	mu   sync.Mutex
	mood string // "", careful, signed-out, expired, full, quota, no-servers, portal, clock
}

func startScriptedAPI(t *testing.T) (*scriptedAPI, error) {
	binary, err := exec.LookPath("ss-server")
	if err != nil {
		return nil, fmt.Errorf("these tests need ss-server: apt-get install shadowsocks-libev")
	}
	port := testport.Free(t, 2)
	a := &scriptedAPI{proxy: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	secret := accesskey.Shadowsocks{Method: "aes-256-gcm", Password: "correct horse", Prefix: "6pXWju_b_m"}
	a.key = secret.URI("127.0.0.1", port+1, "Amsterdam 1")
	a.ssServer = exec.Command(binary, "-s", "127.0.0.1", "-p", strconv.Itoa(port+1), "-k", secret.Password, "-m", secret.Method, "-u")
	if err := a.ssServer.Start(); err != nil {
		return nil, err
	}
	a.server = httptest.NewServer(a)
	a.site = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "over the wall") }))
	return a, nil
}

func (a *scriptedAPI) killServer() {
	if a.ssServer != nil {
		_ = a.ssServer.Process.Kill()
		_ = a.ssServer.Wait()
		a.ssServer = nil
	}
}

func (a *scriptedAPI) stop() {
	a.mu.Lock()
	a.killServer()
	a.mu.Unlock()
	a.server.Close()
	a.site.Close()
}

// ServeHTTP is the whole API, in one table.
func (a *scriptedAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mood == "portal" {
		http.Error(w, "<h1>Pay for this network</h1>", http.StatusForbidden)
		return
	}
	if a.mood == "clock" {
		w.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
	}
	w.Header().Set("Content-Type", "application/json")
	body, _ := io.ReadAll(r.Body)
	route := r.Method + " " + r.URL.Path
	switch {
	case route == "GET /ping":
		w.WriteHeader(http.StatusNoContent)
		return
	case route == "POST /api/login":
		a.login(w, body)
		return
	case r.Header.Get("Authorization") != "Bearer 7|good" || a.mood == "signed-out":
		refuse(w, 401, "unauthenticated", `{"message":"Unauthenticated."}`)
		return
	}
	switch route {
	case "POST /api/logout":
		_, _ = io.WriteString(w, `{"message":"Выход из системы выполнен успешно"}`)
	case "GET /api/user":
		_, _ = io.WriteString(w, `{"id":42,"name":"Иван","email":"ivan@example.com","email_verified_at":null,"status":"active","locale":"ru","created_at":"2026-09-01T00:00:00Z","updated_at":"2026-09-01T00:00:00Z"}`)
	case "GET /api/subscription":
		a.subscription(w)
	case "POST /api/servers":
		a.servers(w, r)
	case "POST /api/key":
		a.issue(w, body)
	case "GET /api/devices":
		_, _ = io.WriteString(w, `{"data":[`+devices+`],"meta":{"used":2,"limit":5}}`)
	case "DELETE /api/devices/5":
		_, _ = io.WriteString(w, `{"message":"Устройство удалено"}`)
	default:
		refuse(w, 404, "device_not_found", `{"message":"No such device.","code":"device_not_found"}`)
	}
}

const devices = `{"id":6,"name":"laptop (linux)","platform":"linux","current":true,"created_at":"2026-09-01T00:00:00Z","last_seen_at":"2026-09-22T00:00:00Z"},` +
	`{"id":5,"name":"Телефон","platform":"ios","current":false,"created_at":"2026-08-01T00:00:00Z","last_seen_at":null}`

func refuse(w http.ResponseWriter, status int, code, body string) {
	w.Header().Set("X-Error-Code", code)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (a *scriptedAPI) login(w http.ResponseWriter, body []byte) {
	var in struct {
		Email, Password string
		ReplaceDevice   int64  `json:"replace_device_id"`
		DeviceID        string `json:"device_id"`
		DeviceName      string `json:"device_name"`
		OTP             string `json:"otp"`
	}
	if json.Unmarshal(body, &in) != nil || !strings.HasPrefix(in.DeviceID, "stile-") || in.DeviceName == "" {
		refuse(w, 400, "malformed_json", `{"message":"Malformed","code":"malformed_json"}`)
		return
	}
	switch {
	case a.mood == "throttled":
		w.Header().Set("Retry-After", "7")
		refuse(w, 429, "too_many_attempts", `{"message":"Too many attempts.","code":"too_many_attempts"}`)
	case in.Email != "ivan@example.com" || in.Password != " pass word ":
		refuse(w, 401, "invalid_credentials", `{"error":"Wrong login or password"}`)
	case a.mood == "full" && in.ReplaceDevice != 5:
		refuse(w, 409, "device_limit_reached", `{"message":"No free device slot.","code":"device_limit_reached","details":{"limit":2,"devices":[`+devices+`]}}`)
	case a.mood == "careful" && in.OTP == "":
		refuse(w, 401, "otp_required", `{"message":"Enter the code.","code":"otp_required"}`)
	case a.mood == "careful" && in.OTP != "123456":
		refuse(w, 401, "otp_invalid", `{"message":"The code is wrong.","code":"otp_invalid"}`)
	default:
		_, _ = io.WriteString(w, `{"token":"7|good","device_id":"6"}`)
	}
}

func (a *scriptedAPI) subscription(w http.ResponseWriter) {
	status, access := "active", `{"allowed":true,"reason":null,"message":null}`
	if a.mood == "expired" {
		status, access = "expired", `{"allowed":false,"reason":"subscription_expired","message":"The subscription has expired."}`
	}
	_, _ = fmt.Fprintf(w, `{"user":{"id":42,"email":"ivan@example.com","name":"Иван"},
"subscription":{"status":%q,"plan":{"code":"standard","name":"Стандарт","tier":1},"starts_at":"2026-09-01T00:00:00Z","expires_at":"2026-10-01T00:00:00Z","days_left":8,"expires_in":691200,"is_trial":false},
"access":%s,"traffic":{"used_bytes":1073741824,"limit_bytes":107374182400,"left_bytes":106300440576,"resets_at":"2026-10-01T00:00:00Z","speed_limit_mbps":null},
"devices":{"used":2,"limit":5},"device":{"id":6,"name":"laptop (linux)","current":true},"servers_revision":"9f2c41d0","recommended_server_id":10,
"links":{"account":null,"renew":"https://vpn.example.net/renew","support":null},"server_time":"2026-09-23T00:00:00Z","poll_after":600}`, status, access)
}

func (a *scriptedAPI) servers(w http.ResponseWriter, r *http.Request) {
	if a.mood == "no-servers" {
		_, _ = io.WriteString(w, `{"data":[],"meta":{"revision":"0","count":0,"recommended_server_id":null,"load_updated_at":null}}`)
		return
	}
	country, city := "Netherlands", "Amsterdam"
	if strings.HasPrefix(r.Header.Get("Accept-Language"), "ru") {
		country, city = "Нидерланды", "Амстердам"
	}
	const one = `{"id":%d,"name":%q,"country":%q,"country_code":%q,"city":%q,"latitude":52.37,"longitude":4.9,"api_url":%q,"active_connections":37,"capacity":200,"load":%d,"score":1.24,"status":%q,"accessible":%v,"locked_reason":%s,"tier":0,"protocols":["shadowsocks"],"has_key":false}`
	ping := a.server.URL + "/ping"
	isOpen, reason := true, "null"
	if a.mood == "expired" {
		isOpen, reason = false, `"subscription_expired"`
	}
	list := []string{
		fmt.Sprintf(one, 10, city+" 1", country, "NL", city, ping, 19, "online", isOpen, reason),
		fmt.Sprintf(one, 20, "Helsinki", "Finland", "FI", "Helsinki", "http://127.0.0.1:1/ping", 5, "online", isOpen, reason),
		fmt.Sprintf(one, 30, "Zürich", "Switzerland", "CH", "Zürich", ping, 100, "full", isOpen, reason),
		fmt.Sprintf(one, 40, "東京", "Japan", "JP", "", ping, 1, "online", false, `"plan_upgrade_required"`),
	}
	_, _ = io.WriteString(w, `{"data":[`+strings.Join(list, ",")+`],"meta":{"revision":"9f2c41d0","count":4,"recommended_server_id":10,"load_updated_at":null}}`)
}

func (a *scriptedAPI) issue(w http.ResponseWriter, body []byte) {
	var in struct {
		ServerID int64 `json:"server_id"`
		Protocol string
	}
	switch err := json.Unmarshal(body, &in); {
	case err != nil:
		refuse(w, 400, "malformed_json", `{"message":"Malformed","code":"malformed_json"}`)
	case a.mood == "expired":
		refuse(w, 402, "subscription_expired", `{"message":"The subscription has expired.","code":"subscription_expired","details":{"renew_url":"https://vpn.example.net/renew"}}`)
	case a.mood == "quota":
		refuse(w, 402, "traffic_quota_exceeded", `{"message":"The traffic is used up.","code":"traffic_quota_exceeded","details":{"resets_at":"2026-10-01T00:00:00Z"}}`)
	case in.ServerID == 30:
		refuse(w, 503, "server_full", `{"message":"The server is full.","code":"server_full","details":{"alternatives":[10]}}`)
	case in.Protocol == "wireguard":
		refuse(w, 422, "protocol_unavailable", `{"message":"Not on this server.","code":"protocol_unavailable","details":{"available":["shadowsocks"]}}`)
	default:
		_, _ = fmt.Fprintf(w, `{"key":%q,"key_id":981,"server_id":%d,"device_id":6,"protocol":"shadowsocks","ready":%v,"dynamic_key":null,"issued_at":"2026-09-01T00:00:00Z","refresh_at":"2026-09-02T00:00:00Z","expires_at":null,
"server":{"id":10,"name":"Amsterdam 1","country_code":"NL","city":"Amsterdam","api_url":""},"shadowsocks":null,"https":null,"wireguard":null,"limits":{"speed_mbps":null,"traffic_left_bytes":null}}`, a.key, in.ServerID, a.mood != "slow")
	}
}
