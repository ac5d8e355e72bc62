package shadowsocks_test

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/Jigsaw-Code/outline-sdk/transport"
	outline "github.com/Jigsaw-Code/outline-sdk/transport/shadowsocks"

	"stile/accesskey"
	"stile/dataplane/planebench"
	"stile/dataplane/shadowsocks"
)

// outlineDialer is the Outline SDK's client; tagged says whether it sends the key's prefix.
func outlineDialer(server, method, target string, tagged bool) planebench.Dialer {
	return func(key int64) (net.Conn, error) {
		secret := accesskey.Seed(planebench.Key(key).Seed).Shadowsocks()
		encryption, err := outline.NewEncryptionKey(method, secret.Password)
		if err != nil {
			return nil, err
		}
		d, err := outline.NewStreamDialer(&transport.TCPEndpoint{Address: server}, encryption)
		if err != nil {
			return nil, err
		}
		if tagged {
			d.SaltGenerator = outline.NewPrefixSaltGenerator([]byte(secret.Prefix))
		}
		conn, err := d.DialStream(context.Background(), target)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
}

// probes sends n connections of garbage, each from another address of loopback, and returns CPU milliseconds per probe.
func probes(b *testing.B, p *planebench.Process, n int) float64 {
	before := p.CPU()
	server := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(p.Address))
	for i := range n {
		garbage := make([]byte, 100)
		_, _ = rand.Read(garbage)
		conn, err := net.DialTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}, server)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = conn.Write(garbage)
		_ = conn.CloseWrite()
		if answer, _ := io.ReadAll(conn); len(answer) > 0 {
			b.Error("a probe was answered")
		}
		_ = conn.Close()
	}
	return (p.CPU() - before) * 1000 / float64(n)
}

// dialer2022 is our tests' client of the 2022 edition.
func dialer2022(server, method, target string) planebench.Dialer {
	return func(key int64) (net.Conn, error) {
		return shadowsocks.Dial2022(method, planebench.Key(key), server, target)
	}
}
