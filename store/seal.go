package store

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
)

// What a sealed value is for; with the row's id it is the associated data, so that a value opens in its own row only.
const (
	purposeSeed      = "stile access_key.seed v1"
	purposeCheck     = "stile seal_check.sealed v1"
	purposeNodes     = "stile node_authority.key v1"
	purposeWebhook   = "stile webhook.secret v1"
	purposeMail      = "stile mail token v1"           // of a user's id: nothing that is stored
	purposeChallenge = "stile passkey challenge v1"    // of who is asked and until when: nothing that is stored
	purposeOTP       = "stile second_factor.secret v1" // its row id is the user's
)

// newAEAD returns AES-256-GCM that puts a random nonce before each ciphertext.
func newAEAD(secret [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // only for a wrong length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for another block size
	}
	return aead
}

// associated is the associated data of a value: 8 bytes of row id, big-endian, and the purpose.
func associated(purpose string, rowID int64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(purpose)), uint64(rowID))
	return append(b, purpose...)
}

// seal returns nonce, ciphertext and tag of a value that belongs to a row.
func (s *Store) seal(plain []byte, purpose string, rowID int64) []byte {
	return s.aead.Seal(nil, nil, plain, associated(purpose, rowID))
}

// errSealed says that a sealed value was moved, changed, or sealed with another secret.
var errSealed = errors.New("a sealed value does not open")

// unseal opens what seal made.
func (s *Store) unseal(sealed []byte, purpose string, rowID int64) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, associated(purpose, rowID))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}
