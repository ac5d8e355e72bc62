package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Sum is the hash of one key's canonical record.
type Sum = [sha256.Size]byte

// Digest stands for a set of keys: the sum modulo 2^256 of the keys' Sums, big-endian. It does not depend on the order
// and changes in constant time; the zero Digest is the empty set.
type Digest [32]byte

// Add puts a key's sum into the set.
func (d *Digest) Add(s Sum) {
	var carry uint64
	for i := len(d) - 8; i >= 0; i -= 8 {
		var v uint64
		v, carry = bits.Add64(binary.BigEndian.Uint64(d[i:]), binary.BigEndian.Uint64(s[i:]), carry)
		binary.BigEndian.PutUint64(d[i:], v)
	}
}

// Sub takes a key's sum, added before, out of the set.
func (d *Digest) Sub(s Sum) {
	var borrow uint64
	for i := len(d) - 8; i >= 0; i -= 8 {
		var v uint64
		v, borrow = bits.Sub64(binary.BigEndian.Uint64(d[i:]), binary.BigEndian.Uint64(s[i:]), borrow)
		binary.BigEndian.PutUint64(d[i:], v)
	}
}

// String is the first 8 bytes in hex: enough to compare in a log.
func (d Digest) String() string { return hex.EncodeToString(d[:8]) }

// Buckets is the number of parts into which a set is divided when two sides look for where they differ.
const Buckets = 256

// Bucket returns the part to which a key belongs: the first byte of SHA-256 over its id as 8 bytes big-endian.
func Bucket(keyID int64) int {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(keyID))
	sum := sha256.Sum256(b[:])
	return int(sum[0])
}

// BucketDigests are the digests of a set's buckets.
type BucketDigests [Buckets]Digest

// Add puts a key into its bucket.
func (d *BucketDigests) Add(k Key) { d[Bucket(k.ID)].Add(k.Sum()) }

// Prints tells buckets apart by the first 8 bytes of their digests. That is enough to find where two sets differ: the
// whole digest is compared when they should be the same.
type Prints [Buckets][8]byte

// Prints returns the prints of the digests.
func (d *BucketDigests) Prints() *Prints {
	p := new(Prints)
	for i := range d {
		copy(p[i][:], d[i][:])
	}
	return p
}

// Parts is a set of buckets, one bit each.
type Parts [Buckets / 8]byte

// Differing returns the buckets in which two sets differ.
func Differing(a, b *Prints) Parts {
	var p Parts
	for i := range a {
		if a[i] != b[i] {
			p[i/8] |= 1 << (i % 8)
		}
	}
	return p
}

// Has reports whether the bucket of a key is among the parts.
func (p Parts) Has(keyID int64) bool {
	i := Bucket(keyID)
	return p[i/8]&(1<<(i%8)) != 0
}
