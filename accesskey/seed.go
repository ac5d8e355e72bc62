// Package accesskey says what an access key is: one random seed per device and server, the credential that each
// protocol derives from it, and the URIs that carry a credential to a client.
//
// It derives and writes down; it neither stores seeds, nor decides who may hold one, nor speaks any protocol.
package accesskey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Seed is the one secret of an access key. Every protocol's credential is HKDF-SHA256 of it (RFC 5869, no salt) with
// an info string that names protocol and version, so one stored value serves all protocols and a new seed rotates all
// of them. A Seed never prints: every formatting verb, slog and encoding/json see only a placeholder or an error.
type Seed [32]byte

// ErrSeedIsSecret refuses to write a seed as text.
var ErrSeedIsSecret = errors.New("accesskey: a seed is never written as text")

const redacted = "[seed]"

// New returns a fresh seed from the system's random source.
func New() (Seed, error) {
	var seed Seed
	if _, err := rand.Read(seed[:]); err != nil {
		return Seed{}, fmt.Errorf("accesskey: new seed: %w", err)
	}
	return seed, nil
}

// String returns a placeholder, never the seed.
func (s Seed) String() string { return redacted }

// GoString returns a placeholder, never the seed.
func (s Seed) GoString() string { return redacted }

// Format prints a placeholder for every verb; %d and %x would reach the bytes otherwise.
func (s Seed) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue gives slog a placeholder, never the seed.
func (s Seed) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON fails with ErrSeedIsSecret.
func (s Seed) MarshalJSON() ([]byte, error) { return nil, ErrSeedIsSecret }

// MarshalText fails with ErrSeedIsSecret.
func (s Seed) MarshalText() ([]byte, error) { return nil, ErrSeedIsSecret }

// DynamicToken derives the secret part of a key's dynamic address (https://…/api/ssconf/{key_id}/{token}): 22
// characters, the base64url form of 16 bytes.
func (s Seed) DynamicToken() string {
	var raw [16]byte
	s.derive(raw[:], "stile dynamic key v1")
	return encode(raw[:])
}

// Port returns the port that a key uses on a server with count ports from first on: keys are spread evenly, so that a
// client which cannot name its key is tried against few. A count below 2 always gives first.
func Port(first, count int, keyID int64) int {
	if count < 2 {
		return first
	}
	return first + int(uint64(keyID)%uint64(count))
}

func (s Seed) derive(out []byte, info string) { derive(out, s, info) }

// derive fills out with HKDF-SHA256 of a secret, without salt. It is written out because a key's answer derives several times, and
// crypto/hkdf makes a dozen objects each time.
func derive(out []byte, secret [32]byte, info string) {
	key := hmacSHA256([32]byte{}, secret[:])
	var block [sha256.Size]byte
	var message [maxHMAC]byte
	for n := byte(1); len(out) > 0; n++ {
		m := message[:0]
		if n > 1 {
			m = append(m, block[:]...)
		}
		m = append(append(m, info...), n)
		block = hmacSHA256(key, m)
		out = out[copy(out, block[:]):]
	}
}

// maxHMAC is the most that is authenticated here: a block, an info string and a number.
const maxHMAC = 128

// hmacSHA256 is RFC 2104 of at most maxHMAC bytes.
func hmacSHA256(key [32]byte, message []byte) [sha256.Size]byte {
	var inner [sha256.BlockSize + maxHMAC]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	for i := range sha256.BlockSize {
		inner[i], outer[i] = 0x36, 0x5c
	}
	for i, b := range key {
		inner[i] ^= b
		outer[i] ^= b
	}
	n := copy(inner[sha256.BlockSize:], message)
	sum := sha256.Sum256(inner[:sha256.BlockSize+n])
	copy(outer[sha256.BlockSize:], sum[:])
	return sha256.Sum256(outer[:])
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
