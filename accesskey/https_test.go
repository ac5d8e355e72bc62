package accesskey

import (
	"strings"
	"testing"
)

func TestParseHTTPS(t *testing.T) {
	for uri, want := range map[string]HTTPSEndpoint{
		"https://user:secret@nl1.example.net:8443":    {"user", "secret", "nl1.example.net", 8443},
		"https://user:secret@nl1.example.net":         {"user", "secret", "nl1.example.net", 443},
		"https://user:s%3Acret@192.0.2.1:1/":          {"user", "s:cret", "192.0.2.1", 1},
		"https://user:secret@[2001:db8::1]:443":       {"user", "secret", "2001:db8::1", 443},
		"http://user:secret@nl1.example.net:8443":     {},
		"https://nl1.example.net:8443":                {},
		"https://user@nl1.example.net:8443":           {},
		"https://:secret@nl1.example.net:8443":        {},
		"https://us%3Aer:secret@nl1.example.net":      {},
		"https://user:secret@nl1.example.net:0":       {},
		"https://user:secret@nl1.example.net:65536":   {},
		"https://user:secret@nl1.example.net/path":    {},
		"https://user:secret@:443":                    {},
		"ss://user:secret@nl1.example.net:443":        {},
		"https://user:" + strings.Repeat("a", maxURI): {},
	} {
		got, err := ParseHTTPS(uri)
		if got != want || (err == nil) != (want != HTTPSEndpoint{}) {
			t.Errorf("ParseHTTPS(%q) = %+v, %v, want %+v", uri, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("an error repeats the secret: %v", err)
		}
	}
}

func FuzzParseHTTPS(f *testing.F) {
	f.Add("https://user:secret@nl1.example.net:8443")
	f.Add("https://user:secret@[::1]")
	f.Fuzz(func(t *testing.T, uri string) {
		e, err := ParseHTTPS(uri)
		if err != nil && e != (HTTPSEndpoint{}) {
			t.Errorf("%q: %+v with %v", uri, e, err)
		}
		if err == nil && (e.Username == "" || e.Password == "" || e.Host == "" || e.Port < 1 || e.Port > 65535) {
			t.Errorf("%q: %+v", uri, e)
		}
	})
}
