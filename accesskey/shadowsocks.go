package accesskey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// PrefixSize is the length in bytes of the prefix that Seed.Shadowsocks derives.
const PrefixSize = 10

// Methods of AEAD-2018 (SIP004). A node takes both under the same password.
const (
	MethodAES256GCM = "aes-256-gcm"
	MethodChaCha20  = "chacha20-ietf-poly1305"
)

// Methods of AEAD-2022 (SIP022).
const (
	Method2022AES128 = "2022-blake3-aes-128-gcm"
	Method2022AES256 = "2022-blake3-aes-256-gcm"
)

// Methods are those that a server can be asked for.
func Methods() []string {
	return []string{MethodAES256GCM, MethodChaCha20, Method2022AES128, Method2022AES256}
}

// PSKSize returns the length in bytes of the pre-shared keys of a method of AEAD-2022; 0 means that it is not one.
func PSKSize(method string) int {
	switch method {
	case Method2022AES128:
		return 16
	case Method2022AES256:
		return 32
	}
	return 0
}

// PSK derives the user's pre-shared key for a method of AEAD-2022, PSKSize bytes long. It is half of a credential: the other
// is the identity PSK of the server.
func (s Seed) PSK(method string) []byte {
	psk := make([]byte, PSKSize(method))
	s.derive(psk, "stile shadowsocks "+method+" v1")
	return psk
}

// Shadowsocks is a Shadowsocks credential.
type Shadowsocks struct {
	// Method is the cipher's name as clients spell it, for example "aes-256-gcm".
	Method string
	// Password is the shared secret, before the method's own key derivation.
	Password string
	// Prefix is what a client puts first into the salt of every connection it opens; each byte stands for itself.
	// Ours names the key, so that a node finds it without trying others, and is printable ASCII. Empty means none.
	Prefix string
}

// ShadowsocksEndpoint is a credential together with the server it opens: what an ss:// URI holds.
type ShadowsocksEndpoint struct {
	Shadowsocks
	// Host is a domain name or an IP address, IPv6 without brackets.
	Host string
	// Port is 1–65535.
	Port int
	// Name is the label shown to people; may be empty.
	Name string
}

// Shadowsocks derives the credential of AEAD-2018: a password of 32 base64url characters (24 bytes) and a prefix of
// PrefixSize characters of the same alphabet (60 bits).
func (s Seed) Shadowsocks() Shadowsocks {
	var password [24]byte
	var prefix [8]byte
	s.derive(password[:], "stile shadowsocks v1")
	s.derive(prefix[:], "stile shadowsocks prefix v1")
	return Shadowsocks{Method: MethodAES256GCM, Password: encode(password[:]), Prefix: encode(prefix[:])[:PrefixSize]}
}

// Shadowsocks2022 derives the credential of a method of AEAD-2022 on the server of a door: identity PSK and user PSK in
// padded base64, with a colon between (SIP022, SIP023).
func (s Seed) Shadowsocks2022(method string, door Door) Shadowsocks {
	text := base64.StdEncoding.EncodeToString
	return Shadowsocks{Method: method, Password: text(door.IdentityPSK(method)) + ":" + text(s.PSK(method))}
}

// Is2022 reports whether the method is one of AEAD-2022, which Outline's clients do not speak.
func (k Shadowsocks) Is2022() bool { return PSKSize(k.Method) != 0 }

// PSKs returns the identity PSK and the user PSK of a credential of AEAD-2022.
func (k Shadowsocks) PSKs() (identity, user []byte, err error) {
	first, second, _ := strings.Cut(k.Password, ":")
	identity, err = base64.StdEncoding.DecodeString(first)
	if err == nil {
		user, err = base64.StdEncoding.DecodeString(second)
	}
	if size := PSKSize(k.Method); err != nil || size == 0 || len(identity) != size || len(user) != size {
		return nil, nil, fmt.Errorf("accesskey: the password is not an identity PSK and a user PSK of %s", k.Method)
	}
	return identity, user, nil
}

