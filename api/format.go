package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"stile/accesskey"
	"stile/vpn"
	"stile/wire"
)

// subscribed is what a format writes: endpoints, or why there are none.
type subscribed struct {
	Endpoints []endpoint // the best server first
	Refusal   string     // in the user's language; "" = none
	Code      string
}

// endpoint is one way into one server.
type endpoint struct {
	Name        string // unique
	Protocol    vpn.Protocol
	Host        string
	Port        int
	Shadowsocks accesskey.Shadowsocks
	HTTPS       accesskey.HTTPS
}

func (e endpoint) isAny() bool { return true }

func (e endpoint) isShadowsocks() bool { return e.Protocol == vpn.Shadowsocks }

// isOutline leaves out Shadowsocks 2022, which Outline's clients do not speak.
func (e endpoint) isOutline() bool { return e.isShadowsocks() && !e.Shadowsocks.Is2022() }

// format writes a bundle as some clients read it.
type format struct {
	contentType string
	extension   string
	// reads reports whether those clients can use an endpoint; write leaves the others out.
	reads func(endpoint) bool
	write func(*subscribed) ([]byte, error)
}

// defaultFormat is what nearly every client reads.
const defaultFormat = "base64"

// formats are those that ?format= and clients.json name.
var formats = map[string]*format{
	"outline":  {"application/json", ".json", endpoint.isOutline, writeOutline},
	"base64":   {"text/plain; charset=utf-8", ".txt", endpoint.isShadowsocks, writeBase64},
	"clash":    {"text/yaml; charset=utf-8", ".yaml", endpoint.isAny, writeClash},
	"sing-box": {"application/json", ".json", endpoint.isAny, writeSingBox},
}

// shown are the endpoints to list. A refusal is one whose name says it: clients list names and show no error. It leads to
// a port of the device itself where nothing listens, so that nothing leaves by it.
func (s *subscribed) shown() []endpoint {
	if s.Refusal == "" {
		return s.Endpoints
	}
	names := newNames()
	return []endpoint{{
		Name: names.unique("⛔ " + s.Refusal), Protocol: vpn.Shadowsocks, Host: "127.0.0.1", Port: 1,
		Shadowsocks: accesskey.Shadowsocks{Method: accesskey.MethodAES256GCM, Password: "none"},
	}}
}

// writeOutline writes the first key that they can use as Outline's clients read a dynamic key. They show a refusal's message.
func writeOutline(s *subscribed) ([]byte, error) {
	for _, e := range s.Endpoints {
		if e.isOutline() {
			k := e.Shadowsocks
			return marshal(wire.DynamicKey{Server: e.Host, ServerPort: e.Port, Password: k.Password, Method: k.Method, Prefix: k.Prefix})
		}
	}
	var r wire.DynamicKeyRefusal
	r.Error.Message, r.Error.Details = s.Refusal, s.Code
	return marshal(r)
}

// writeBase64 writes ss:// links, one a line, in base64 with padding: the form that most apps import. Other protocols have
// no link that they read.
func writeBase64(s *subscribed) ([]byte, error) {
	var links bytes.Buffer
	for _, e := range s.shown() {
		if e.isShadowsocks() {
			links.WriteString(e.Shadowsocks.URI(e.Host, e.Port, e.Name))
			links.WriteByte('\n')
		}
	}
	return base64.StdEncoding.AppendEncode(nil, links.Bytes()), nil
}

// The names of what a client may choose besides the endpoints.
const (
	groupName = "Stile"
	autoName  = "Auto"
)

// names hands out names that are not taken: clients refuse a profile in which one is there twice.
type names map[string]bool

// newNames knows the names that profiles and clients use themselves.
func newNames() names {
	return names{
		groupName: true, autoName: true, "direct": true, "DIRECT": true, "REJECT": true, "REJECT-DROP": true, "PASS": true, "COMPATIBLE": true, "GLOBAL": true,
	}
}

// unique returns the name, with a number behind it if it is taken.
func (n names) unique(name string) string {
	free := name
	for i := 2; n[free]; i++ {
		free = name + " " + strconv.Itoa(i)
	}
	n[free] = true
	return free
}

// marshal is JSON with letters as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), err
}
