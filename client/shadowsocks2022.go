package client

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"time"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/guts"

	"stile/accesskey"
)

// Contexts of the key derivation of AEAD-2022 (SIP022, section 2.2; SIP023).
const (
	sessionContext  = "shadowsocks 2022 session subkey"
	identityContext = "shadowsocks 2022 identity subkey"
)

// Types of messages (SIP022, sections 3.1.3 and 3.2.3).
const (
	fromClient = 0
	fromServer = 1
)

const (
	// maxSkew is how far the clocks of both ends may be apart.
	maxSkew = 30 * time.Second
	// maxPadding bounds what hides the size of a first message, in bytes.
	maxPadding = 900
	stampSize  = 8
)

// errNotForUs says that what came is no answer to what was sent: a replay, or a wrong clock here.
var errNotForUs = errors.New("client: the server's answer is not to this request, or this machine's clock is wrong")

// tunnel2022 is a Tunnel through a server of Shadowsocks 2022.
type tunnel2022 struct {
	address  string
	identity []byte // PSK
	user     []byte // PSK
	hash     [aes.BlockSize]byte
	now      func() time.Time
}

// newTunnel2022 makes a tunnel from a credential of AEAD-2022.
func newTunnel2022(endpoint *accesskey.ShadowsocksEndpoint) (*tunnel2022, error) {
	identity, user, err := endpoint.PSKs()
	if err != nil {
		return nil, fmt.Errorf("client: access key: %w", err)
	}
	t := &tunnel2022{
		address: net.JoinHostPort(endpoint.Host, strconv.Itoa(endpoint.Port)), identity: identity, user: user, now: time.Now,
	}
	sum := blake3.Sum256(user)
	copy(t.hash[:], sum[:])
	return t, nil
}

// Address implements Tunnel.
func (t *tunnel2022) Address() string { return t.address }

// Confirms implements Tunnel.
func (t *tunnel2022) Confirms() bool { return false }

// DialContext opens a stream, as Dialer says. A server that does not honour the key is silent.
func (t *tunnel2022) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("client: tunnel: %w", net.UnknownNetworkError(network))
	}
	target, err := appendTarget(nil, address)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, fmt.Errorf("client: tunnel by way of %s: %w", t.address, err)
	}
	s := &stream2022{TCPConn: conn.(*net.TCPConn), tunnel: t} //nolint:forcetypeassert // "tcp"
	if err := s.ask(target); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("client: tunnel by way of %s: %w", t.address, err)
	}
	return s, nil
}

// subkey derives a key as long as psk; salt is a salt or a session's number.
func subkey(context string, psk, salt []byte) []byte {
	words := hashRoot([]byte(context), &guts.IV, guts.FlagDeriveKeyContext)
	key := [8]uint32(words[:])
	material := append(append(make([]byte, 0, 64), psk...), salt...)
	out := guts.WordsToBytes(hashRoot(material, &key, guts.FlagDeriveKeyMaterial))
	return append([]byte(nil), out[:len(psk)]...)
}

// hashRoot is BLAKE3 of at most 1,024 bytes. The library's own DeriveKey leaves AVX-512 registers behind that slow AES on
// the same thread (decision 29).
func hashRoot(b []byte, key *[8]uint32, flags uint32) [16]uint32 {
	n := guts.CompressChunk(b, key, 0, flags)
	n.Flags |= guts.FlagRoot
	return guts.CompressNode(n)
}

func newBlock(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("client: AES with a key of a checked size: " + err.Error())
	}
	return block
}

// sessionCipher is the AEAD of one direction of a stream, or of one end's packets.
func sessionCipher(psk, salt []byte) cipher.AEAD {
	aead, err := cipher.NewGCM(newBlock(subkey(sessionContext, psk, salt)))
	if err != nil {
		panic("client: GCM with AES: " + err.Error())
	}
	return aead
}

func (t *tunnel2022) appendStamp(b []byte) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.now().Unix()))
}

// isFresh reports whether a timestamp is near enough to now.
func (t *tunnel2022) isFresh(b []byte) bool {
	now, skew, stamp := t.now().Unix(), int64(maxSkew/time.Second), binary.BigEndian.Uint64(b)
	return stamp >= uint64(now-skew) && stamp <= uint64(now+skew)
}

// appendPadding writes a random length of zeros, at least one.
func appendPadding(b []byte) []byte {
	n := 1 + rand.IntN(maxPadding) //nolint:gosec // it hides a length and keeps no secret
	return append(binary.BigEndian.AppendUint16(b, uint16(n)), make([]byte, n)...)
}

// Address types of a target, those of SOCKS5 (RFC 1928, section 5).
const (
	typeIPv4 = 1
	typeName = 3
	typeIPv6 = 4
)

// appendTarget writes a destination, "host:port".
func appendTarget(b []byte, address string) ([]byte, error) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("client: tunnel: %w", err)
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || host == "" || len(host) > 255 {
		return nil, fmt.Errorf("client: tunnel: %q is no destination", address)
	}
	if ip, err := netip.ParseAddr(host); err != nil {
		b = append(append(b, typeName, byte(len(host))), host...)
	} else if ip = ip.Unmap().WithZone(""); ip.Is4() {
		b = append(append(b, typeIPv4), ip.AsSlice()...)
	} else {
		b = append(append(b, typeIPv6), ip.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(b, uint16(port)), nil
}

// cutSource reads the address of a sender and returns what is behind it.
func cutSource(b []byte) (from netip.AddrPort, rest []byte, ok bool) {
	size := net.IPv4len
	if len(b) > 0 && b[0] == typeIPv6 {
		size = net.IPv6len
	}
	if len(b) < 1+size+2 || b[0] != typeIPv4 && b[0] != typeIPv6 {
		return from, nil, false
	}
	addr, _ := netip.AddrFromSlice(b[1 : 1+size])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(b[1+size:])), b[1+size+2:], true
}
