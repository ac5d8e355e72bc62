package shadowsocks

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"lukechampine.com/blake3/guts"

	"stile/dataplane"
)

// Contexts of AEAD-2022's key derivation (SIP022, section 2.2; SIP023).
const (
	sessionContext  = "shadowsocks 2022 session subkey"
	identityContext = "shadowsocks 2022 identity subkey"
)

// Types of messages (SIP022, sections 3.1.3 and 3.2.3).
const (
	fromClient = 0
	fromServer = 1
)

// Sizes in bytes.
const (
	stampSize     = 8
	fixedSize     = 1 + stampSize + 2 // the first header of a request
	maxChunk2022  = 0xFFFF
	fullChunk2022 = 4 * writeChunk // what is put into a chunk: half a buffer of the relay
)

var errBadHeader = errors.New("shadowsocks: bad header")

// subkey derives a key as long as psk; salt is a salt or a session's number.
func subkey(context string, psk, salt []byte) []byte {
	var room [2 * keySize]byte
	material := append(append(room[:0], psk...), salt...)
	words := hashRoot([]byte(context), &guts.IV, guts.FlagDeriveKeyContext)
	key := [8]uint32(words[:])
	out := guts.WordsToBytes(hashRoot(material, &key, guts.FlagDeriveKeyMaterial))
	return append([]byte(nil), out[:len(psk)]...)
}

// hashRoot is BLAKE3 of at most 1,024 bytes. The library's own DeriveKey makes sixteen blocks with AVX-512 where one is
// wanted and does not clear the registers behind it: AES on the same thread then takes up to 2.7 times as long.
func hashRoot(b []byte, key *[8]uint32, flags uint32) [16]uint32 {
	n := guts.CompressChunk(b, key, 0, flags)
	n.Flags |= guts.FlagRoot
	return guts.CompressNode(n)
}

func sessionCipher(psk, salt []byte) cipher.AEAD {
	return newGCM(newAES(subkey(sessionContext, psk, salt)))
}

// handshake reads the headers of a request. The specification asks for a single read, so that nobody can count what was
// consumed before a connection closes; ours never closes early, so it reads until it has them.
func (p *Plane2022) handshake(conn *net.TCPConn, _ dataplane.Origin, _ int) (greeting, error) {
	var room [keySize + identitySize + fixedSize + tagSize]byte
	n := len(p.identityPSK)
	head := room[:n+identitySize+fixedSize+tagSize]
	if _, err := io.ReadFull(conn, head); err != nil {
		return greeting{}, err
	}
	salt, sealed := head[:n], head[n+identitySize:]
	var name identity
	newAES(subkey(identityContext, p.identityPSK, salt)).Decrypt(name[:], head[n:n+identitySize])
	u := p.users.find(name)
	if u == nil {
		return greeting{}, errRefused
	}
	incoming := sessionCipher(u.psk, salt)
	fixed, err := incoming.Open(sealed[:0], zeroNonce[:], sealed, nil)
	if err != nil {
		return greeting{}, errRefused
	}
	size, err := parseFixed(fixed, p.now())
	if err != nil || !p.salts.add(salt, message{u, binary.BigEndian.Uint64(fixed[1:])}) {
		return greeting{}, errRefused
	}
	s, err := newStream(conn, incoming, size, p.buffers)
	if err != nil {
		return greeting{}, err
	}
	s.maxChunk, s.writeChunk, s.begin = maxChunk2022, fullChunk2022, p.opening(u, salt)
	to, err := s.request()
	if err != nil {
		s.close()
		return greeting{}, err
	}
	return greeting{u.id, s, to}, nil
}

// opening begins the direction to a client: with a salt, and a header that names the request and the first size.
func (p *Plane2022) opening(u *user, request []byte) opening {
	return func(out []byte, size int) ([]byte, chain) {
		out = out[:len(u.psk)]
		_, _ = rand.Read(out) // never fails: the program would crash instead
		outgoing := chain{aead: sessionCipher(u.psk, out)}
		var room [1 + stampSize + keySize + 2]byte
		header := binary.BigEndian.AppendUint64(append(room[:0], fromServer), uint64(p.now().Unix()))
		header = binary.BigEndian.AppendUint16(append(header, request...), uint16(size))
		return outgoing.seal(out, header), outgoing
	}
}

// parseFixed reads the first header of a request and returns the size of the second, which is never empty.
func parseFixed(b []byte, now time.Time) (int, error) {
	if len(b) != fixedSize || b[0] != fromClient || !isFresh(b[1:], now) {
		return 0, errBadHeader
	}
	size := int(binary.BigEndian.Uint16(b[1+stampSize:]))
	if size == 0 {
		return 0, errBadHeader
	}
	return size, nil
}

// isFresh reports whether a timestamp is near enough to now; all others are replays.
func isFresh(b []byte, now time.Time) bool {
	stamp, skew := binary.BigEndian.Uint64(b), int64(maxSkew/time.Second)
	return stamp >= uint64(now.Unix()-skew) && stamp <= uint64(now.Unix()+skew)
}

// request reads the second header, a chunk of its own; the payload behind it is the next that Next returns.
func (s *stream) request() (dataplane.Target, error) {
	payloads, err := s.Next()
	if err != nil {
		return dataplane.Target{}, err
	}
	to, n, err := parseRequest(payloads[0])
	if err != nil {
		return to, err
	}
	payloads[0] = payloads[0][n:]
	s.putBack(payloads)
	return to, nil
}

// parseRequest reads the second header of a request and returns where its payload begins. There must be padding or a
// payload.
func parseRequest(b []byte) (to dataplane.Target, n int, err error) {
	if to, n, err = parseTarget(b); err != nil {
		return to, 0, errBadHeader
	}
	if len(b) < n+2 {
		return to, 0, errBadHeader
	}
	padding := int(binary.BigEndian.Uint16(b[n:]))
	if n += 2 + padding; n > len(b) || padding == 0 && n == len(b) {
		return to, 0, errBadHeader
	}
	return to, n, nil
}
