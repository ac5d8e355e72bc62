package vpn_test

import (
	"math"
	"strings"
	"testing"

	"stile/vpn"
)

// What is shown of servers and plans is bounded, and keys point to what clients can dial, whoever saves it: a form, a command, a call.
func TestServersAndPlansAreChecked(t *testing.T) {
	b := setup(t)
	long := strings.Repeat("я", 256)
	good := vpn.Server{Name: long[:2*255], CountryCode: "NL", Host: "nl2.example.net", PingURL: "http://[2001:db8::1]:8080/ping", ShadowsocksPort: 8388, ShadowsocksPorts: 1}
	if _, err := b.AddServer(t.Context(), shell, good); err != nil {
		t.Errorf("255 characters: %v", err)
	}
	for _, c := range []struct {
		field, rule string
		change      func(*vpn.Server)
	}{
		{"name", "required", func(s *vpn.Server) { s.Name = " " }},
		{"name", "max", func(s *vpn.Server) { s.Name = long }},
		{"city", "max", func(s *vpn.Server) { s.City.RU = long }},
		{"city", "max", func(s *vpn.Server) { s.City.EN = long }},
		{"host", "required", func(s *vpn.Server) { s.Host = "" }},
		{"host", "in", func(s *vpn.Server) { s.Host = "https://nl2.example.net" }},
		{"host", "in", func(s *vpn.Server) { s.Host = "nl2.example.net:8388" }},
		{"host", "in", func(s *vpn.Server) { s.Host = "[2001:db8::1]" }},
		{"host", "in", func(s *vpn.Server) { s.Host = "нл2.example.net" }},
		{"host", "in", func(s *vpn.Server) { s.Host = "a\nb" }},
		{"host", "in", func(s *vpn.Server) { s.Host = strings.Repeat("a", 254) }},
		{"ping_url", "url", func(s *vpn.Server) { s.PingURL = "nl2.example.net/ping" }},
		{"ping_url", "url", func(s *vpn.Server) { s.PingURL = "javascript:alert(1)" }},
		{"ping_url", "url", func(s *vpn.Server) { s.PingURL = "https://*/ping" }},
		{"latitude", "in", func(s *vpn.Server) { s.Latitude = math.NaN() }},
		{"longitude", "in", func(s *vpn.Server) { s.Longitude = math.Inf(-1) }},
	} {
		s := good
		s.Name = "another"
		c.change(&s)
		_, err := b.AddServer(t.Context(), shell, s)
		if refusal, ok := err.(*vpn.Error); !ok || refusal.Field != c.field || refusal.Rule != c.rule {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, p := range []vpn.Plan{
		{Code: strings.Repeat("c", 65), Name: vpn.Text{EN: "n"}, DeviceLimit: 1},
		{Code: "c", Name: vpn.Text{RU: "n", EN: long}, DeviceLimit: 1},
		{Code: "c", Name: vpn.Text{RU: long}, DeviceLimit: 1},
	} {
		_, err := b.AddPlan(t.Context(), shell, p)
		if refusal, ok := err.(*vpn.Error); !ok || refusal.Rule != "max" {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestPingURLNamesPortsAndAddresses(t *testing.T) {
	for want, got := range map[string]string{
		"https://nl1.example.net/ping":      vpn.PingURL("nl1.example.net", 443),
		"https://nl1.example.net:8443/ping": vpn.PingURL("nl1.example.net", 8443),
		"https://[2001:db8::443]/ping":      vpn.PingURL("2001:db8::443", 443),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
