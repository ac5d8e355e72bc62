package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/shadowsocks"
)

// plane2022 serves our plane of Shadowsocks 2022, which v2fly's client has tried, and returns the key to it.
func plane2022(t *testing.T, method string) string {
	t.Helper()
	door, seed := accesskey.Door{1}, accesskey.Seed{2}
	ledger := dataplane.NewLedger(time.Now)
	t.Cleanup(ledger.Close)
	plane, err := shadowsocks.New2022(t.Context(), shadowsocks.Config2022{
		Config: shadowsocks.Config{
			Host: "127.0.0.1", Ports: 1, Ledger: ledger,
			Egress: dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}),
		},
		Method: method, IdentityPSK: door.IdentityPSK(method),
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := []dataplane.Key{{ID: 1, Seed: seed}}
	ledger.Apply(keys, nil, true)
	if err := plane.Apply(keys, nil, true); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- plane.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	port, _ := plane.Ports()
	return seed.Shadowsocks2022(method, door).URI("127.0.0.1", port, "")
}

func TestTunnel2022(t *testing.T) {
	streams, datagrams := echoStreams(t), echoDatagrams(t)
	for _, method := range []string{accesskey.Method2022AES128, accesskey.Method2022AES256} {
		t.Run(method, func(t *testing.T) {
			tunnel, err := NewTunnel(plane2022(t, method))
			if err != nil {
				t.Fatal(err)
			}
			conn, err := tunnel.DialContext(timeout(t), "tcp", streams)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			echo(t, conn, 1<<20, true)
			for _, size := range []int{0, 1, 1200, 40_000} {
				echoDatagram(t, tunnel, datagrams, size)
			}
		})
	}
}

