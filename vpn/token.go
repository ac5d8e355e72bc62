package vpn

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// TokenHash is the SHA-256 of a token's secret part: all that is stored of it.
type TokenHash [sha256.Size]byte

// Token is a bearer token: of a device (made by a sign-in) or of a user's own programs (made on the dashboard).
type Token struct {
	ID       int64
	UserID   int64
	DeviceID int64 // 0 for an API token
	Name     string
	// LastUsedDay is the day of last use, midnight UTC.
	LastUsedDay time.Time
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero = never
	// IsImported: the token came from another application. Its id there may be another, and what its client calls its
	// device is not known here: whatever the client says is the token's own device, made at the first key.
	IsImported bool
	// Scopes are what it is good for.
	Scopes Scopes
}

const (
	tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	tokenLetters  = 40
	// maxBearer bounds what is hashed for a bearer; the longest token of ours has 68 bytes.
	maxBearer = 512
)

// newTokenSecret returns the part of a token that follows the bar: 40 random letters and digits and the eight hex
// digits of their CRC-32 (which lets secret scanners find leaked tokens; nothing of ours checks it).
func newTokenSecret() string {
	letters := make([]byte, 0, tokenLetters)
	var raw [64]byte
	for len(letters) < tokenLetters {
		_, _ = rand.Read(raw[:]) // crypto/rand never fails
		for _, b := range raw {
			// 248 is the largest multiple of 62 under 256: above it the draw would be biased.
			if b < 248 && len(letters) < tokenLetters {
				letters = append(letters, tokenAlphabet[b%62])
			}
		}
	}
	return fmt.Sprintf("%s%08x", letters, crc32.ChecksumIEEE(letters))
}

// formatToken is the token as the client gets it.
func formatToken(id int64, secret string) string { return strconv.FormatInt(id, 10) + "|" + secret }

// hashToken returns the stored form of a secret.
func hashToken(secret string) TokenHash { return sha256.Sum256([]byte(secret)) }

// parseBearer splits a bearer into the id before the bar (0 when there is no bar) and the hash of what follows.
// ok is false for what can be no token: empty, too long, or an id that is no positive int64.
func parseBearer(bearer string) (id int64, hash TokenHash, ok bool) {
	if bearer == "" || len(bearer) > maxBearer {
		return 0, TokenHash{}, false
	}
	before, after, found := strings.Cut(bearer, "|")
	if !found {
		return 0, hashToken(bearer), true
	}
	id, err := strconv.ParseInt(before, 10, 64)
	if err != nil || id <= 0 || after == "" {
		return 0, TokenHash{}, false
	}
	return id, hashToken(after), true
}
