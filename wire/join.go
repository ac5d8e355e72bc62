package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/url"
	"strings"
)

// JoinToken is what the operator of a server pastes on its machine: once, it lets a node join, and it says whom the node
// may trust.
type JoinToken struct {
	// NodeID is the id of the server, which is its node's too.
	NodeID int64
	Secret [32]byte
	// Authority is SHA-256 of the subject public key info of the control plane's CA.
	Authority [32]byte
	// URL is where the control plane listens for nodes, such as https://control.example.net:8443.
	URL string
}

const (
	// joinPrefix begins every token, so that scanners for secrets find leaked ones; the digit is the format's version.
	joinPrefix = "stilejoin1_"
	// maxJoinURL bounds the URL of a token, in bytes.
	maxJoinURL = 255
	// maxJoinToken is the length of the longest token.
	maxJoinToken = len(joinPrefix) + (10+32+32+maxJoinURL+crc32.Size)*4/3 + 1
)

// ErrJoinToken is wrapped by the errors of ParseJoinToken.
var ErrJoinToken = errors.New("this is not a token as `stile server add` and `stile server join` print it")

// String returns the token: the prefix, and in base64url the id (uvarint), the secret, the authority, the URL and the
// CRC-32 of all that, which tells a token that was cut while copying from one that was never right.
func (t JoinToken) String() string {
	b := binary.AppendUvarint(nil, uint64(t.NodeID))
	b = append(append(append(b, t.Secret[:]...), t.Authority[:]...), t.URL...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return joinPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseJoinToken reads a token. Its errors wrap ErrJoinToken.
func ParseJoinToken(s string) (JoinToken, error) {
	var t JoinToken
	text, ok := strings.CutPrefix(s, joinPrefix)
	if !ok || len(s) > maxJoinToken {
		return t, ErrJoinToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < crc32.Size || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return t, errors.Join(ErrJoinToken, errJoinCut)
	}
	body, sum := raw[:len(raw)-crc32.Size], raw[len(raw)-crc32.Size:]
	if binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return t, errors.Join(ErrJoinToken, errJoinCut)
	}
	r := reader{b: body}
	t.NodeID = r.int()
	r.fixed(t.Secret[:])
	r.fixed(t.Authority[:])
	t.URL = string(r.b)
	if r.err != nil || t.NodeID <= 0 || CheckNodesURL(t.URL) != nil {
		return JoinToken{}, ErrJoinToken
	}
	return t, nil
}

var errJoinCut = errors.New("a part of it is missing or changed: copy the whole line again")

// ErrNodesURL says that an address is none that nodes can dial.
var ErrNodesURL = errors.New("want an address such as https://control.example.net:8443, without a path")

// CheckNodesURL returns ErrNodesURL for what is no address of a listener for nodes.
func CheckNodesURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxJoinURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#") {
		return ErrNodesURL
	}
	return nil
}

// Paths of the listener for nodes. Every body is bounded by MaxNodeBody; refusals are a NodeProblem.
const (
	// PathControl answers GET with a ControlPlane, also to who has no certificate.
	PathControl = "/node/v1"
	// PathJoin takes a POST of a JoinRequest, without a certificate, and answers a Membership.
	PathJoin = "/node/v1/join"
	// PathSelf answers GET with the node's Membership, without certificates.
	PathSelf = "/node/v1/self"
	// PathRenew takes a POST of a RenewRequest and answers a Membership.
	PathRenew = "/node/v1/renew"
	// PathStream answers POST with the frames for the node, each with its length, until one side ends it. StreamHeader
	// names the stream.
	PathStream = "/node/v1/stream"
	// PathFrames takes a POST of frames of the node for the stream that StreamHeader names, and answers 204.
	PathFrames = "/node/v1/frames"
	// PathPoll answers POST with the frames that there are for the node, or, after PollSeconds, with none (204). Without
	// StreamHeader it opens a stream, which the answer names.
	PathPoll = "/node/v1/poll"
)

const (
	// StreamHeader names a stream of frames: 16 hex digits.
	StreamHeader = "Stile-Stream"
	// MaxNodeBody bounds a request's body in bytes: one frame of any size with its length, or a batch of small ones.
	MaxNodeBody = MaxFrame + 4
	// MaxNodeFrames bounds how many frames a request's body holds.
	MaxNodeFrames = 64
	// PollSeconds is how long a poll waits for a frame. Middleboxes that kill streams seldom kill what is shorter.
	PollSeconds = 20
	// ControlName is the name in the control plane's certificates: nodes check it, and not the name that they dialled, so
	// that the control plane can move to another address.
	ControlName = "control.stile.internal"
)

// ControlPlane says who listens.
type ControlPlane struct {
	// Authority is the certificate of the control plane's CA (DER).
	Authority []byte `json:"authority"`
	// Time is the control plane's clock in unix milliseconds.
	Time    int64  `json:"time"`
	Version string `json:"version"`
}

// JoinRequest redeems a token.
type JoinRequest struct {
	NodeID int64  `json:"node_id"`
	Secret []byte `json:"secret"`
	// Request is a PKCS #10 certificate request (DER). Only its key is looked at.
	Request []byte `json:"request"`
}

// RenewRequest asks for another certificate for the node's own key.
type RenewRequest struct {
	Request []byte `json:"request"`
}

// Membership is what a node gets when it joins, and when it renews its certificate.
type Membership struct {
	// Certificate is the node's certificate (DER), and Authority that of the CA.
	Certificate []byte `json:"certificate,omitempty"`
	Authority   []byte `json:"authority,omitempty"`
	// Name, Host and the ports are the server's, as clients know it.
	Name             string `json:"name"`
	Host             string `json:"host"`
	ShadowsocksPort  int    `json:"shadowsocks_port"`
	ShadowsocksPorts int    `json:"shadowsocks_ports"`
	// ShadowsocksMethod is the method on those ports; "" stands for those of AEAD-2018.
	ShadowsocksMethod string `json:"shadowsocks_method,omitempty"`
	// HTTPSPort is the HTTPS proxy's, 0 for none; Door (32 bytes) is what the planes know issued credentials by, a secret.
	HTTPSPort int    `json:"https_port,omitempty"`
	Door      []byte `json:"door,omitempty"`
}

// Codes of a NodeProblem.
const (
	NodeTokenUnknown = "join_token_unknown"
	NodeTokenUsed    = "join_token_used"
	NodeTokenExpired = "join_token_expired"
	NodeRefused      = "node_refused"
	NodeNoStream     = "no_such_stream"
	NodeBusy         = "busy"
	NodeBadRequest   = "bad_request"
	NodeServerError  = "server_error"
)

// NodeProblem is the body of a refusal.
type NodeProblem struct {
	Code string `json:"code"`
	// Time is the control plane's clock in unix milliseconds: a refusal may come of a node's wrong one.
	Time int64 `json:"time"`
}

// ReadAll reads the frames of a body, at least one. It takes at most MaxNodeBody bytes and MaxNodeFrames frames.
func ReadAll(body []byte) ([]Frame, error) {
	if len(body) > MaxNodeBody {
		return nil, ErrFrameTooLarge
	}
	var frames []Frame
	for r := bytes.NewReader(body); r.Len() > 0 || len(frames) == 0; {
		f, err := Read(r)
		if err != nil {
			return nil, err
		}
		if len(frames) == MaxNodeFrames {
			return nil, ErrMalformed
		}
		frames = append(frames, f)
	}
	return frames, nil
}
