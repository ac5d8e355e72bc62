package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrFormat says that a stored hash is neither an argon2id PHC string nor a bcrypt hash, or asks for more work or memory
// than a server grants to one sign-in.
var ErrFormat = errors.New("password: not an argon2id or bcrypt hash within the bounds")

// cost is what one argon2id computation takes (RFC 9106, section 3.1).
type cost struct {
	memoryKiB uint32
	passes    uint32
	lanes     uint8
}

// current is the cost of new hashes: OWASP's first recommendation for argon2id.
var current = cost{memoryKiB: 19 * 1024, passes: 2, lanes: 1}

// Lengths in bytes of what new hashes have, as RFC 9106 section 4 recommends.
const (
	saltLen = 16
	sumLen  = 32
)

// Bounds of an imported hash. What others make by default lies well within: PHP takes 64 MiB and 4 passes. Beyond them
// one row of somebody's import could take the server's memory or hold a core for minutes.
const (
	maxMemoryKiB  = 128 * 1024
	maxPasses     = 10
	maxLanes      = 8
	minSaltLen    = 8 // RFC 9106: 8 to 2^32-1 bytes
	maxSaltLen    = 64
	minSumLen     = 16
	maxSumLen     = 64
	maxBcryptCost = 14
)

// phc is a parsed PHC string: $argon2id$v=19$m=19456,t=2,p=1$salt$sum, with salt and sum in base64 without padding.
type phc struct {
	cost cost
	salt []byte
	sum  []byte
}

// String returns the PHC string, in the one spelling that parsePHC takes.
func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.cost.memoryKiB, p.cost.passes, p.cost.lanes,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.sum))
}

// outdated reports whether a new hash would have another cost or other lengths.
func (p phc) outdated() bool {
	return p.cost != current || len(p.salt) != saltLen || len(p.sum) != sumLen
}

// parsePHC reads an argon2id PHC string in its canonical spelling. The error is ErrFormat.
func parsePHC(s string) (phc, error) {
	fields := strings.Split(s, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, ErrFormat
	}
	costs, err := parseCost(fields[3])
	if err != nil {
		return phc{}, err
	}
	salt, err := parseBytes(fields[4], minSaltLen, maxSaltLen)
	if err != nil {
		return phc{}, err
	}
	sum, err := parseBytes(fields[5], minSumLen, maxSumLen)
	if err != nil {
		return phc{}, err
	}
	return phc{cost: costs, salt: salt, sum: sum}, nil
}

// parseCost reads "m=19456,t=2,p=1".
func parseCost(s string) (cost, error) {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return cost{}, ErrFormat
	}
	memory, okMemory := parseCount(fields[0], "m=", maxMemoryKiB)
	passes, okPasses := parseCount(fields[1], "t=", maxPasses)
	lanes, okLanes := parseCount(fields[2], "p=", maxLanes)
	// RFC 9106: at least 8 KiB for each lane. Less would be raised silently, and the sum differ from the other software's.
	if !okMemory || !okPasses || !okLanes || memory < 8*lanes {
		return cost{}, ErrFormat
	}
	return cost{memoryKiB: memory, passes: passes, lanes: uint8(lanes)}, nil
}

// parseCount reads a decimal between 1 and limit after prefix, in its shortest spelling.
func parseCount(s, prefix string, limit uint32) (uint32, bool) {
	digits, found := strings.CutPrefix(s, prefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !found || err != nil || n < 1 || uint32(n) > limit || digits != strconv.FormatUint(n, 10) {
		return 0, false
	}
	return uint32(n), true
}

// parseBytes reads between low and high bytes of base64 without padding or stray bits.
func parseBytes(s string, low, high int) ([]byte, error) {
	b64 := base64.RawStdEncoding.Strict()
	if n := b64.DecodedLen(len(s)); n < low || n > high {
		return nil, ErrFormat
	}
	data, err := b64.DecodeString(s)
	if err != nil || b64.EncodeToString(data) != s { // the decoder skips line breaks
		return nil, ErrFormat
	}
	return data, nil
}

// isBcrypt reports whether hash claims to be bcrypt. $2y$ is what PHP writes, $2a$ and $2b$ what others do; the three
// mean the same. $2x$ marks hashes of a faulty implementation, which nothing here can check.
func isBcrypt(hash string) bool {
	return strings.HasPrefix(hash, "$2y$") || strings.HasPrefix(hash, "$2a$") || strings.HasPrefix(hash, "$2b$")
}

// checkBcrypt reports ErrFormat for a bcrypt hash that is malformed or costs more than the bound: each step of its cost
// doubles the time.
func checkBcrypt(hash string) error {
	if len(hash) != 60 || hash[6] != '$' {
		return ErrFormat
	}
	rounds, err := strconv.ParseUint(hash[4:6], 10, 8)
	if err != nil || rounds < 4 || rounds > maxBcryptCost {
		return ErrFormat
	}
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if strings.Trim(hash[7:], alphabet) != "" {
		return ErrFormat
	}
	return nil
}
