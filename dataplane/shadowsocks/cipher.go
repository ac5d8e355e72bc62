package shadowsocks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha1"
	"encoding"
	"hash"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// Sizes in bytes. Both methods that we serve have 32-byte keys and salts, so one subkey serves a trial of either.
// aes-128-gcm is not served: a tag would leave its 16-byte salt too little that is random.
const (
	keySize   = 32
	saltSize  = 32
	nonceSize = 12
	tagSize   = 16 // of the AEAD
	maxChunk  = 0x3FFF
)

// writeChunk is how much we put into a chunk: the largest multiple of the ciphers' blocks below maxChunk, because what
// is left over behind the last whole block costs more than the rest.
const writeChunk = 16320

// method is a cipher of AEAD-2018.
type method uint8

const (
	aes256GCM method = iota
	chacha20Poly1305
)

// newAEAD returns the cipher under a session's subkey.
func (m method) newAEAD(subkey *[keySize]byte) cipher.AEAD {
	if m == aes256GCM {
		return newGCM(newAES(subkey[:]))
	}
	aead, err := chacha20poly1305.New(subkey[:])
	must(err)
	return aead
}

func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	must(err)
	return block
}

func newGCM(block cipher.Block) cipher.AEAD {
	aead, err := cipher.NewGCM(block)
	must(err)
	return aead
}

// must ends the program when a cipher refuses a key of the right size.
func must(err error) {
	if err != nil {
		panic("shadowsocks: a key of constant size was refused: " + err.Error())
	}
}

// firstBlock is the counter block that aes-256-gcm encrypts the first bytes of a session's first message with.
var firstBlock = [aes.BlockSize]byte{aes.BlockSize - 1: 2}

// maskAES returns what a first message's first byte is encrypted with under aes-256-gcm.
func maskAES(block cipher.Block, room *[aes.BlockSize]byte) byte {
	block.Encrypt(room[:], firstBlock[:])
	return room[0]
}

// maskChaCha20 is maskAES for chacha20-poly1305, which spends its counter's zero on Poly1305.
func maskChaCha20(subkey *[keySize]byte, room *[1]byte) byte {
	stream, err := chacha20.NewUnauthenticatedCipher(subkey[:], zeroNonce[:])
	must(err)
	stream.SetCounter(1)
	room[0] = 0
	stream.XORKeyStream(room[:], room[:])
	return room[0]
}

// masterKey derives a key from a password as OpenSSL's EVP_BytesToKey does with MD5 and no salt: what every client of
// AEAD-2018 does (https://shadowsocks.org/doc/aead.html). Our passwords are random, so its weakness does not matter.
func masterKey(password string) (key [keySize]byte) {
	first := md5.Sum([]byte(password))
	second := md5.Sum(append(first[:], password...))
	copy(key[:md5.Size], first[:])
	copy(key[md5.Size:], second[:])
	return key
}

// kdf derives subkeys: HKDF-SHA1 (RFC 5869) of master keys, all salted by one session's salt, with the info "ss-subkey".
// It is written out over one digest, and keeps the digest's states after the blocks that repeat, because a trial derives
// many in a row.
type kdf struct {
	digest digest
	pad    [sha1.BlockSize]byte
	prk    [sha1.Size]byte
	block  [sha1.Size]byte
	// HMACs under the salt, and under the master key's PRK.
	salted, expanding hmacState
}

// digest is what a hash of the standard library can do.
type digest interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// stateSize is how long the standard library's state of a SHA-1 is, in bytes; a longer one would only be slower.
const stateSize = 96

// hmacState is HMAC-SHA1 (RFC 2104) after its key: the states of both digests.
type hmacState struct {
	inner, outer []byte
	room         [2][stateSize]byte
}

// expandInfo is the info with the counter of the first block, and of the second.
var expandInfo = [2][]byte{append([]byte("ss-subkey"), 1), append([]byte("ss-subkey"), 2)}

func newKDF(salt []byte) *kdf {
	k := &kdf{digest: sha1.New().(digest)}
	k.start(&k.salted, salt)
	return k
}

// derive writes the subkey of a master key.
func (k *kdf) derive(master, subkey *[keySize]byte) {
	k.sum(&k.prk, &k.salted, nil, master[:])
	k.start(&k.expanding, k.prk[:])
	k.sum(&k.block, &k.expanding, nil, expandInfo[0])
	copy(subkey[:sha1.Size], k.block[:])
	k.sum(&k.block, &k.expanding, subkey[:sha1.Size], expandInfo[1])
	copy(subkey[sha1.Size:], k.block[:])
}

// start sets a state to HMAC-SHA1 under a key, which is at most a block long.
func (k *kdf) start(state *hmacState, key []byte) {
	state.inner = k.padded(state.room[0][:0], key, 0x36)
	state.outer = k.padded(state.room[1][:0], key, 0x5c)
}

func (k *kdf) padded(state, key []byte, pad byte) []byte {
	for i := range k.pad {
		k.pad[i] = pad
	}
	for i, b := range key {
		k.pad[i] ^= b
	}
	k.digest.Reset()
	k.digest.Write(k.pad[:])
	state, _ = k.digest.AppendBinary(state) // never fails
	return state
}

// sum sets out to the HMAC of first | second.
func (k *kdf) sum(out *[sha1.Size]byte, state *hmacState, first, second []byte) {
	_ = k.digest.UnmarshalBinary(state.inner) // its own
	k.digest.Write(first)
	k.digest.Write(second)
	k.digest.Sum(out[:0])
	_ = k.digest.UnmarshalBinary(state.outer)
	k.digest.Write(out[:])
	k.digest.Sum(out[:0])
}

// chain is an AEAD with the nonce that counts its messages, little-endian from zero.
type chain struct {
	aead  cipher.AEAD
	nonce [nonceSize]byte
}

// open decrypts a message in place.
func (c *chain) open(sealed []byte) ([]byte, error) {
	plain, err := c.aead.Open(sealed[:0], c.nonce[:], sealed, nil)
	c.advance()
	return plain, err
}

// seal appends an encrypted message to dst, which must have room and not overlap plain.
func (c *chain) seal(dst, plain []byte) []byte {
	dst = c.aead.Seal(dst, c.nonce[:], plain, nil)
	c.advance()
	return dst
}

// sealSize appends a chunk's sealed length.
func (c *chain) sealSize(dst []byte, size int) []byte {
	return c.seal(dst, []byte{byte(size >> 8), byte(size)})
}

func (c *chain) advance() {
	for i := range c.nonce {
		c.nonce[i]++
		if c.nonce[i] != 0 {
			return
		}
	}
}
