package accesskey

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestURI(t *testing.T) {
	plain := Shadowsocks{Method: "aes-256-gcm", Password: "secret"}
	modern := Shadowsocks{Method: Method2022AES128, Password: "a+/=:b"} // as SIP022 has it
	tagged := Shadowsocks{Method: "aes-256-gcm", Password: "secret", Prefix: "\x16\x03\xa8 +&#%"}
	const user = "YWVzLTI1Ni1nY206c2VjcmV0"
	for _, c := range []struct{ got, want string }{
		{plain.URI("nl1.example.net", 8388, ""), "ss://" + user + "@nl1.example.net:8388/?outline=1"},
		{plain.URI("192.0.2.1", 1, "Amsterdam 1"), "ss://" + user + "@192.0.2.1:1/?outline=1#Amsterdam%201"},
		{plain.URI("2001:db8::1", 443, "Москва #1"), "ss://" + user + "@[2001:db8::1]:443/?outline=1#%D0%9C%D0%BE%D1%81%D0%BA%D0%B2%D0%B0%20%231"},
		{tagged.URI("h", 443, ""), "ss://" + user + "@h:443/?outline=1&prefix=%16%03%C2%A8%20%2B%26%23%25"},
		{modern.URI("h", 9, "x"), "ss://2022-blake3-aes-128-gcm:a%2B%2F%3D%3Ab@h:9#x"},
		{countingSeed().Shadowsocks().URI("h", 9, "x"),
			"ss://YWVzLTI1Ni1nY206LWxtdXlfTEhWLTVWallpbDZEck5XUlFWRXFOdUJnQXo@h:9/?outline=1&prefix=6pXWju_b_m#x"},
	} {
		if c.got != c.want {
			t.Errorf("URI:\n got %s\nwant %s", c.got, c.want)
		}
	}
}

func TestParseReadsWhatOthersWrite(t *testing.T) {
	want := ShadowsocksEndpoint{Shadowsocks: Shadowsocks{Method: "aes-256-gcm", Password: "p/a:s@s?"}, Host: "h.example", Port: 8388, Name: "a b"}
	raw := []byte(want.Method + ":" + want.Password)
	for name, uri := range map[string]string{
		"SIP002":                  "ss://" + base64.RawURLEncoding.EncodeToString(raw) + "@h.example:8388/#a%20b",
		"no slash":                "ss://" + base64.RawURLEncoding.EncodeToString(raw) + "@h.example:8388#a%20b",
		"padded":                  "ss://" + base64.URLEncoding.EncodeToString(raw) + "@h.example:8388#a%20b",
		"escaped padding":         "SS://" + strings.ReplaceAll(base64.URLEncoding.EncodeToString(raw), "=", "%3D") + "@h.example:8388#a%20b",
		"standard alphabet":       "ss://" + base64.StdEncoding.EncodeToString(raw) + "@h.example:8388#a%20b",
		"plain user info":         "ss://aes-256-gcm:p%2Fa%3As%40s%3F@h.example:8388/?outline=1#a%20b",
		"legacy":                  "ss://" + base64.StdEncoding.EncodeToString([]byte(string(raw)+"@h.example:8388")) + "#a%20b",
		"empty plugin is nothing": "ss://" + base64.RawURLEncoding.EncodeToString(raw) + "@h.example:8388/?plugin=#a%20b",
	} {
		if got, err := ParseShadowsocks(uri); err != nil || got != want {
			t.Errorf("%s: %s\n got %+v, %v\nwant %+v", name, uri, got, err, want)
		}
	}
}

