package vpn

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The secret and the codes of RFC 6238, appendix B, whose last six digits are ours.
func TestCodesOfRFC6238(t *testing.T) {
	secret := OTPSecret([]byte("12345678901234567890"))
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := secret.code(at / 30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
		for skew := -2; skew <= 2; skew++ {
			now := time.Unix(at, 0).Add(time.Duration(skew) * otpStep)
			if now.Unix() < 0 {
				continue
			}
			step, ok := secret.step(want, now)
			if isNear := skew >= -1 && skew <= 1; ok != isNear || ok && step != at/30 {
				t.Errorf("at %d, %d steps off: step %d, %v", at, skew, step, ok)
			}
		}
	}
	for _, bad := range []string{"", "28708", "2870820", "287083", "94287082", "２８７０８２"} {
		if _, ok := secret.step(bad, time.Unix(59, 0)); ok {
			t.Errorf("%q is taken for a code", bad)
		}
	}
}

func TestOTPSecretNeverPrints(t *testing.T) {
	secret := newOTPSecret()
	raw, err := json.Marshal(SecondFactor{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	all := string(raw) + fmt.Sprintf("%v %+v %#v %s %v", secret, SecondFactor{Secret: secret}, secret, secret, &secret)
	for _, part := range []string{secret.Text(), fmt.Sprint(secret[0], secret[1]), fmt.Sprintf("%x", secret[:4])} {
		if strings.Contains(all, part) {
			t.Errorf("%q shows the secret", all)
		}
	}
}

func TestOTPAddress(t *testing.T) {
	secret := OTPSecret([]byte("12345678901234567890"))
	u, err := url.Parse(secret.URI("vpn.example.net", "ivan+a&b@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/vpn.example.net:ivan+a&b@example.com" ||
		u.Query().Get("secret") != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" || u.Query().Get("issuer") != "vpn.example.net" {
		t.Errorf("%s", u)
	}
}
