package api

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"stile/accesskey"
	"stile/vpn"
	"stile/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenBundle is a fixed bundle with all that a name and an address may be.
func goldenBundle() *subscribed {
	seed, door := accesskey.Seed{1}, accesskey.Door{2}
	n := newNames()
	return &subscribed{Endpoints: []endpoint{
		{Name: n.unique("Амстердам 1"), Protocol: vpn.Shadowsocks, Host: "s1.example.net", Port: 8390, Shadowsocks: seed.Shadowsocks()},
		{Name: n.unique("Амстердам 1 · HTTPS"), Protocol: vpn.HTTPS, Host: "s1.example.net", Port: 8443, HTTPS: seed.HTTPS(door)},
		{Name: n.unique("Dublin \"2\": {x}\n- y #'\u2028"), Protocol: vpn.Shadowsocks, Host: "2001:db8::1", Port: 1, Shadowsocks: accesskey.Seed{3}.Shadowsocks()},
		{Name: n.unique("Auto"), Protocol: vpn.Shadowsocks, Host: "192.0.2.7", Port: 65535, Shadowsocks: accesskey.Seed{4}.Shadowsocks()},
	}}
}

// TestFormats compares what each format writes with its golden file: the keys, and a refusal.
func TestFormats(t *testing.T) {
	refused := &subscribed{Refusal: "Срок подписки истёк.", Code: "subscription_expired"}
	for name, f := range formats {
		for kind, s := range map[string]*subscribed{"keys": goldenBundle(), "refusal": refused} {
			file := filepath.Join("testdata", "bundle", name+"-"+kind+f.extension)
			got := must(f.write(s))(t)
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want := must(os.ReadFile(file))(t); string(got) != string(want) {
				t.Errorf("%s:\ngot  %s\nwant %s", file, got, want)
			}
		}
	}
}

// The links of the list are what our own parser of others' links reads, in the order of the bundle.
func TestBase64List(t *testing.T) {
	want := goldenBundle().Endpoints
	want = slices.DeleteFunc(want, func(e endpoint) bool { return e.Protocol != vpn.Shadowsocks })
	lines := linesOf(t, string(must(writeBase64(goldenBundle()))(t)))
	if len(lines) != len(want) {
		t.Fatalf("%d links, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		got := must(accesskey.ParseShadowsocks(line))(t)
		if w := want[i]; got.Host != w.Host || got.Port != w.Port || got.Name != w.Name || got.Shadowsocks != w.Shadowsocks {
			t.Errorf("link %d: %+v, want %+v", i, got, w)
		}
	}
}

// linesOf reads a list as clients do.
func linesOf(t *testing.T, body string) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(string(must(base64.StdEncoding.DecodeString(body))(t))), "\n")
}

// clashProfile is a profile by Mihomo's documentation; a field that is not there is an error.
type clashProfile struct {
	MixedPort int    `yaml:"mixed-port"`
	Mode      string `yaml:"mode"`
	DNS       struct {
		Enable                bool
		EnhancedMode          string `yaml:"enhanced-mode"`
		Nameserver            []string
		ProxyServerNameserver []string `yaml:"proxy-server-nameserver"`
	}
	Proxies []clashEntry
	Groups  []struct {
		Name, Type string
		Proxies    []string
		URL        string
		Interval   int
	} `yaml:"proxy-groups"`
	Rules []string
}

type clashEntry struct {
	Name, Type, Server, Cipher, Username, Password, SNI string
	Port                                                int
	UDP, TLS                                            bool
}