func TestParseReadsOwn(t *testing.T) {
	for _, host := range []string{"nl1.example.net", "198.51.100.7", "2001:db8::7"} {
		want := ShadowsocksEndpoint{Shadowsocks: countingSeed().Shadowsocks(), Host: host, Port: 65535, Name: "Нидерланды · 1"}
		if got, err := ParseShadowsocks(want.URI()); err != nil || got != want {
			t.Errorf("ParseShadowsocks(%s) = %+v, %v", want.URI(), got, err)
		}
	}
	for _, method := range []string{Method2022AES128, Method2022AES256} {
		want := ShadowsocksEndpoint{Shadowsocks: countingSeed().Shadowsocks2022(method, Door{1}), Host: "2001:db8::7", Port: 1, Name: "Осло"}
		got, err := ParseShadowsocks(want.URI())
		if err != nil || got != want || !got.Is2022() {
			t.Errorf("ParseShadowsocks(%s) = %+v, %v", want.URI(), got, err)
		}
		identity, user, err := got.PSKs()
		if err != nil || string(identity) != string(Door{1}.IdentityPSK(method)) || string(user) != string(countingSeed().PSK(method)) {
			t.Errorf("PSKs() = %x, %x, %v", identity, user, err)
		}
	}
	every := make([]byte, maxForeignPrefix)
	for from := 0; from < 256; from += len(every) {
		for i := range every {
			every[i] = byte(from + i)
		}
		want := ShadowsocksEndpoint{Shadowsocks: Shadowsocks{"aes-256-gcm", "p", string(every)}, Host: "h", Port: 1}
		if got, err := ParseShadowsocks(want.URI()); err != nil || got != want {
			t.Errorf("prefix from %#x: %+v, %v", from, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const user = "ss://YWVzLTI1Ni1nY206c2VjcmV0"
	for name, uri := range map[string]string{
		"empty": "", "another scheme": "https://h/", "scheme alone": "ss://", "no user": "ss://@h:1", "no port": user + "@h",
		"port 0": user + "@h:0", "port 65536": user + "@h:65536", "signed port": user + "@h:+1", "no host": user + "@:1",
		"space in host": user + "@h h:1", "bare IPv6": user + "@2001:db8::1:443", "IPv4 in brackets": user + "@[192.0.2.1]:1",
		"zone": user + "@[fe80::1%25eth0]:1", "open bracket": user + "@[::1:1", "path": user + "@h:1/x",
		"no password":            "ss://" + base64.RawURLEncoding.EncodeToString([]byte("aes-256-gcm:")) + "@h:1",
		"no method":              "ss://" + base64.RawURLEncoding.EncodeToString([]byte(":secret")) + "@h:1",
		"not text":               "ss://" + base64.RawURLEncoding.EncodeToString([]byte{'a', ':', 0xff}) + "@h:1",
		"prefix beyond a byte":   user + "@h:1/?prefix=%C4%80",
		"prefix one too long":    user + "@h:1/?prefix=" + strings.Repeat("a", maxForeignPrefix+1),
		"half an escape":         user + "@h:1/?prefix=%1",
		"half an escape in name": user + "@h:1#%1",
		"too long":               user + "@h:1?" + strings.Repeat("a", maxURI-len(user+"@h:1?")+1),
		"name one too long":      user + "@h:1#" + strings.Repeat("a", maxText+1),
		"password too long":      "ss://a:" + strings.Repeat("a", maxText-1) + "@h:1",
	} {
		if got, err := ParseShadowsocks(uri); err == nil || got != (ShadowsocksEndpoint{}) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: ParseShadowsocks(%q) = %+v, %v; want an error", name, uri, got, err)
		}
	}
	if _, err := ParseShadowsocks(user + "@h:1/?plugin=obfs-local"); !errors.Is(err, errPlugin) {
		t.Errorf("plugin: %v, want errPlugin", err)
	}
}

func TestPSKsRefuse(t *testing.T) {
	const good = "Iv1JK3Gz5PX7Z41NWQ4VFg=="
	for name, k := range map[string]Shadowsocks{
		"AEAD-2018":   {Method: MethodAES256GCM, Password: good + ":" + good},
		"one PSK":     {Method: Method2022AES128, Password: good},
		"three PSKs":  {Method: Method2022AES128, Password: good + ":" + good + ":" + good},
		"wrong size":  {Method: Method2022AES256, Password: good + ":" + good},
		"not base64":  {Method: Method2022AES128, Password: good + ":" + "secret"},
		"no identity": {Method: Method2022AES128, Password: ":" + good},
	} {
		if _, _, err := k.PSKs(); err == nil || strings.Contains(err.Error(), "Iv1J") {
			t.Errorf("%s: %v, want an error that does not repeat the password", name, err)
		}
	}
}

func FuzzParseShadowsocks(f *testing.F) {
	f.Add(countingSeed().Shadowsocks2022(Method2022AES128, Door{}).URI("nl1.example.net", 8388, "Amsterdam 1"))
	f.Add("ss://2022-blake3-aes-256-gcm:a%20b+@h:1/?prefix=%16%03%01")
	f.Add(countingSeed().Shadowsocks().URI("nl1.example.net", 8388, "Amsterdam 1"))
	f.Add(countingSeed().Shadowsocks().URI("2001:db8::1", 1, ""))
	f.Add("ss://aes-256-gcm:p%2Fa@h:1/?prefix=%16%03%01")
	f.Add("ss://YWVzLTI1Ni1nY206c2VjcmV0QGg6MQ==#n")
	f.Fuzz(func(t *testing.T, uri string) {
		e, err := ParseShadowsocks(uri)
		if err != nil {
			return
		}
		again, err := ParseShadowsocks(e.URI())
		if err != nil || again != e {
			t.Fatalf("%q reads as %+v, written as %q, read again as %+v, %v", uri, e, e.URI(), again, err)
		}
	})
}
