package extension_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"stile/extension"
	"stile/internal/testbrowser"
)

// scene is what the pages show: memory that a worker could have kept.
type scene struct {
	name   string
	memory map[string]any
	// then is done in the page before it is looked at.
	then string
	page string // popup.html unless given
}

// A list as the API gives it, with all that can be special about a server.
const sampleServers = `[
 {"id":10,"name":"Амстердам 1","country":"Нидерланды","country_code":"NL","city":"Амстердам","api_url":"http://127.0.0.1:9/","load":19,"score":1.2,"status":"online","accessible":true,"locked_reason":null,"protocols":["https"]},
 {"id":11,"name":"Frankfurt 2","country":"Германия","country_code":"DE","city":"Франкфурт-на-Майне","api_url":"http://127.0.0.1:9/","load":92,"score":2.2,"status":"online","accessible":true,"locked_reason":null,"protocols":["https"]},
 {"id":12,"name":"Helsinki 1","country":"Финляндия","country_code":"FI","city":"Хельсинки","api_url":"http://127.0.0.1:9/","load":41,"score":2.4,"status":"online","accessible":true,"locked_reason":null,"protocols":["https"]},
 {"id":13,"name":"Tokyo 1","country":"Япония","country_code":"JP","city":"Токио","api_url":"http://127.0.0.1:9/","load":7,"score":3,"status":"online","accessible":true,"locked_reason":null,"protocols":["https"]},
 {"id":14,"name":"Istanbul 1","country":"Турция","country_code":"TR","city":"Стамбул","api_url":"http://127.0.0.1:9/","load":55,"score":3.5,"status":"maintenance","accessible":true,"locked_reason":null,"protocols":["https"]},
 {"id":15,"name":"New York 3","country":"Соединённые Штаты","country_code":"US","city":"Нью-Йорк","api_url":"http://127.0.0.1:9/","load":33,"score":3.6,"status":"online","accessible":false,"locked_reason":"plan_upgrade_required","protocols":["https"]},
 {"id":16,"name":"local","country":"ZZ","country_code":"ZZ","city":"","api_url":"http://127.0.0.1:9/","load":3,"score":4,"status":"online","accessible":true,"locked_reason":null,"protocols":["shadowsocks"]}]`

func sampleMemory(phase, reason string, more func(account map[string]any)) map[string]any {
	var servers any
	if err := json.Unmarshal([]byte(sampleServers), &servers); err != nil {
		panic(err)
	}
	account := map[string]any{
		"user":         map[string]any{"email": "ivan@example.com", "name": "Иван"},
		"subscription": map[string]any{"status": "active", "plan": map[string]any{"code": "standard", "name": "Стандарт", "tier": 1}, "expires_at": "2026-12-20T00:00:00Z", "days_left": 23, "is_trial": false},
		"access":       map[string]any{"allowed": true, "reason": nil, "message": nil},
		"traffic":      map[string]any{"used_bytes": 42 << 30, "limit_bytes": 100 << 30, "left_bytes": 58 << 30, "resets_at": "2026-12-20T00:00:00Z"},
		"devices":      map[string]any{"used": 2, "limit": 5}, "recommended_server_id": 10, "poll_after": 600,
		"links": map[string]any{"account": "https://vpn.example.net/account", "renew": "https://vpn.example.net/account", "support": "https://vpn.example.net/help"},
	}
	if more != nil {
		more(account)
	}
	state := map[string]any{"phase": phase, "reason": nil, "token": "1|x", "email": "ivan@example.com", "way": "direct", "choice": nil, "failed": []int{}, "renewed": false, "run": 1, "key": nil}
	if reason != "" {
		state["reason"] = reason
	}
	if phase == "connected" {
		state["key"] = map[string]any{"server": 10, "https": map[string]any{"host": "x", "port": 1, "bypass": []string{}}, "refreshAt": 0, "expiresAt": nil}
	}
	return map[string]any{"state": state, "account": account, "servers": servers, "pings": map[string]any{"10": 24, "11": 31, "12": 38, "13": 212}}
}

