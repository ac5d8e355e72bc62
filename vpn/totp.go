package vpn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what authenticators know; HMAC-SHA-1 is not broken by collisions
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"
)

const (
	// otpStep is how long a code is the present one (RFC 6238 section 4.1).
	otpStep = 30 * time.Second
	// otpDigits is the length of a code, and otpModulus what that many digits count to.
	otpDigits  = 6
	otpModulus = 1_000_000
	// otpSkew is how many steps the clocks may differ, each way (RFC 6238 section 5.2).
	otpSkew = 1
)

// OTPSecret is what the codes of a second factor are made from: 160 bits, as RFC 4226 section 4 recommends. It shows
// itself by Text and URI alone.
type OTPSecret [20]byte

func newOTPSecret() (secret OTPSecret) {
	_, _ = rand.Read(secret[:]) // crypto/rand never fails
	return secret
}

// Text is the secret in base32, as people type it into an authenticator.
func (s *OTPSecret) Text() string { return base32.StdEncoding.EncodeToString(s[:]) } // 20 bytes need no padding

// URI is the secret as authenticators scan it: an otpauth address of the service's name and the account's.
func (s *OTPSecret) URI(issuer, account string) string {
	label := url.PathEscape(issuer) + ":" + url.PathEscape(account)
	return "otpauth://totp/" + label + "?secret=" + s.Text() + "&issuer=" + url.PathEscape(issuer) + "&algorithm=SHA1&digits=6&period=30"
}

// String hides the secret.
func (OTPSecret) String() string { return "[secret]" }

// GoString hides the secret.
func (OTPSecret) GoString() string { return "[secret]" }

// MarshalText hides the secret, from JSON and logs too.
func (OTPSecret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// code is the code of a step (RFC 4226 section 5.3).
func (s *OTPSecret) code(step int64) string {
	mac := hmac.New(sha1.New, s[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 15
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fff_ffff
	return fmt.Sprintf("%0*d", otpDigits, number%otpModulus)
}

// step returns the step of which a code is now, within the skew.
func (s *OTPSecret) step(code string, now time.Time) (step int64, ok bool) {
	present := now.Unix() / int64(otpStep/time.Second)
	for at := present - otpSkew; at <= present+otpSkew; at++ {
		if subtle.ConstantTimeCompare([]byte(s.code(at)), []byte(code)) == 1 {
			step, ok = at, true
		}
	}
	return step, ok
}
