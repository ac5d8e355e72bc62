package shadowsocks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha1"
	"hash"

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

// methods in the order in which they are tried: the one that we issue first.
var methods = [...]method{aes256GCM, chacha20Poly1305}

// newAEAD returns the cipher under a session's subkey.
func (m method) newAEAD(subkey *[keySize]byte) cipher.AEAD {
	var aead cipher.AEAD
	var err error
	if m == aes256GCM {
		var block cipher.Block
		if block, err = aes.NewCipher(subkey[:]); err == nil {
			aead, err = cipher.NewGCM(block)
		}
	} else {
		aead, err = chacha20poly1305.New(subkey[:])
	}
	if err != nil {
		panic("shadowsocks: a key of constant size was refused: " + err.Error())
	}
	return aead
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

// kdf derives subkeys: HKDF-SHA1 (RFC 5869) of a master key, salted by the session's salt, with the info "ss-subkey". It
// is written out over one digest because a trial derives many in a row, and crypto/hkdf allocates for each.
type kdf struct {
	digest hash.Hash
	pad    [sha1.BlockSize]byte
	prk    [sha1.Size]byte
	block  [sha1.Size]byte
}

// expandInfo is the info with the counter of the first block, and of the second.
var expandInfo = [2][]byte{append([]byte("ss-subkey"), 1), append([]byte("ss-subkey"), 2)}

func newKDF() *kdf { return &kdf{digest: sha1.New()} }

// derive writes the subkey of a master key under a salt.
func (k *kdf) derive(salt []byte, master, subkey *[keySize]byte) {
	k.hmac(&k.prk, salt, nil, master[:])
	k.hmac(&k.block, k.prk[:], nil, expandInfo[0])
	copy(subkey[:sha1.Size], k.block[:])
	k.hmac(&k.block, k.prk[:], subkey[:sha1.Size], expandInfo[1])
	copy(subkey[sha1.Size:], k.block[:])
}

// hmac sets out to HMAC-SHA1(key, first | second) (RFC 2104); key is at most a block long.
func (k *kdf) hmac(out *[sha1.Size]byte, key, first, second []byte) {
	k.start(key, 0x36)
	k.digest.Write(first)
	k.digest.Write(second)
	k.digest.Sum(out[:0])
	k.start(key, 0x5c)
	k.digest.Write(out[:])
	k.digest.Sum(out[:0])
}

func (k *kdf) start(key []byte, pad byte) {
	for i := range k.pad {
		k.pad[i] = pad
	}
	for i, b := range key {
		k.pad[i] ^= b
	}
	k.digest.Reset()
	k.digest.Write(k.pad[:])
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

func (c *chain) advance() {
	for i := range c.nonce {
		c.nonce[i]++
		if c.nonce[i] != 0 {
			return
		}
	}
}