// parseClash reads a profile with a parser that others wrote, and checks that all it names is there, once.
func parseClash(t *testing.T, body []byte) clashProfile {
	t.Helper()
	var p clashProfile
	dec := yaml.NewDecoder(strings.NewReader(string(body)))
	dec.KnownFields(true)
	if err := dec.Decode(&p); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	known := map[string]bool{"DIRECT": true}
	for _, e := range p.Proxies {
		if known[e.Name] || e.Server == "" || e.Port < 1 || e.Port > 65535 {
			t.Errorf("proxy %+v", e)
		}
		known[e.Name] = true
	}
	for _, g := range p.Groups {
		if known[g.Name] {
			t.Errorf("group %q has the name of another", g.Name)
		}
		known[g.Name] = true
	}
	for _, g := range p.Groups {
		for _, name := range g.Proxies {
			if !known[name] {
				t.Errorf("group %q names %q, which is not there", g.Name, name)
			}
		}
	}
	for _, rule := range p.Rules {
		words := strings.Split(rule, ",")
		if to := words[min(2, len(words)-1)]; !known[to] {
			t.Errorf("rule %q leads nowhere", rule)
		}
	}
	if last := p.Rules[len(p.Rules)-1]; last != "MATCH,"+groupName {
		t.Errorf("the last rule is %q", last)
	}
	return p
}

func TestClashProfile(t *testing.T) {
	p := parseClash(t, must(writeClash(goldenBundle()))(t))
	for i, e := range goldenBundle().Endpoints {
		want := clashEntry{Name: e.Name, Type: "ss", Server: e.Host, Port: e.Port, Cipher: "aes-256-gcm", Password: e.Shadowsocks.Password, UDP: true}
		if e.Protocol == vpn.HTTPS {
			want = clashEntry{Name: e.Name, Type: "http", Server: e.Host, Port: e.Port, Username: e.HTTPS.Username, Password: e.HTTPS.Password, TLS: true, SNI: e.Host}
		}
		if p.Proxies[i] != want {
			t.Errorf("proxy %d: %+v, want %+v", i, p.Proxies[i], want)
		}
	}
}

// singBox is a configuration by sing-box's documentation; a field that is not there is an error.
type singBox struct {
	Log struct{ Level string }
	DNS struct {
		Servers []struct{ Type, Tag, Server, Detour string }
		Final   string
	}
	Inbounds []struct {
		Type, Tag   string
		Address     []string
		AutoRoute   bool `json:"auto_route"`
		StrictRoute bool `json:"strict_route"`
	}
	Outbounds []singBoxOutbound
	Route     struct {
		Rules []struct {
			Action, Protocol, Outbound string
			IPIsPrivate                bool `json:"ip_is_private"`
		}
		Final               string
		AutoDetectInterface bool   `json:"auto_detect_interface"`
		DefaultResolver     string `json:"default_domain_resolver"`
	}
}

type singBoxOutbound struct {
	Type, Tag, Server, Method, Username, Password string
	Port                                          int    `json:"server_port"`
	Resolver                                      string `json:"domain_resolver"`
	TLS                                           *struct {
		Enabled    bool
		ServerName string `json:"server_name"`
	}
	Outbounds              []string
	Default, URL, Interval string
}

func TestSingBoxConfiguration(t *testing.T) {
	var c singBox
	dec := json.NewDecoder(strings.NewReader(string(must(writeSingBox(goldenBundle()))(t))))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	tags := map[string]singBoxOutbound{}
	for _, o := range c.Outbounds {
		if _, isTaken := tags[o.Tag]; isTaken {
			t.Errorf("tag %q is there twice", o.Tag)
		}
		tags[o.Tag] = o
	}
	for _, o := range c.Outbounds {
		for _, tag := range o.Outbounds {
			if _, ok := tags[tag]; !ok {
				t.Errorf("%q names %q, which is not there", o.Tag, tag)
			}
		}
	}
	if tags[c.Route.Final].Default != autoName || c.DNS.Servers[0].Detour != groupName || c.DNS.Final != c.DNS.Servers[0].Tag || c.Route.DefaultResolver != c.DNS.Servers[1].Tag {
		t.Errorf("route %+v, DNS %+v", c.Route, c.DNS)
	}
	for _, e := range goldenBundle().Endpoints {
		o := tags[e.Name]
		user, password, method, kind := "", e.Shadowsocks.Password, "aes-256-gcm", "shadowsocks"
		if e.Protocol == vpn.HTTPS {
			user, password, method, kind = e.HTTPS.Username, e.HTTPS.Password, "", "http"
		}
		if o.Type != kind || o.Server != e.Host || o.Port != e.Port || o.Username != user || o.Password != password || o.Method != method ||
			(o.TLS != nil) != (e.Protocol == vpn.HTTPS) || o.TLS != nil && (!o.TLS.Enabled || o.TLS.ServerName != e.Host) {
			t.Errorf("%q: %+v", e.Name, o)
		}
	}
}

