package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader carries the signature of a webhook's body: t={unix seconds},v1={hex}, where the hex is HMAC-SHA256 of
// "{unix seconds}.{body}" under the shared secret. Stripe signs in the same way.
const SignatureHeader = "Stile-Signature"

// SignatureTolerance is how far the time of a signature may be from the receiver's.
const SignatureTolerance = 5 * time.Minute

// Errors of VerifySignature.
var (
	ErrSignature    = errors.New("wire: the signature is missing or wrong")
	ErrSignatureOld = errors.New("wire: the signature is too old, or from the future")
)

// Sign returns the value of SignatureHeader for a body.
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(signature(secret, t, body))
}

func signature(secret []byte, t string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// VerifySignature checks the value of SignatureHeader. Of several v1 one must fit, so that a secret can be changed without
// a gap; other parts are ignored.
func VerifySignature(header string, secret, body []byte, now time.Time) error {
	if len(header) > 1024 {
		return ErrSignature
	}
	var t string
	var given [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			t = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				given = append(given, mac)
			}
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return ErrSignature
	}
	want, fits := signature(secret, t, body), false
	for _, mac := range given {
		fits = hmac.Equal(mac, want) || fits
	}
	if !fits {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > SignatureTolerance || age < -SignatureTolerance {
		return ErrSignatureOld
	}
	return nil
}