func scenes() []scene {
	expired := func(a map[string]any) {
		a["access"] = map[string]any{"allowed": false, "reason": "subscription_expired", "message": "x"}
		a["subscription"].(map[string]any)["status"], a["subscription"].(map[string]any)["days_left"] = "expired", 0
	}
	full := func(a map[string]any) {
		a["traffic"].(map[string]any)["used_bytes"] = 100 << 30
	}
	out := map[string]any{"state": map[string]any{"phase": "signed_out", "token": nil, "email": nil}}
	ended := sampleMemory("blocked", "unauthenticated", nil)
	ended["state"].(map[string]any)["token"] = nil
	return []scene{
		{name: "sign-in", memory: out},
		{name: "sign-in-wrong", memory: out, then: `(() => { const e = document.getElementById("sign_in_error"); e.hidden = false; e.textContent = document.documentElement.lang === "ru" ? "Неверный логин или пароль" : "Wrong e-mail or password"; })()`},
		{name: "code", memory: out, then: `(() => {
			document.getElementById("sign_in").hidden = true;
			document.getElementById("code").hidden = document.getElementById("code_error").hidden = false;
			const isRu = document.documentElement.lang === "ru";
			document.getElementById("code_text").textContent = isRu ? "Код действует один раз. Дождитесь следующего в приложении-аутентификаторе или введите код восстановления." : "A code works once. Wait for the next one of your authenticator app, or use a recovery code.";
			document.getElementById("code_error").textContent = isRu ? "Код неверный, устарел или уже использован." : "The code is wrong, late or was used already.";
		})()`},
		{name: "ended", memory: ended},
		{name: "idle", memory: sampleMemory("idle", "", nil)},
		{name: "connecting", memory: sampleMemory("connecting", "", nil)},
		{name: "connected", memory: sampleMemory("connected", "", nil)},
		{name: "server-down", memory: sampleMemory("blocked", "server_down", nil)},
		{name: "expired", memory: sampleMemory("blocked", "subscription_expired", expired)},
		{name: "quota", memory: sampleMemory("blocked", "traffic_quota_exceeded", full)},
		{name: "other-extension", memory: sampleMemory("blocked", "other_extension", nil)},
		{name: "servers", memory: sampleMemory("idle", "", nil), then: `document.getElementById("server").click()`},
		{name: "options", memory: sampleMemory("connected", "", nil), page: "options.html", then: `(() => { const i = document.getElementById("pattern"); i.value = "bank.example.com"; document.getElementById("bypass").requestSubmit(); })()`},
	}
}

// shots is where pictures of the pages are put, if anywhere.
var shots = os.Getenv("STILE_TEST_SHOTS")

// Every page in every state, in both languages and colours: nothing is cut off, and axe finds nothing.
func TestLook(t *testing.T) {
	dir := unpack(t, extension.Chromium, extension.Config{URL: "http://127.0.0.1:9", Name: "Stile", Language: "en"})
	c := testbrowser.StartChromium(t, testbrowser.ChromiumConfig{Extensions: []string{dir}})
	p := c.Open(c.Extension() + "popup.html")
	for _, language := range []string{"ru", "en"} {
		for _, theme := range []string{"light", "dark"} {
			for _, s := range scenes() {
				name := fmt.Sprintf("%s-%s-%s", s.name, language, theme)
				s.memory["prefs"] = map[string]any{"favourites": []int{12}, "language": language, "theme": theme, "bypass": []string{"intranet.example.org"}, "webrtc": true}
				raw, err := json.Marshal(s.memory)
				if err != nil {
					t.Fatal(err)
				}
				testbrowser.Value[any](t, p, `chrome.storage.local.clear().then(() => chrome.storage.local.set(`+string(raw)+`))`)
				file := s.page
				if file == "" {
					file = "popup.html"
				}
				p.Load(c.Extension() + file + "?" + name)
				testbrowser.Until(t, name+" is drawn", func() bool {
					return testbrowser.Value[bool](t, p, `document.body.dataset.ready === "" || (document.body.className === "options" && !document.querySelector("main").hidden)`)
				})
				if s.then != "" {
					testbrowser.Value[any](t, p, s.then)
				}
				if low := testbrowser.Value[float64](t, p, `Math.max(...[...document.querySelectorAll(".popup main:not([hidden]) > *")].map(e => e.getBoundingClientRect().bottom), 0)`); low > testbrowser.PopupHeight {
					t.Errorf("%s ends %v pixels below its top", name, low)
				}
				if wide := testbrowser.Value[int](t, p, `document.documentElement.scrollWidth`); wide > testbrowser.PopupWidth {
					t.Errorf("%s is %d pixels wide", name, wide)
				}
				if language == "en" || theme == "light" { // colours and words are looked at apart
					for _, fault := range testbrowser.Faults(t, p) {
						t.Errorf("%s: %s", name, fault)
					}
				}
				if shots != "" {
					if err := os.WriteFile(filepath.Join(shots, name+".png"), p.Shot(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}
