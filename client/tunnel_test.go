package client

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"stile/accesskey"
	"stile/internal/testport"
)

func TestTunnelThroughAnIndependentServer(t *testing.T) {
	streams, datagrams := echoStreams(t), echoDatagrams(t)
	for _, c := range []struct{ method, prefix string }{
		{"aes-256-gcm", "6pXWju_b_m"},
		{"aes-256-gcm", ""},
		{"chacha20-ietf-poly1305", "\x16\x03\x01\x00\xa8"},
		{"aes-128-gcm", ""},
	} {
		t.Run(c.method+" "+c.prefix, func(t *testing.T) {
			tunnel, err := NewTunnel(shadowsocksServer(t, c.method, c.prefix))
			if err != nil {
				t.Fatal(err)
			}
			conn, err := tunnel.DialContext(timeout(t), "tcp", streams)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			echo(t, conn, 1<<20, false)
			echoDatagram(t, tunnel, datagrams, 1200)
		})
	}
}

func echoDatagram(t *testing.T, dialer Dialer, address string, size int) {
	t.Helper()
	socket, err := dialer.ListenPacket(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	said := bytes.Repeat([]byte{0xa5}, size)
	if _, err := socket.WriteTo(said, far(address)); err != nil {
		t.Fatal(err)
	}
	_ = socket.SetReadDeadline(time.Now().Add(time.Minute))
	heard := make([]byte, 64<<10)
	n, from, err := socket.ReadFrom(heard)
	if err != nil || from.String() != address || !bytes.Equal(heard[:n], said) {
		t.Fatalf("%d of %d bytes came back from %v: %v", n, size, from, err)
	}
}

// The prefix is how a node finds the key: it must be the first bytes on the wire, of streams and of datagrams.
func TestTunnelSendsThePrefixFirst(t *testing.T) {
	const prefix = "6pXWju_b_m"
	first := make(chan []byte, 1)
	address := serveStreams(t, func(conn net.Conn) {
		buf := make([]byte, len(prefix))
		_, _ = conn.Read(buf)
		first <- buf
	})
	host, port := hostPort(address)
	datagrams, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	tunnel, err := NewTunnel(accesskey.Shadowsocks{Method: "aes-256-gcm", Password: "p", Prefix: prefix}.URI(host, port, ""))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tunnel.DialContext(timeout(t), "tcp", "site.test:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := <-first; string(got) != prefix {
		t.Errorf("the stream begins with %q, want %q", got, prefix)
	}
	socket, err := tunnel.ListenPacket(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if _, err := socket.WriteTo([]byte("hello"), far("site.test:53")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	_ = datagrams.SetReadDeadline(time.Now().Add(time.Minute))
	if n, _, err := datagrams.ReadFrom(buf); err != nil || !strings.HasPrefix(string(buf[:n]), prefix) {
		t.Errorf("the datagram begins with %q (%v), want %q", buf[:min(n, len(prefix))], err, prefix)
	}
	if tunnel.Address() != address {
		t.Errorf("Address() = %q, want %q", tunnel.Address(), address)
	}
}

func TestTunnelRefusesBadKeysWithoutRepeatingThem(t *testing.T) {
	for name, key := range map[string]string{
		"not a key":          "http://user:hunter2@h:1",
		"half a key":         "https://hunter2@h:1",
		"unknown method":     accesskey.Shadowsocks{Method: "rc4-md5", Password: "hunter2"}.URI("h", 1, ""),
		"prefix beyond salt": accesskey.Shadowsocks{Method: "aes-128-gcm", Password: "hunter2", Prefix: strings.Repeat("a", 17)}.URI("h", 1, ""),
	} {
		if _, err := NewTunnel(key); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), key) {
			t.Errorf("%s: NewTunnel = %v, want an error without the key", name, err)
		}
	}
}

func TestTunnelDialErrors(t *testing.T) {
	tunnel, err := NewTunnel(accesskey.Shadowsocks{Method: "aes-256-gcm", Password: "p"}.URI("127.0.0.1", testport.Free(t, 1), ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tunnel.DialContext(timeout(t), "tcp", "site.test:80"); err == nil || !strings.Contains(err.Error(), tunnel.Address()) {
		t.Errorf("no server: %v, want an error that names it", err)
	}
	if _, err := tunnel.DialContext(timeout(t), "udp", "site.test:80"); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("udp as a stream: %v, want net.UnknownNetworkError", err)
	}
}
