package web

import (
	"strings"
	"testing"

	"stile/accesskey"
	"stile/vpn"
)

// An app is named only for keys that it reads.
func TestAppsReadTheKey(t *testing.T) {
	seed := accesskey.Seed{1}
	for name, c := range map[string]struct {
		key     accesskey.Shadowsocks
		outline bool
	}{
		"2018": {seed.Shadowsocks(), true},
		"2022": {seed.Shadowsocks2022(accesskey.Method2022AES128, accesskey.Door{}), false},
	} {
		found := map[string]app{}
		for _, a := range appsFor(vpn.PlatformIOS, accesskey.ShadowsocksEndpoint{Shadowsocks: c.key, Host: "h", Port: 1}) {
			found[a.Name] = a
		}
		if _, ok := found["Outline"]; ok != c.outline {
			t.Errorf("%s: Outline is named: %t", name, ok)
		}
		if open := string(found["Hiddify"].Open); !strings.HasPrefix(open, "hiddify://import/ss%3A%2F%2F") {
			t.Errorf("%s: Hiddify opens with %q", name, open)
		}
	}
}
