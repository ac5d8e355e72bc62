package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Seed is the secret of an access key as it travels to a node. It never prints: every formatting verb and slog see a
// placeholder, and encoding it as text fails.
type Seed [32]byte

const redactedSeed = "[seed]"

// ErrSeedIsSecret refuses to write a seed as text.
var ErrSeedIsSecret = errors.New("wire: a seed is never written as text")

// Format prints a placeholder for every verb; %d and %x would reach the bytes otherwise.
func (s Seed) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redactedSeed) }

// LogValue gives slog a placeholder.
func (s Seed) LogValue() slog.Value { return slog.StringValue(redactedSeed) }

// MarshalText fails with ErrSeedIsSecret; encoding/json reaches it too.
func (s Seed) MarshalText() ([]byte, error) { return nil, ErrSeedIsSecret }

// Key is an access key as a node knows it.
type Key struct {
	ID   int64
	Seed Seed
	// NotAfter is the deadline in unix milliseconds; 0 is none. One in the past suspends the key.
	NotAfter int64
	// UpBytesPerSecond and DownBytesPerSecond bound the key's traffic, MaxSessions its open sessions; 0 is no limit.
	UpBytesPerSecond   int64
	DownBytesPerSecond int64
	MaxSessions        int64
}

// Errors of Key.Check.
var (
	ErrKeyID    = errors.New("wire: key id is not positive")
	ErrKeySeed  = errors.New("wire: key has no seed")
	ErrKeyValue = errors.New("wire: deadline or limit of a key is negative")
)

// Check says whether a node can hold the key at all.
func (k Key) Check() error {
	switch {
	case k.ID <= 0:
		return ErrKeyID
	case k.Seed == Seed{}:
		return ErrKeySeed
	case k.NotAfter < 0 || k.UpBytesPerSecond < 0 || k.DownBytesPerSecond < 0 || k.MaxSessions < 0:
		return ErrKeyValue
	}
	return nil
}

// keyRecordLabel opens the canonical record, so that its hash can never be taken for another.
const keyRecordLabel = "stile key v1\x00"

// Sum is SHA-256 over the canonical record of the key: a label, then id, seed, deadline and the three limits, numbers
// as 8 bytes big-endian. It is what a Digest adds up.
func (k Key) Sum() Sum {
	var record [len(keyRecordLabel) + 8 + len(k.Seed) + 4*8]byte
	b := append(record[:0], keyRecordLabel...)
	b = binary.BigEndian.AppendUint64(b, uint64(k.ID))
	b = append(b, k.Seed[:]...)
	for _, v := range [...]int64{k.NotAfter, k.UpBytesPerSecond, k.DownBytesPerSecond, k.MaxSessions} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return sha256.Sum256(b)
}
