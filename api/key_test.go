package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"stile/accesskey"
	"stile/internal/locale"
	"stile/vpn"
	"stile/wire"
)

// marshalled is a value as sendJSON writes it.
func marshalled(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// TestKeyWritesItselfAsItsTypeIs holds the answer's own writing against what encoding/json makes of the type that clients read
// it with.
func TestKeyWritesItselfAsItsTypeIs(t *testing.T) {
	a := must(New(nil, Config{}))(t)
	at := time.Date(2026, 11, 26, 1, 2, 3, 4_000_000, time.UTC)
	for _, protocols := range [][]vpn.Protocol{{vpn.Shadowsocks}, {vpn.HTTPS}, {vpn.HTTPS, vpn.Shadowsocks}, {vpn.Shadowsocks, vpn.HTTPS}, nil} {
		for i, host := range []string{"nl1.example.net", "2001:db8::1", `a"b\c` + "\u2028<é"} {
			method := []string{accesskey.MethodAES256GCM, accesskey.Method2022AES128, accesskey.Method2022AES256}[i]
			server := &vpn.ListedServer{Server: vpn.Server{
				ID: 3, Name: `Amsterdam "1" · <Москва>`, CountryCode: "NL", City: vpn.Text{RU: "Амстердам", EN: "Amsterdam\n"}, Host: host,
				PingURL: "https://nl1.example.net/ping?a=1&b=2", Protocols: protocols, ShadowsocksMethod: method, ShadowsocksPort: 8388, ShadowsocksPorts: 10, HTTPSPort: 443,
			}}
			issued := &vpn.IssuedKey{
				Key: vpn.Key{ID: 1 << 40, DeviceID: 5, ServerID: 3, Seed: accesskey.Seed{1, 2, 3}, CreatedAt: at}, Server: server, IsReady: true,
				RefreshAt: at.Add(time.Hour), View: &vpn.View{},
			}
			if protocols != nil {
				issued.Protocol, issued.SpeedLimitMbps = protocols[0], 100
				issued.Key.NotAfter, issued.Traffic = at.Add(time.Minute), vpn.Traffic{Limit: 10, Left: 3}
			}
			got := keyAnswer{issued, a, &keyInput{lang: locale.English, baseURL: "https://vpn.example.net/" + host}}.append(nil)
			var read wire.IssuedKey
			decoder := json.NewDecoder(bytes.NewReader(got))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&read); err != nil {
				t.Fatalf("%s\n%v", got, err)
			}
			if want := marshalled(t, read); string(got) != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			if offers := server.Offers(vpn.Shadowsocks); offers && read.Shadowsocks.Host != host || (offers && i == 0) != (read.DynamicKey != nil) {
				t.Errorf("%s", got)
			}
		}
	}
}

// FuzzMembers holds the walk through an object against encoding/json's.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{"server_id":1,"device_id":"0"}`, `{}`, ` { "a" : [1, {"b":"]"}] , "a":"\"\\" } `, `{"\u0061":null,"a":true}`, `{"a":"x\ud800"}`,
		`{"a":-1.5e3,"b":{"c":[]},"d":[ ],"":""}`, `[]`, `null`, `[1]`, `"a"`, `{"a":1,}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := jsonValues(body)
		var fields map[string]json.RawMessage
		isObject := len(bytes.TrimSpace(body)) > 0 && bytes.TrimSpace(body)[0] == '{'
		if want := json.Unmarshal(body, &fields); isObject && (err == nil) && want != nil {
			t.Fatalf("took %q: %v", body, want)
		}
		if err != nil || !isObject {
			return
		}
		for name, raw := range fields {
			isThere := slices.ContainsFunc(got, func(f field) bool { return f.name == name })
			if v := got.of(name); !isThere || v != jsonValue(raw) {
				t.Fatalf("%q of %q: %+v, want %+v", name, body, v, jsonValue(raw))
			}
		}
		for _, field := range got {
			if _, isThere := fields[field.name]; !isThere {
				t.Fatalf("%q is not in %q", field.name, body)
			}
		}
	})
}

// TestKeyOfARevokedTokenIsRefusedAtOnce asks for a key again and again, as nothing but a cache could answer: what ends a token
// or a user's access is honoured by the next request.
func TestKeyOfARevokedTokenIsRefusedAtOnce(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			w := setup(t, engine.dsn(t))
			request := `{"server_id":` + id(w.servers[0].ID) + `}`
			ask := func(token string) int { return w.as(token, "POST", "/api/key", request).StatusCode }
			token, _ := w.signIn("user@example.com", "phone")
			for _, change := range []struct {
				name  string
				do    func() error
				after int
			}{
				{"block", func() error {
					return w.service.SetUserStatus(t.Context(), vpn.Shell(), w.user.ID, vpn.UserBlocked)
				}, http.StatusForbidden},
				{"unblock", func() error {
					return w.service.SetUserStatus(t.Context(), vpn.Shell(), w.user.ID, vpn.UserActive)
				}, http.StatusOK},
				{"expire", func() error {
					return w.service.SetExpiry(t.Context(), vpn.Shell(), w.user.ID, w.now().AddDate(-1, 0, 0))
				}, http.StatusPaymentRequired},
				{"renew", func() error {
					return w.service.SetExpiry(t.Context(), vpn.Shell(), w.user.ID, w.now().Add(24*time.Hour))
				}, http.StatusOK},
				{"sign out", func() error {
					actor, err := w.service.Authenticate(t.Context(), token)
					if err != nil {
						return err
					}
					return w.service.SignOut(t.Context(), actor)
				}, http.StatusUnauthorized},
			} {
				ask(token)
				ask(token)
				if err := change.do(); err != nil {
					t.Fatal(err)
				}
				if got := ask(token); got != change.after {
					t.Errorf("after %s: %d, want %d", change.name, got, change.after)
				}
			}
		})
	}
}