// io.Copy must not find the connection below the cipher.
func TestStream2022IsCopiedThroughTheCipher(t *testing.T) {
	tunnel, err := NewTunnel(plane2022(t, accesskey.Method2022AES128))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tunnel.DialContext(timeout(t), "tcp", echoStreams(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said := bytes.Repeat([]byte("stile "), 50_000)
	if _, err := io.Copy(conn, bytes.NewReader(said)); err != nil {
		t.Fatal(err)
	}
	if err := closeWrite(conn); err != nil {
		t.Fatal(err)
	}
	var heard bytes.Buffer
	if _, err := io.Copy(&heard, conn); err != nil || !bytes.Equal(heard.Bytes(), said) {
		t.Errorf("%d of %d bytes came back: %v", heard.Len(), len(said), err)
	}
}

// What was recorded elsewhere, or comes from another time, is refused.
func TestTunnel2022RefusesReplays(t *testing.T) {
	key := plane2022(t, accesskey.Method2022AES256)
	tunnel, err := NewTunnel(key)
	if err != nil {
		t.Fatal(err)
	}
	late := *tunnel.(*tunnel2022)
	conn, err := late.DialContext(timeout(t), "tcp", echoStreams(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	late.now = func() time.Time { return time.Now().Add(2 * maxSkew) }
	if _, err := conn.Read(make([]byte, 5)); !errors.Is(err, errNotForUs) {
		t.Errorf("an answer from a minute ago: %v, want errNotForUs", err)
	}

	socket, err := tunnel.ListenPacket(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	p := socket.(*packets2022)
	if _, err := p.WriteTo([]byte("hello"), far(echoDatagrams(t))); err != nil {
		t.Fatal(err)
	}
	_ = p.SetReadDeadline(time.Now().Add(time.Minute))
	packet := make([]byte, 2048)
	n, err := p.Read(packet)
	if err != nil {
		t.Fatal(err)
	}
	packet = packet[:n]
	if payload, _, err := p.open(bytes.Clone(packet)); err != nil || string(payload) != "hello" {
		t.Fatalf("%q, %v", payload, err)
	}
	for what, bad := range map[string][]byte{"the same again": packet, "cut": packet[:n-1], "short": packet[:40]} {
		if _, _, err := p.open(bytes.Clone(bad)); !errors.Is(err, errNotForUs) {
			t.Errorf("%s: %v, want errNotForUs", what, err)
		}
	}
}

// A server that begins anew, or whoever sends its old packets after that, has nothing forgotten while it is fresh.
func TestPackets2022KnowTheSessionBefore(t *testing.T) {
	tunnel, err := NewTunnel(plane2022(t, accesskey.Method2022AES128))
	if err != nil {
		t.Fatal(err)
	}
	made := *tunnel.(*tunnel2022)
	now := time.Now()
	made.now = func() time.Time { return now }
	socket, err := made.ListenPacket(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	p := socket.(*packets2022)
	answer := func(id byte, number uint64) []byte {
		session := [sessionSize]byte{id}
		separate := binary.BigEndian.AppendUint64(session[:], number)
		plain := append(made.appendStamp([]byte{fromServer}), p.session[:]...)
		plain, err := appendTarget(append(plain, 0, 0), "192.0.2.1:53")
		if err != nil {
			t.Fatal(err)
		}
		packet := make([]byte, separateSize)
		p.user.Encrypt(packet, separate)
		return sessionCipher(made.user, session[:]).Seal(packet, separate[4:], plain, nil)
	}
	a1, a2, b1, b2, c1 := answer('a', 1), answer('a', 2), answer('b', 1), answer('b', 2), answer('c', 1)
	for i, c := range []struct {
		packet  []byte
		isTaken bool
	}{{a1, true}, {b1, true}, {a1, false}, {b1, false}, {a2, true}, {b1, false}, {c1, false}, {a2, false}, {b2, true}, {b2, false}} {
		if _, _, err := p.open(bytes.Clone(c.packet)); (err == nil) != c.isTaken {
			t.Errorf("packet %d: %v, want it taken: %t", i, err, c.isTaken)
		}
	}
	now = now.Add(formerFor)
	if _, _, err := p.open(answer('c', 2)); err != nil {
		t.Errorf("a third session when the first is too old: %v", err)
	}
}

func TestServerSessionAcceptsEachNumberOnce(t *testing.T) {
	var s serverSession
	for i, c := range []struct {
		number uint64
		isNew  bool
	}{{3, true}, {3, false}, {0, true}, {0, false}, {66, true}, {3, false}, {4, true}, {2, false}, {1 << 40, true}, {66, false}, {1<<40 - 63, true}, {1<<40 - 64, false}} {
		if got := s.accept(c.number); got != c.isNew {
			t.Errorf("%d: packet %d is new: %t, want %t", i, c.number, got, c.isNew)
		}
	}
}

func TestAppendTarget(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:80": "\x01\xc0\x00\x02\x01\x00\x50", "[::ffff:192.0.2.1]:80": "\x01\xc0\x00\x02\x01\x00\x50", "a.b:65535": "\x03\x03a.b\xff\xff",
		"[2001:db8::1]:1": "\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01",
	} {
		got, err := appendTarget(nil, address)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", address, got, err, want)
		}
	}
	for _, bad := range []string{"", "h", "h:x", "h:65536", ":1", strings.Repeat("a", 256) + ":1"} {
		if got, err := appendTarget(nil, bad); err == nil {
			t.Errorf("%q: %q, want an error", bad, got)
		}
	}
}

func FuzzCutSource(f *testing.F) {
	for _, address := range []string{"192.0.2.1:80", "[2001:db8::1]:1"} {
		b, _ := appendTarget(nil, address)
		f.Add(append(b, "payload"...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		from, rest, ok := cutSource(b)
		if !ok {
			return
		}
		again, err := appendTarget(nil, net.UDPAddrFromAddrPort(from).String())
		if back, more, ok := cutSource(append(again, rest...)); err != nil || !ok || back != from || !bytes.Equal(more, rest) {
			t.Fatalf("%q is %v and %q, again %v and %q (%v)", b, from, rest, back, more, err)
		}
	})
}
