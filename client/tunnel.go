package client

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/Jigsaw-Code/outline-sdk/transport"
	"github.com/Jigsaw-Code/outline-sdk/transport/shadowsocks"

	"stile/accesskey"
)

// dialTimeout bounds the connection to the server of a key.
const dialTimeout = 10 * time.Second

// Dialer opens ways to a destination: a Tunnel, or a Line.
type Dialer interface {
	// DialContext opens a stream to address ("host:port", where host may be a name: it is resolved at the far end).
	// network is "tcp". A nil error says that the server was reached, not that the destination was. The connection
	// has a CloseWrite method.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// ListenPacket opens a socket for datagrams to many destinations; an address given to its WriteTo may hold a name.
	ListenPacket(ctx context.Context) (net.PacketConn, error)
}

// Tunnel carries streams through the server of one access key, and datagrams if the key's protocol has them. It holds no
// connection of its own, so there is nothing to close. Safe for concurrent use.
type Tunnel interface {
	Dialer
	// Address is the "host:port" of the server.
	Address() string
	// Confirms reports that a stream which opens shows that the server honours the key.
	Confirms() bool
}

// NewTunnel makes a tunnel from a key as the API issues it: an ss:// or an https:// URI. Errors never repeat the key.
func NewTunnel(key string) (Tunnel, error) {
	if strings.HasPrefix(key, "https:") {
		return newHTTPSTunnel(key, nil)
	}
	endpoint, err := accesskey.ParseShadowsocks(key)
	if err != nil {
		return nil, fmt.Errorf("client: access key: %w", err)
	}
	if endpoint.Is2022() {
		return newTunnel2022(&endpoint)
	}
	return newShadowsocksTunnel(&endpoint)
}

// shadowsocksTunnel is a Tunnel through a server of Shadowsocks AEAD-2018.
type shadowsocksTunnel struct {
	address string
	streams *shadowsocks.StreamDialer
	packets transport.PacketListener
}

// newShadowsocksTunnel makes a tunnel from a credential of AEAD-2018; the prefix in it begins the salt of every stream and
// every datagram.
func newShadowsocksTunnel(endpoint *accesskey.ShadowsocksEndpoint) (*shadowsocksTunnel, error) {
	secret, err := shadowsocks.NewEncryptionKey(endpoint.Method, endpoint.Password)
	if err != nil {
		return nil, fmt.Errorf("client: access key: %w", err)
	}
	if len(endpoint.Prefix) > secret.SaltSize() {
		return nil, fmt.Errorf("client: access key: a prefix of %d bytes exceeds the salt of %s", len(endpoint.Prefix), endpoint.Method)
	}
	address := net.JoinHostPort(endpoint.Host, strconv.Itoa(endpoint.Port))
	dialer := net.Dialer{Timeout: dialTimeout}
	streams, err := shadowsocks.NewStreamDialer(&transport.TCPEndpoint{Dialer: dialer, Address: address}, secret)
	if err != nil {
		return nil, fmt.Errorf("client: access key: %w", err)
	}
	packets, err := shadowsocks.NewPacketListener(&transport.UDPEndpoint{Dialer: dialer, Address: address}, secret)
	if err != nil {
		return nil, fmt.Errorf("client: access key: %w", err)
	}
	if endpoint.Prefix != "" {
		salt := shadowsocks.NewPrefixSaltGenerator([]byte(endpoint.Prefix))
		streams.SaltGenerator = salt
		packets.SetSaltGenerator(salt)
	}
	return &shadowsocksTunnel{address: address, streams: streams, packets: packets}, nil
}

// Address implements Tunnel.
func (t *shadowsocksTunnel) Address() string { return t.address }

// Confirms implements Tunnel.
func (t *shadowsocksTunnel) Confirms() bool { return false }

// DialContext opens a stream, as Dialer says. A server that does not honour the key is silent: it shows as a stream
// that ends, or waits, without a byte.
func (t *shadowsocksTunnel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("client: tunnel: %w", net.UnknownNetworkError(network))
	}
	conn, err := t.streams.DialStream(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("client: tunnel by way of %s: %w", t.address, err)
	}
	return conn, nil
}

// ListenPacket opens a socket for datagrams, as Dialer says. A datagram holds at most about 16 KiB.
func (t *shadowsocksTunnel) ListenPacket(ctx context.Context) (net.PacketConn, error) {
	conn, err := t.packets.ListenPacket(ctx)
	if err != nil {
		return nil, fmt.Errorf("client: tunnel by way of %s: %w", t.address, err)
	}
	return conn, nil
}
