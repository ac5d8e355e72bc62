package accesskey

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Door is a secret that the planes of one server share with those who issue its keys. With it the HTTPS proxy knows a
// credential that was issued once, though the key is gone: only such a credential is asked for a newer one, everybody
// else meets an ordinary web server. The identity PSK of Shadowsocks 2022 follows from it. It opens nothing: a credential
// works only while its key lives. Like a Seed, a Door never prints.
type Door [32]byte

// ErrDoorIsSecret refuses to write a door as text.
var ErrDoorIsSecret = errors.New("accesskey: a door is never written as text")

// DoorOf derives the door of a server from the secret of the service, so that it is kept nowhere and a stolen node
// knows its own alone.
func DoorOf(secret [32]byte, serverID int64) Door {
	info := string(binary.BigEndian.AppendUint64([]byte("stile door v1 "), uint64(serverID)))
	var door Door
	derive(door[:], secret, info)
	return door
}

// HTTPS is the credential of the HTTPS proxy. All of it is of the base64url alphabet or narrower, so that it needs no
// escaping anywhere.
type HTTPS struct {
	// Username is HTTP Basic's: 12 characters that name the key and 11 that prove to the holder of the door that it was
	// issued together with the password.
	Username string
	// Password has 32 characters.
	Password string
	// Probe is a host name that the proxy knows while the key lives and that exists nowhere else: whoever connects to it
	// is asked for credentials. Its domain is never resolved (RFC 6761, section 6.4), so a request that misses the proxy
	// reaches nobody.
	Probe string
}

// Sizes of the parts of a user name.
const (
	nameSize = 12
	proofRaw = 8
)

// probeDomain is the domain of every probe.
const probeDomain = "invalid"

// Realm is the protection space that the HTTPS proxy names when it asks for credentials (RFC 7617, section 2).
const Realm = "Stile"

// HTTPS derives the credential of the HTTPS proxy behind a door.
func (s Seed) HTTPS(door Door) HTTPS {
	var raw [33]byte
	s.derive(raw[:], "stile https v1")
	var probe [10]byte
	s.derive(probe[:], "stile https probe v1")
	name, password := encode(raw[:9]), encode(raw[9:])
	return HTTPS{
		Username: name + door.proof(name, password),
		Password: password,
		Probe:    strings.ToLower(base32.StdEncoding.EncodeToString(probe[:])) + "." + probeDomain,
	}
}

// Issued reports whether this user name and this password were issued together for the door, whether or not their key
// still lives. It costs the same whatever they are.
func (d Door) Issued(username, password string) bool {
	name, proof := username, ""
	if len(username) > nameSize {
		name, proof = username[:nameSize], username[nameSize:]
	}
	return hmac.Equal([]byte(d.proof(name, password)), []byte(proof))
}

// proof authenticates a name together with its password.
func (d Door) proof(name, password string) string {
	mac := hmac.New(sha256.New, d[:])
	mac.Write([]byte("stile https user v1 "))
	mac.Write([]byte(name))
	mac.Write([]byte{0}) // not in the alphabet
	mac.Write([]byte(password))
	return encode(mac.Sum(nil)[:proofRaw])
}

// IdentityPSK derives the server's own pre-shared key for a method of AEAD-2022, PSKSize bytes long. Every client of the
// server knows it; the door does not follow from it.
func (d Door) IdentityPSK(method string) []byte {
	psk := make([]byte, PSKSize(method))
	derive(psk, d, "stile shadowsocks identity "+method+" v1")
	return psk
}

// Format prints a placeholder for every verb.
func (d Door) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[door]") }

// LogValue gives slog a placeholder.
func (d Door) LogValue() slog.Value { return slog.StringValue("[door]") }

// MarshalJSON fails with ErrDoorIsSecret.
func (d Door) MarshalJSON() ([]byte, error) { return nil, ErrDoorIsSecret }

// MarshalText fails with ErrDoorIsSecret.
func (d Door) MarshalText() ([]byte, error) { return nil, ErrDoorIsSecret }