// URI writes the credential as SIP002. In AEAD-2018 the user information is unpadded base64url, and outline=1 marks the
// URI for Outline's clients; others ignore the query. A prefix is written as they read it: every byte as the code point of
// the same number, in UTF-8, percent-encoded. In AEAD-2022 the user information is percent-encoded. An IPv6 host gets
// brackets.
func (k Shadowsocks) URI(host string, port int, name string) string {
	return string(k.AppendURI(make([]byte, 0, 160+len(host)+3*len(name)), host, port, name))
}

// AppendURI appends what URI returns.
func (k Shadowsocks) AppendURI(b []byte, host string, port int, name string) []byte {
	b = append(b, "ss://"...)
	if k.Is2022() {
		b = append(append(append(b, k.Method...), ':'), escape(k.Password)...)
	} else {
		var room [64]byte // for ours
		b = base64.RawURLEncoding.AppendEncode(b, append(append(append(room[:0], k.Method...), ':'), k.Password...))
	}
	b = append(b, '@')
	if strings.Contains(host, ":") {
		b = append(append(append(b, '['), host...), ']')
	} else {
		b = append(b, host...)
	}
	b = append(b, ':')
	b = strconv.AppendInt(b, int64(port), 10)
	separator := "/?"
	if !k.Is2022() {
		b = append(b, "/?outline=1"...)
		separator = "&"
	}
	if k.Prefix != "" {
		b = append(append(b, separator...), "prefix="...)
		b = append(b, escapePrefix(k.Prefix)...)
	}
	if name != "" {
		b = append(b, '#')
		b = append(b, url.PathEscape(name)...)
	}
	return b
}

// Bounds of what ParseShadowsocks takes, in bytes: the URI, and each of its texts after decoding.
const (
	maxURI  = 4096
	maxText = 512
)

var (
	errNotShadowsocks = errors.New("accesskey: not an ss:// URI")
	errPlugin         = errors.New("accesskey: ss:// URI asks for a plugin, none is supported")
)

// ParseShadowsocks reads an ss:// URI: SIP002 with base64 (either alphabet, padded or not) or plain percent-encoded
// user information, or the legacy form that is base64 as a whole. It refuses a URI that asks for a plugin. Errors never
// repeat the URI, which holds a secret; with an error the endpoint is zero.
func ParseShadowsocks(uri string) (ShadowsocksEndpoint, error) {
	if len(uri) > maxURI || len(uri) < 5 || !strings.EqualFold(uri[:5], "ss://") {
		return ShadowsocksEndpoint{}, errNotShadowsocks
	}
	rest, fragment, _ := strings.Cut(uri[5:], "#")
	rest, query, _ := strings.Cut(rest, "?")
	credential, address, ok := splitCredential(rest)
	if !ok {
		return ShadowsocksEndpoint{}, errors.New("accesskey: ss:// URI: bad user information")
	}
	method, password, _ := strings.Cut(credential, ":")
	if method == "" || password == "" || len(credential) > maxText {
		return ShadowsocksEndpoint{}, errors.New("accesskey: ss:// URI: user information is not method:password")
	}
	host, port, err := splitAddress(address)
	if err != nil {
		return ShadowsocksEndpoint{}, err
	}
	prefix, err := parsePrefix(query)
	if err != nil {
		return ShadowsocksEndpoint{}, err
	}
	name, err := url.PathUnescape(fragment)
	if err != nil || len(name) > maxText || !utf8.ValidString(name) {
		return ShadowsocksEndpoint{}, errors.New("accesskey: ss:// URI: bad name")
	}
	return ShadowsocksEndpoint{Shadowsocks{method, password, prefix}, host, port, name}, nil
}

// splitCredential returns method:password and the address, from either form.
func splitCredential(s string) (credential, address string, ok bool) {
	if credential, address, ok = cutLast(s, '@'); ok {
		credential, ok = decodeUserInfo(credential)
		return credential, address, ok
	}
	if s, ok = decodeBase64(strings.TrimSuffix(s, "/")); !ok {
		return "", "", false
	}
	return cutLast(s, '@')
}

