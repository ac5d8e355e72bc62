package client

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

func TestProxyCarriesDatagrams(t *testing.T) {
	target := echoDatagrams(t)
	p, address := runningProxy(t, tunnelTo(t, shadowsocksServer(t, "aes-256-gcm", "6pXWju_b_m")))
	control, relayed := associated(t, address)
	host, port := hostPort(target)
	for _, name := range []string{host, "localhost"} {
		header := socksHeader(name, port)
		send(t, relayed, append(header, "ping"...))
		if got, want := receive(t, relayed), string(socksHeader(host, port))+"ping"; got != want {
			t.Errorf("by %s: %q came back, want %q", name, got, want)
		}
	}
	eventually(t, "8 bytes each way through one socket are counted", func() bool { return p.Traffic() == Traffic{Up: 8, Down: 8, Open: 1} })
	control.Close()
	eventually(t, "the association ends with its connection", func() bool { return p.Traffic().Open == 0 })
}

// What a program may not do with an association, the association survives.
func TestProxyDropsBadDatagrams(t *testing.T) {
	target := echoDatagrams(t)
	_, address := runningProxy(t, tunnelTo(t, shadowsocksServer(t, "aes-256-gcm", "")))
	_, relayed := associated(t, address)
	host, port := hostPort(target)
	good := append(socksHeader(host, port), "good"...)
	fragment := bytes.Clone(good)
	fragment[2] = 1
	tooLong := append(socksHeader(host, port), make([]byte, 16<<10)...)
	for _, bad := range [][]byte{{}, {0}, good[:9], fragment, socksHeader("", port), append(socksHeader(host, 0), 'x'), tooLong} {
		send(t, relayed, bad)
	}
	send(t, relayed, good)
	if got := receive(t, relayed); got != string(good) {
		t.Errorf("%q came back first, want the one good datagram", got)
	}
	stranger, err := net.Dial("udp", relayed.RemoteAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	send(t, stranger, good)
	send(t, relayed, good)
	if got := receive(t, relayed); got != string(good) {
		t.Errorf("%q came back", got)
	}
	_ = stranger.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := stranger.Read(make([]byte, 100)); err == nil {
		t.Errorf("a second program got %d bytes of the association", n)
	}
}

// associated asks the proxy for UDP ASSOCIATE.
func associated(t *testing.T, address string) (control, relayed net.Conn) {
	t.Helper()
	control, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	send(t, control, []byte{5, 2, 0, 2})
	send(t, control, []byte{5, 3, 0, 1, 0, 0, 0, 0, 0, 0})
	answer := make([]byte, 12)
	if _, err := io.ReadFull(control, answer); err != nil || !bytes.Equal(answer[:6], []byte{5, 0, 5, 0, 0, 1}) {
		t.Fatalf("UDP ASSOCIATE: %v, %v", answer, err)
	}
	bound := &net.UDPAddr{IP: answer[6:10], Port: int(answer[10])<<8 | int(answer[11])}
	if relayed, err = net.Dial("udp", bound.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { relayed.Close() })
	return control, relayed
}

func socksHeader(host string, port int) []byte {
	header := []byte{0, 0, 0}
	if ip := net.ParseIP(host); ip != nil {
		header = append(append(header, 1), ip.To4()...)
	} else {
		header = append(append(header, 3, byte(len(host))), host...)
	}
	return append(header, byte(port>>8), byte(port))
}

func send(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, conn net.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}