// TestClients asks as clients do, by what they call themselves.
func TestClients(t *testing.T) {
	a := must(New(nil, Config{}))(t)
	for agent, want := range map[string]string{
		"": "base64", "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0": "base64", "curl/8.14.1": "base64",
		"v2rayNG/1.10.2": "base64", "v2rayN/7.10": "base64", "Shadowrocket/2678 CFNetwork/1568 Darwin/24.0.0": "base64",
		"Streisand/1.6.46 CFNetwork/1568": "base64", "Happ/3.1.0/Android": "base64", "V2Box 9.9.9;IOS 18.1": "base64",
		"clash-verge/v2.2.3": "clash", "ClashMetaForAndroid/2.11.5.Meta": "clash", "mihomo/1.19.13": "clash", "FlClash/v0.8.90 Platform/android": "clash",
		"Stash/3.1.0 Clash/1.9.0": "clash", "ClashX Pro/1.118": "clash", "HiddifyNext/2.5.7 (android) like ClashMeta v2ray sing-box": "clash",
		"SFA/1.12.12 (Build 600; sing-box 1.12.12; language ru_RU)": "sing-box", "SFI/1.11.4": "sing-box", "SFM/1.11.4": "sing-box", "SFT/1.11.4": "sing-box",
		"sing-box 1.12.12": "sing-box", "Karing/1.1.2": "sing-box", "Outline/1.15": "outline",
	} {
		if got := a.formatFor("", agent); got != formats[want] {
			t.Errorf("%q does not get %s", agent, want)
		}
		if a.formatFor("outline", agent) != formats["outline"] || a.formatFor("x", agent) != nil {
			t.Errorf("%q: ?format= does not win", agent)
		}
	}
}

// subscriptionPath signs a device in and returns its token, and the path of its subscription as the app hears of it.
func (w *world) subscriptionPath(clientID string) (token, path string) {
	w.t.Helper()
	token, _ = w.signIn("user@example.com", clientID)
	a := decode[wire.AppResponse](w.t, w.as(token, "GET", "/api/userApp", ""), http.StatusOK)
	if a.SubscriptionURL == nil || !strings.HasPrefix(*a.SubscriptionURL, w.server.URL+"/sub/") {
		w.t.Fatalf("subscription_url: %v", a.SubscriptionURL)
	}
	return token, strings.TrimPrefix(*a.SubscriptionURL, w.server.URL)
}

