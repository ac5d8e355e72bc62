package vpn_test

import (
	"strings"
	"testing"

	"stile/vpn"
)

// A server whose code is none of ISO 3166-1, from before that was looked at, is changed as any other; another such code it doesn't get.
func TestAnUnassignedCountryMayStay(t *testing.T) {
	b := setup(t)
	old, err := b.store.AddServer(t.Context(), vpn.Server{Name: "old", CountryCode: "QQ", Host: "old.example.net", State: vpn.ServerActive, ShadowsocksPort: 8388, ShadowsocksPorts: 1}, vpn.Audit{Action: "server.add"})
	if err != nil {
		t.Fatal(err)
	}
	old.Capacity = 70
	if err := b.UpdateServer(t.Context(), shell, old); err != nil {
		t.Errorf("the code that was there: %v", err)
	}
	old.CountryCode = "XX"
	if err := b.UpdateServer(t.Context(), shell, old); vpn.CodeOf(err) != vpn.CodeValidationFailed {
		t.Errorf("another such code: %v", err)
	}
	old.CountryCode = "is"
	if err := b.UpdateServer(t.Context(), shell, old); err != nil {
		t.Errorf("a country: %v", err)
	}
	old.CountryCode = "QQ"
	if err := b.UpdateServer(t.Context(), shell, old); vpn.CodeOf(err) != vpn.CodeValidationFailed {
		t.Errorf("the code of before: %v", err)
	}
	old.ID = 999
	if err := b.UpdateServer(t.Context(), shell, old); vpn.CodeOf(err) != vpn.CodeNotFound {
		t.Errorf("no such server: %v", err)
	}
}

// A key leads to a machine by its name or address alone, and no client reads one whose name is not in ASCII form.
func TestHostOfAServer(t *testing.T) {
	b := setup(t)
	for host, isOne := range map[string]bool{
		"nl1.example.net": true, "192.0.2.1": true, "2001:db8::1": true, "localhost": true, "xn--e1afmkfd.xn--p1ai": true, "a_b.example.net": true,
		"": false, "пример.рф": false, "a b": false, "https://nl1.example.net": false, "nl1.example.net:443": false, "nl1.example.net/": false, "[2001:db8::1]": false,
		"a@b": false, "a\nb": false, strings.Repeat("a", 254): false,
	} {
		_, err := b.AddServer(t.Context(), shell, vpn.Server{Name: "at " + host, CountryCode: "NL", Host: host, ShadowsocksPort: 8388, ShadowsocksPorts: 1})
		if refused := vpn.CodeOf(err) == vpn.CodeValidationFailed; refused == isOne {
			t.Errorf("%q: %v", host, err)
		}
	}
}
