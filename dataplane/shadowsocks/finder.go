package shadowsocks

import (
	"crypto/aes"
	"crypto/cipher"

	"stile/dataplane"
)

// finder finds the key of a connection or packet: by the tag in its salt, by what its address used last, and only then
// by trying the keys of the port, which every address may cause in vain only so often. TCP and UDP have one each, so
// that forged UDP sources cannot use up the trials of TCP; what an address used they know together.
type finder struct {
	ring    *keyring
	sources *sources
	trials  *trials
	replays *replayFilter
	salts   saltMaker
	// plausible says what the first byte of a first message may be.
	plausible func(first byte) bool
}

// match is what a finder found: the key, the cipher of the session and the first message opened.
type match struct {
	credential *credential
	method     method
	aead       cipher.AEAD
	plain      []byte
}

// find opens the first message under the key that it belongs to. The message is left as it is; what it says is appended
// to dst. It fails alike for an unknown key, a replay and a reflection of our own.
func (f *finder) find(salt, sealed, dst []byte, from dataplane.Origin, bucket int) (match, bool) {
	if f.salts.isOwn(salt) {
		return match{}, false
	}
	t := trial{kdf: newKDF(salt), salt: salt, sealed: sealed, dst: dst, plausible: f.plausible}
	m, ok := f.named(&t, from)
	if !ok {
		m, ok = f.searched(&t, from, bucket)
	}
	if !ok || !f.replays.add(salt) {
		return match{}, false
	}
	f.sources.remember(from, m.credential.id)
	return m, true
}

// named tries the key that the salt names and those that the address used last.
func (f *finder) named(t *trial, from dataplane.Origin) (match, bool) {
	if c := f.ring.tagged(t.salt); c != nil {
		if m, ok := t.open(c); ok {
			return m, true
		}
	}
	keys, known := f.sources.hints(from)
	for _, id := range keys[:known] {
		if c := f.ring.find(id); c != nil {
			if m, ok := t.open(c); ok {
				return m, true
			}
		}
	}
	return match{}, false
}

// searched tries the keys of a port within the allowances; only a failure uses them up.
func (f *finder) searched(t *trial, from dataplane.Origin, bucket int) (match, bool) {
	var room [maxTrial]*credential
	list := f.ring.candidates(room[:0], bucket)
	cost := 1 + float64(len(t.sealed))/1024
	if len(list) == 0 || !f.trials.spend(from, cost) {
		return match{}, false
	}
	for _, c := range list {
		if m, ok := t.open(c); ok {
			f.trials.spend(from, -cost)
			f.ring.used(c)
			return m, true
		}
	}
	return match{}, false
}

// again opens a further packet under a key that is known already. It fails as find does.
func (f *finder) again(salt, sealed, dst []byte, c *credential, m method) ([]byte, bool) {
	if f.salts.isOwn(salt) {
		return nil, false
	}
	var subkey [keySize]byte
	newKDF(salt).derive(&c.master, &subkey)
	plain, err := m.newAEAD(&subkey).Open(dst, zeroNonce[:], sealed, nil)
	return plain, err == nil && f.replays.add(salt)
}

// trial tries keys against one first message.
//
// Nearly all of them are wrong, and their first byte shows it: a plain one leaves few values. So a trial decrypts that
// byte before it sets up an authenticator. The byte decides nothing else: what is found is what was authenticated.
type trial struct {
	kdf               *kdf
	salt, sealed, dst []byte
	plausible         func(first byte) bool

	subkey [keySize]byte
	block  [aes.BlockSize]byte
	one    [1]byte
}

// isLengthStart reports whether a chunk's length can begin with a byte: its two high bits are zero.
func isLengthStart(first byte) bool { return first <= maxChunk>>8 }

// isTargetStart reports whether a packet can begin with a byte: a type of address.
func isTargetStart(first byte) bool {
	return first == typeIPv4 || first == typeName || first == typeIPv6
}

var zeroNonce [nonceSize]byte

func (t *trial) open(c *credential) (match, bool) {
	t.kdf.derive(&c.master, &t.subkey)
	block := newAES(t.subkey[:])
	if t.plausible(t.sealed[0] ^ maskAES(block, &t.block)) {
		if m, ok := t.openWith(c, aes256GCM, newGCM(block)); ok {
			return m, true
		}
	}
	if t.plausible(t.sealed[0] ^ maskChaCha20(&t.subkey, &t.one)) {
		return t.openWith(c, chacha20Poly1305, chacha20Poly1305.newAEAD(&t.subkey))
	}
	return match{}, false
}

func (t *trial) openWith(c *credential, m method, aead cipher.AEAD) (match, bool) {
	plain, err := aead.Open(t.dst, zeroNonce[:], t.sealed, nil)
	return match{credential: c, method: m, aead: aead, plain: plain}, err == nil
}
