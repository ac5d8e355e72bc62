package shadowsocks

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
)

// testKey makes a key whose seed follows from its number.
func testKey(id int64) dataplane.Key {
	k := dataplane.Key{ID: id}
	for i := range k.Seed {
		k.Seed[i] = byte(id>>(i%8*8)) + byte(i)
	}
	return k
}

func testSecret(id int64) accesskey.Shadowsocks {
	return accesskey.Seed(testKey(id).Seed).Shadowsocks()
}

// randomSalt returns a salt that begins with prefix.
func randomSalt(prefix string) []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt)
	copy(salt, prefix)
	return salt
}

// clientChain is the sending half of a client's session.
func clientChain(id int64, m method, salt []byte) *chain {
	master := masterKey(testSecret(id).Password)
	var subkey [keySize]byte
	newKDF(salt).derive(&master, &subkey)
	return &chain{aead: m.newAEAD(&subkey)}
}

// clientStream returns what a client of key id sends: salt, then the chunks.
func clientStream(id int64, m method, salt []byte, chunks ...[]byte) []byte {
	c := clientChain(id, m, salt)
	out := append(make([]byte, 0, len(salt)+sealedBytes(chunks)), salt...)
	for _, plain := range chunks {
		out = c.seal(out, []byte{byte(len(plain) >> 8), byte(len(plain))})
		out = c.seal(out, plain)
	}
	return out
}

// sealedBytes is what chunks take with their lengths and tags: sealing grows a slice by what it needs, and copies all for that.
func sealedBytes(chunks [][]byte) (n int) {
	for _, plain := range chunks {
		n += 2 + len(plain) + 2*tagSize
	}
	return n
}

// clientPacket returns a client's UDP packet.
func clientPacket(id int64, m method, salt, plain []byte) []byte {
	return clientChain(id, m, salt).seal(append([]byte(nil), salt...), plain)
}

// targetHeader returns the header that asks for an address.
func targetHeader(to netip.AddrPort) []byte {
	b := make([]byte, maxSource)
	return b[putSource(b, len(b), to):]
}

// setUp serves a plane with keys 1 to n; 127.0.0.1 may be reached.
func setUp(t testing.TB, ports, n int, waits times, change ...func(*Plane)) (*Plane, *dataplane.Ledger) {
	t.Helper()
	ledger := dataplane.NewLedger(time.Now)
	egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	ctx, cancel := context.WithCancel(context.Background())
	p, err := newPlane(ctx, Config{Host: "127.0.0.1", Ports: ports, Ledger: ledger, Egress: egress}, waits)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(p)
	}
	keys := make([]dataplane.Key, n)
	for i := range keys {
		keys[i] = testKey(int64(i + 1))
	}
	ledger.Apply(keys, nil, true)
	if err := p.Apply(keys, nil, true); err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	p.untilRunning()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		ledger.Close()
	})
	return p, ledger
}

// untilRunning waits until what comes in is taken.
func (p *server) untilRunning() {
	for isRunning := false; !isRunning; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		isRunning = p.isRunning
		p.mu.Unlock()
	}
}

// connect dials the plane's port of a key.
func connect(t testing.TB, p *Plane, id int64) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.ports[int(id)%len(p.ports)].tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn.(*net.TCPConn)
}

// echoServer echoes TCP and returns its address.
func echoServer(t testing.TB) netip.AddrPort {
	t.Helper()
	return serve(t, func(conn *net.TCPConn) { _, _ = conn.ReadFrom(conn) })
}

// serve starts a target and returns its address.
func serve(t testing.TB, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn))
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}
