package vpn

import (
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
	"testing"
)

func TestTokenShape(t *testing.T) {
	shape := regexp.MustCompile(`^42\|[0-9A-Za-z]{40}[0-9a-f]{8}$`)
	seen := make(map[string]bool)
	for range 1000 {
		secret := newTokenSecret()
		if token := formatToken(42, secret); !shape.MatchString(token) || seen[secret] {
			t.Fatalf("token %q", token)
		}
		if want := fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(secret[:40]))); secret[40:] != want {
			t.Fatalf("checksum %s, want %s", secret[40:], want)
		}
		seen[secret] = true
	}
}

func TestParseBearer(t *testing.T) {
	for _, c := range []struct {
		bearer string
		id     int64
		ok     bool
	}{
		{"1|abc", 1, true},
		{"abc", 0, true},
		{"1|a|b", 1, true},
		{"", 0, false},
		{"|abc", 0, false},
		{"1|", 0, false},
		{"0|abc", 0, false},
		{"-1|abc", 0, false},
		{"x|abc", 0, false},
		{"99999999999999999999|abc", 0, false},
		{strings.Repeat("a", maxBearer), 0, true},
		{strings.Repeat("a", maxBearer+1), 0, false},
	} {
		id, _, ok := parseBearer(c.bearer)
		if id != c.id || ok != c.ok {
			t.Errorf("%.20q: id %d, ok %v", c.bearer, id, ok)
		}
	}
}

func FuzzParseBearer(f *testing.F) {
	for _, seed := range []string{"1|abc", "|", "9223372036854775808|x", "\x00", "1|x|y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, bearer string) {
		id, hash, ok := parseBearer(bearer)
		if !ok && (id != 0 || hash != TokenHash{}) {
			t.Errorf("%q: refused, and yet %d %x", bearer, id, hash)
		}
		if ok && id < 0 {
			t.Errorf("%q: id %d", bearer, id)
		}
	})
}

func TestPlatformOf(t *testing.T) {
	for hints, want := range map[string]Platform{
		"iPhone 12": PlatformIOS, "Pixel 8": PlatformAndroid, "Chrome on Windows": PlatformChrome,
		"Firefox on Linux": PlatformFirefox, "MacBook Анны": PlatformMacOS, "сервер": PlatformUnknown,
		"My PC|chrome-extension://abc": PlatformChrome, "laptop|Mozilla/5.0 (X11; Linux x86_64)": PlatformLinux,
	} {
		if got := PlatformOf(strings.Split(hints, "|")...); got != want {
			t.Errorf("%s: %s, want %s", hints, got, want)
		}
	}
}