// URI writes the endpoint as Shadowsocks.URI does.
func (e ShadowsocksEndpoint) URI() string { return e.Shadowsocks.URI(e.Host, e.Port, e.Name) }

// AppendURI appends what URI returns.
func (e *ShadowsocksEndpoint) AppendURI(b []byte) []byte {
	return e.Shadowsocks.AppendURI(b, e.Host, e.Port, e.Name)
}

// decodeUserInfo reads SIP002 user information. A colon cannot be in base64, so it tells the plain form.
func decodeUserInfo(s string) (string, bool) {
	if !strings.Contains(s, ":") {
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain // some writers percent-encode the padding
		}
		return decodeBase64(s)
	}
	plain, err := url.PathUnescape(s)
	return plain, err == nil && utf8.ValidString(plain)
}

func decodeBase64(s string) (string, bool) {
	s = strings.TrimRight(s, "=")
	encoding := base64.RawURLEncoding
	if strings.ContainsAny(s, "+/") {
		encoding = base64.RawStdEncoding
	}
	raw, err := encoding.DecodeString(s)
	return string(raw), err == nil && utf8.Valid(raw)
}

func splitAddress(address string) (string, int, error) {
	address, path, _ := strings.Cut(address, "/")
	host, digits, ok := cutLast(address, ':')
	port, err := strconv.ParseUint(digits, 10, 16)
	if !ok || path != "" || err != nil || port == 0 || digits[0] == '+' {
		return "", 0, errors.New("accesskey: ss:// URI: address is not host:port")
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		inner, closed := strings.CutSuffix(inner, "]")
		if ip, err := netip.ParseAddr(inner); !closed || err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", 0, errors.New("accesskey: ss:// URI: bad IPv6 address")
		}
		return inner, int(port), nil
	}
	if !isHostName(host) {
		return "", 0, errors.New("accesskey: ss:// URI: bad host name")
	}
	return host, int(port), nil
}

// IsHost reports whether keys can point to a host: a DNS name in ASCII form, or an IP address, IPv6 without brackets.
func IsHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return isHostName(host) || err == nil && ip.Zone() == ""
}

// isHostName reports whether host can be a DNS name in ASCII form or an IPv4 address.
func isHostName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	for _, c := range []byte(host) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// maxForeignPrefix bounds the prefix of a key that somebody else issued: salts have 16 or 32 bytes, and what the prefix
// takes is no longer random.
const maxForeignPrefix = 16

func parsePrefix(query string) (string, error) {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "plugin":
			if value != "" {
				return "", errPlugin
			}
		case "prefix":
			text, err := url.QueryUnescape(value)
			if err != nil {
				return "", errors.New("accesskey: ss:// URI: bad prefix")
			}
			prefix, err := prefixBytes(text)
			if err != nil || len(prefix) > maxForeignPrefix {
				return "", errors.New("accesskey: ss:// URI: bad prefix")
			}
			return prefix, nil
		}
	}
	return "", nil
}

func prefixBytes(text string) (string, error) {
	raw := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 255 {
			return "", fmt.Errorf("code point %d is not a byte", r)
		}
		raw = append(raw, byte(r))
	}
	return string(raw), nil
}

func escapePrefix(prefix string) string {
	if isUnreserved(prefix) { // as ours are
		return prefix
	}
	points := make([]rune, len(prefix))
	for i := range prefix {
		points[i] = rune(prefix[i])
	}
	return escape(string(points))
}

// escape percent-encodes all but letters, digits and -._~. A plus sign is a space to some readers and itself to others, %20
// is read alike by all.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// isUnreserved reports whether a text needs no escape in a URI (RFC 3986, section 2.3).
func isUnreserved(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && c != '-' && c != '_' && c != '.' && c != '~' {
			return false
		}
	}
	return true
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