// A subscription address leads to the device's own keys on all servers that are open to it; they are the keys of
// POST /api/key. It ends with the device, and a new one ends the old one's keys.
func TestSubscriptionAddress(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, engine.dsn(t))
			const more = 150 // keys that are made at once
			for i := range more {
				must(w.service.AddServer(t.Context(), vpn.Shell(), vpn.Server{
					Name: "Server " + strconv.Itoa(i), CountryCode: "DE", Host: "h" + strconv.Itoa(i) + ".example.net", ShadowsocksPort: 8388, ShadowsocksPorts: 4,
				}))(t)
			}
			token, path := w.subscriptionPath("phone")
			answer := w.call("GET", path, "")
			links := linesOf(t, answer.body)
			if answer.StatusCode != http.StatusOK || len(links) != more+1 {
				t.Fatalf("%d, %d links", answer.StatusCode, len(links))
			}
			for range 2 { // the same again, from the database
				if again := w.call("GET", path, ""); again.body != answer.body || again.Header.Get("ETag") != answer.Header.Get("ETag") {
					t.Error("asking again gave other keys")
				}
			}
			if r := w.call("GET", path, "", "If-None-Match: "+answer.Header.Get("ETag")); r.StatusCode != http.StatusNotModified || r.body != "" {
				t.Errorf("with the tag: %d", r.StatusCode)
			}
			if r := w.call("HEAD", path, ""); r.StatusCode != http.StatusOK || r.body != "" || r.Header.Get("ETag") != answer.Header.Get("ETag") ||
				r.ContentLength != int64(len(answer.body)) {
				t.Errorf("HEAD: %d, %d bytes", r.StatusCode, r.ContentLength)
			}
			issued := decode[wire.IssuedKey](t, w.as(token, "POST", "/api/key", `{"server_id":`+id(w.servers[0].ID)+`}`), http.StatusOK)
			if !slices.Contains(links, issued.Key) {
				t.Error("the key of /api/key is not in the list")
			}
			profile := parseClash(t, []byte(w.call("GET", path+"?format=clash", "").body))
			if !slices.ContainsFunc(profile.Proxies, func(e clashEntry) bool { return e.Type == "http" && e.Password == issued.HTTPS.Password }) {
				t.Error("the HTTPS proxy is not in the profile")
			}

			actor := must(w.service.Authenticate(t.Context(), token))(t)
			if err := w.service.RotateAddress(t.Context(), actor, actor.Device.ID); err != nil {
				t.Fatal(err)
			}
			if r := w.call("GET", path, ""); r.StatusCode != http.StatusNotFound {
				t.Errorf("the old address: %d", r.StatusCode)
			}
			if _, err := w.store.Key(t.Context(), issued.KeyID); err == nil {
				t.Error("a key that the old address gave lives")
			}
			_, path = w.subscriptionPath("phone")
			if fresh := linesOf(t, w.call("GET", path, "").body); len(fresh) != more+1 || slices.Contains(links, fresh[0]) {
				t.Errorf("%d links after the rotation", len(fresh))
			}
			keys := must(w.store.DeviceKeys(t.Context(), actor.Device.ID))(t)
			if err := w.service.RemoveDevice(t.Context(), actor, actor.Device.ID); err != nil {
				t.Fatal(err)
			}
			gone, unknown := w.call("GET", path, ""), w.call("GET", "/sub/nothing", "")
			if gone.StatusCode != http.StatusNotFound || strings.ReplaceAll(gone.body, strings.TrimPrefix(path, "/sub/"), "nothing") != unknown.body {
				t.Errorf("of a removed device: %d %s", gone.StatusCode, gone.body)
			}
			for _, k := range keys {
				if _, err := w.store.Key(t.Context(), k.ID); err == nil {
					t.Error("a key of a removed device lives")
				}
			}
			if secret := path[len(path)-22:]; strings.Contains(w.log.String(), secret) {
				t.Error("the address is in the log")
			}
		})
	}
}

