package shadowsocks_test

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/Jigsaw-Code/outline-sdk/transport"
	outline "github.com/Jigsaw-Code/outline-sdk/transport/shadowsocks"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/planetest"
	"stile/dataplane/shadowsocks"
)

// TestConformance runs the contract with the Outline SDK's client: as Outline uses our keys, and as a client that
// knows neither the prefix nor the preferred method.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name, method string
		tagged       bool
	}{
		{"Outline", accesskey.MethodAES256GCM, true},
		{"Untagged", "chacha20-ietf-poly1305", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			planetest.Run(t, func(t *testing.T, ledger *dataplane.Ledger, egress *dataplane.Egress) planetest.Subject {
				plane, err := shadowsocks.New(t.Context(), shadowsocks.Config{
					Host: "127.0.0.1", Ports: 3, Ledger: ledger, Egress: egress,
				})
				if err != nil {
					t.Fatal(err)
				}
				client := outlineClient{plane, c.method, c.tagged}
				return planetest.Subject{Plane: plane, Dial: client.dial, DialUDP: client.dialUDP}
			})
		})
	}
}

// outlineClient is the Outline SDK's client of a plane.
type outlineClient struct {
	plane  *shadowsocks.Plane
	method string
	tagged bool
}

// credential returns the client's key, its salts and where it connects to.
func (c outlineClient) credential(key dataplane.Key) (*outline.EncryptionKey, outline.SaltGenerator, string, error) {
	secret := accesskey.Seed(key.Seed).Shadowsocks()
	encryption, err := outline.NewEncryptionKey(c.method, secret.Password)
	salts := outline.RandomSaltGenerator
	if c.tagged {
		salts = outline.NewPrefixSaltGenerator([]byte(secret.Prefix))
	}
	first, count := c.plane.Ports()
	return encryption, salts, net.JoinHostPort("127.0.0.1", strconv.Itoa(accesskey.Port(first, count, key.ID))), err
}

func (c outlineClient) dial(ctx context.Context, key dataplane.Key, target string) (net.Conn, error) {
	encryption, salts, server, err := c.credential(key)
	if err != nil {
		return nil, err
	}
	dialer, err := outline.NewStreamDialer(&transport.TCPEndpoint{Address: server}, encryption)
	if err != nil {
		return nil, err
	}
	dialer.SaltGenerator = salts
	conn, err := dialer.DialStream(ctx, target)
	if err != nil {
		return nil, err // not a nil interface otherwise
	}
	return conn, nil
}

func (c outlineClient) dialUDP(ctx context.Context, key dataplane.Key) (net.PacketConn, error) {
	encryption, salts, server, err := c.credential(key)
	if err != nil {
		return nil, err
	}
	listener, err := outline.NewPacketListener(&transport.UDPEndpoint{Address: server}, encryption)
	if err != nil {
		return nil, err
	}
	listener.SetSaltGenerator(salts)
	return listener.ListenPacket(ctx)
}
