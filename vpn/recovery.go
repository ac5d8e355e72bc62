package vpn

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

const (
	// recoveryCodes is how many recovery codes there are at first.
	recoveryCodes = 10
	// recoveryLength is the length of a recovery code in letters of base32: 80 bits, too many to try, so that a fast hash
	// keeps them and only the throttle of sign-ins counts them.
	recoveryLength = 16
	// recoveryGroup letters of it stand together.
	recoveryGroup = 4
)

// newRecoveryCodes makes codes to show and the hashes to keep.
func newRecoveryCodes() (codes []string, hashes []TokenHash) {
	for range recoveryCodes {
		plain := strings.ToLower(rand.Text()[:recoveryLength])
		var groups []string
		for i := 0; i < recoveryLength; i += recoveryGroup {
			groups = append(groups, plain[i:i+recoveryGroup])
		}
		codes = append(codes, strings.Join(groups, "-"))
		hashes = append(hashes, hashRecovery(plain))
	}
	return codes, hashes
}

// hashRecovery returns the stored form of a recovery code.
func hashRecovery(plain string) TokenHash { return sha256.Sum256([]byte("recovery\x00" + plain)) }

// plainCode is a code as it is compared: people add blanks and dashes, and write capitals.
func plainCode(code string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(code))
}