// Who may have no keys hears why in the form that clients show; what they show of the subscription is in headers.
func TestSubscriptionSaysWhy(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	_, path := w.subscriptionPath("phone")
	e := must(w.store.Entitlement(t.Context(), w.user.ID))(t)
	info := "upload=0; download=0; total=107374182400; expire=" + strconv.FormatInt(e.Subscription.ExpiresAt.Unix(), 10)
	if got := w.call("GET", path, "").Header.Get("Subscription-Userinfo"); got != info {
		t.Errorf("%s, want %s", got, info)
	}
	says := func(code, text string, headers ...string) {
		t.Helper()
		answer := w.call("GET", path, "", headers...)
		links := linesOf(t, answer.body)
		entry := must(accesskey.ParseShadowsocks(links[0]))(t)
		if answer.StatusCode != http.StatusOK || len(links) != 1 || entry.Name != "⛔ "+text || entry.Host != "127.0.0.1" || answer.Header.Get("X-Error-Code") != code {
			t.Errorf("%d %s %+v", answer.StatusCode, answer.Header.Get("X-Error-Code"), entry)
		}
		refusal := decode[wire.DynamicKeyRefusal](t, w.call("GET", path+"?format=outline", "", headers...), http.StatusOK)
		if refusal.Error.Message != text || refusal.Error.Details != code {
			t.Errorf("outline: %+v", refusal)
		}
		if p := parseClash(t, []byte(w.call("GET", path+"?format=clash", "", headers...).body)); p.Proxies[0].Name != "⛔ "+text {
			t.Errorf("clash: %+v", p.Proxies)
		}
	}
	for _, s := range w.servers {
		w.nodes.mu.Lock()
		w.nodes.isOffline[s.ID] = true
		w.nodes.mu.Unlock()
	}
	w.pass(2 * time.Second)
	says("server_offline", "There is no server for you at the moment.", "Accept-Language: en")
	w.pass(40 * 24 * time.Hour)
	says("subscription_expired", "Срок подписки истёк.") // in the user's own language
	if err := w.service.SetUserStatus(t.Context(), vpn.Shell(), w.user.ID, vpn.UserBlocked); err != nil {
		t.Fatal(err)
	}
	says("account_blocked", "The account is blocked. Please contact support.", "Accept-Language: en")
}

// A subscription that waits for its first key begins with the first look at the address.
func TestSubscriptionAddressBegins(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	must(w.service.AddPlan(t.Context(), vpn.Shell(), vpn.Plan{Code: "late", Name: vpn.Text{EN: "Late"}, PeriodDays: 7, DeviceLimit: 2, StartsAtFirstUse: true}))(t)
	must(w.service.Subscribe(t.Context(), vpn.Shell(), w.user.ID, "late", 1))(t)
	_, path := w.subscriptionPath("phone")
	if answer := w.call("GET", path, ""); !strings.Contains(answer.Header.Get("Subscription-Userinfo"), "; total=0; expire=") {
		t.Errorf("%d %s", answer.StatusCode, answer.Header.Get("Subscription-Userinfo"))
	}
	if e := must(w.store.Entitlement(t.Context(), w.user.ID))(t); e.Subscription.PendingDays != 0 {
		t.Errorf("%+v", e.Subscription)
	}
}

// FuzzSubscription asks for any token and format: nothing comes of a guess, and no fault.
func FuzzSubscription(f *testing.F) {
	w := setup(f, engines[0].dsn(f))
	_, path := w.subscriptionPath("phone")
	address := strings.TrimPrefix(path, "/sub/")
	for _, token := range []string{address, strings.ToUpper(address), "0" + address, address[:len(address)-1] + "B", "1.", ".", "9223372036854775808.AAAAAAAAAAAAAAAAAAAAAA", "-1.AAAAAAAAAAAAAAAAAAAAAA", "1.AAAAAAAAAAAAAAAAAAAAA\n"} {
		f.Add(token, "clash", "mihomo")
	}
	f.Add(address, "%zz&&", "\xff")
	a := must(New(w.service, *w.config))(f)
	f.Fuzz(func(t *testing.T, token, format, agent string) {
		w.pass(time.Second) // the throttle forgets
		r := must(http.NewRequestWithContext(t.Context(), "GET", "http://h/", http.NoBody))(t)
		r.URL.Path, r.URL.RawQuery = "/sub/"+token, "format="+format
		r.Header["User-Agent"] = []string{agent}
		answer := httptest.NewRecorder()
		a.ServeHTTP(answer, r)
		if got, isOurs := answer.Code, token == address || token == address+"/"; got >= 500 || (got == 200) && !isOurs || isOurs && got == 404 {
			t.Errorf("%q %q %q: %d", token, format, agent, got)
		}
	})
}
