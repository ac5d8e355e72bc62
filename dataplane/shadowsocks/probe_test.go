package shadowsocks

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"stile/dataplane"
)

const testHandshake = 400 * time.Millisecond

func shortHandshake() times {
	t := defaultTimes()
	t.handshake = testHandshake
	return t
}

// TestProbesLookAlike sends everything that a stranger could, and sees the same each time: no byte, and a connection
// that stays open for the time of a handshake.
func TestProbesLookAlike(t *testing.T) {
	p, ledger := setUp(t, 1, 8, shortHandshake())
	to := targetHeader(echoServer(t))
	hello := append(bytes.Clone(to), "hello"...)

	recorded := clientStream(1, aes256GCM, randomSalt(testSecret(1).Prefix), hello)
	genuine := connect(t, p, 1)
	_, _ = genuine.Write(recorded)
	sent := make([]byte, saltSize+lengthSize+5+tagSize)
	if _, err := io.ReadFull(genuine, sent); err != nil {
		t.Fatalf("the genuine connection gets no answer: %v", err)
	}
	expired := testKey(2)
	expired.NotAfter = time.Now().Add(-time.Second)
	ledger.Apply([]dataplane.Key{expired}, []int64{3}, false)
	_ = p.Apply([]dataplane.Key{expired}, []int64{3}, false)

	garbage := make([]byte, 70_000)
	_, _ = rand.Read(garbage)
	longLength := clientChain(4, aes256GCM, garbage[:saltSize])
	badTag := clientStream(5, aes256GCM, randomSalt(testSecret(5).Prefix), hello)
	badTag[len(badTag)-1] ^= 1
	probes := map[string][]byte{
		"nothing":              nil,
		"one byte":             garbage[:1],
		"one byte too few":     garbage[:saltSize+lengthSize-1],
		"just enough garbage":  garbage[:saltSize+lengthSize],
		"much garbage":         garbage,
		"HTTP":                 []byte("GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: probe/1.0 (nothing to see)\r\n\r\n"),
		"a key's tag":          append([]byte(testSecret(1).Prefix), garbage[:200]...),
		"replay":               recorded,
		"changed replay":       append(bytes.Clone(recorded[:len(recorded)-1]), recorded[len(recorded)-1]^1),
		"our own bytes":        sent,
		"unknown key":          clientStream(99, aes256GCM, randomSalt(testSecret(99).Prefix), hello),
		"suspended key":        clientStream(2, aes256GCM, randomSalt(testSecret(2).Prefix), hello),
		"removed key":          clientStream(3, aes256GCM, randomSalt(testSecret(3).Prefix), hello),
		"length past the most": longLength.seal(bytes.Clone(garbage[:saltSize]), []byte{0x40, 0x00}),
		"bad payload":          badTag,
		"bad address type":     clientStream(6, aes256GCM, randomSalt(testSecret(6).Prefix), []byte{9, 1, 2, 3, 4, 0, 80}),
		"header incomplete":    clientStream(7, chacha20Poly1305, randomSalt(testSecret(7).Prefix), to[:4]),
	}
	var group sync.WaitGroup
	for name, probe := range probes {
		group.Go(func() {
			before := time.Now()
			conn := connect(t, p, 1)
			_, _ = conn.Write(probe)
			n, err := io.Copy(io.Discard, conn)
			took := time.Since(before)
			if n != 0 {
				t.Errorf("%s: the plane answered %d bytes", name, n)
			}
			if err != nil && !errors.Is(err, syscall.ECONNRESET) || took < testHandshake*9/10 {
				t.Errorf("%s: closed after %v with %v, want the time of a handshake, %v", name, took, err, testHandshake)
			}
		})
	}
	group.Wait()
}

// A stranger who says that nothing more comes is let go at once, like a server that waits for more.
func TestProbeThatFinishesIsClosed(t *testing.T) {
	p, _ := setUp(t, 1, 1, defaultTimes())
	for _, size := range []int{0, 10, 50, 5000} {
		conn := connect(t, p, 1)
		_, _ = conn.Write(make([]byte, size))
		_ = conn.CloseWrite()
		if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil {
			t.Errorf("%d bytes and the end: %d bytes came back, %v", size, n, err)
		}
	}
}

// One past a bound of those that have shown no key makes the oldest go. Whoever has shown one is not among them.
func TestStrangersAreBounded(t *testing.T) {
	for name, bound := range map[string]func(*Plane){
		"refused of one origin": func(p *Plane) { p.refused = dataplane.NewStrangers(100, 3) },
		"refused in all":        func(p *Plane) { p.refused = dataplane.NewStrangers(3, 100) },
		"waiting of one origin": func(p *Plane) { p.waiting = dataplane.NewStrangers(100, 3) },
		"waiting in all":        func(p *Plane) { p.waiting = dataplane.NewStrangers(3, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := setUp(t, 1, 1, defaultTimes(), bound)
			user := connect(t, p, 1)
			talk := func(text string) {
				t.Helper()
				got := make([]byte, len(text))
				if _, err := io.ReadFull(user, got); err != nil {
					t.Fatalf("a user's connection beside strangers: %v", err)
				}
			}
			target := targetHeader(endlessServer(t))
			_, _ = user.Write(clientStream(1, aes256GCM, randomSalt(testSecret(1).Prefix), target, []byte("x")))
			talk("before")
			probe, full := make([]byte, 100), p.refused
			if name[0] == 'w' {
				probe, full = nil, p.waiting
			}
			var strangers []*net.TCPConn
			for i := range 3 {
				strangers = append(strangers, connect(t, p, 1))
				_, _ = strangers[i].Write(probe)
				for deadline := time.Now().Add(time.Minute); full.Len() != i+1; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%d strangers, want %d", full.Len(), i+1)
					}
				}
			}
			fourth := connect(t, p, 1)
			_, _ = fourth.Write(probe)
			if _, err := io.Copy(io.Discard, strangers[0]); isDeadline(err) {
				t.Error("the oldest stays beside one past the bound")
			}
			if full.Len() != 3 {
				t.Errorf("%d strangers, want 3", full.Len())
			}
			for _, one := range append(strangers[1:], fourth) {
				_ = one.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if _, err := one.Read(make([]byte, 1)); !isDeadline(err) {
					t.Errorf("another went: %v", err)
				}
			}
			talk("after")
		})
	}
}

// endlessServer says much to everybody.
func endlessServer(t *testing.T) netip.AddrPort {
	t.Helper()
	return serve(t, func(conn *net.TCPConn) {
		for {
			if _, err := conn.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	})
}

func isDeadline(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

func TestReplayedPacketIsDropped(t *testing.T) {
	p, _ := setUp(t, 1, 2, defaultTimes())
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	received := make(chan string, 10)
	go func() {
		packet := make([]byte, 2048)
		for {
			n, _, err := server.ReadFromUDP(packet)
			if err != nil {
				return
			}
			received <- string(packet[:n])
		}
	}()
	plain := append(targetHeader(server.LocalAddr().(*net.UDPAddr).AddrPort()), "once"...)
	packet := clientPacket(1, aes256GCM, randomSalt(""), plain)
	last := clientPacket(1, aes256GCM, randomSalt(""), append(targetHeader(server.LocalAddr().(*net.UDPAddr).AddrPort()), "last"...))
	var sockets []net.Conn
	for range 2 {
		conn, err := net.Dial("udp", p.ports[0].udp.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		sockets = append(sockets, conn)
	}
	for _, conn := range []net.Conn{sockets[0], sockets[0], sockets[1]} {
		_, _ = conn.Write(packet)
	}
	_, _ = sockets[1].Write(last)
	if got := []string{<-received, <-received}; got[0] != "once" || got[1] != "last" {
		t.Errorf("the target received %q, want each packet once", got)
	}
}

func TestListenIsAllOrNothing(t *testing.T) {
	p, ledger := setUp(t, 4, 0, defaultTimes())
	first, count := p.Ports()
	if count != 4 || p.ports[3].number() != first+3 {
		t.Fatalf("ports %d+%d, the last is %d", first, count, p.ports[3].number())
	}
	config := Config{Host: "127.0.0.1", Port: first, Ports: 1, Ledger: ledger, Egress: p.egress}
	if _, err := New(t.Context(), config); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a busy port: %v", err)
	}
	for _, bad := range []Config{
		{Port: 65535, Ports: 2, Ledger: ledger, Egress: p.egress}, {Port: -1, Ports: 1, Ledger: ledger, Egress: p.egress},
		{Ports: 0, Ledger: ledger, Egress: p.egress}, {Ports: maxPorts + 1, Ledger: ledger, Egress: p.egress}, {Ports: 1, Egress: p.egress},
	} {
		if plane, err := New(t.Context(), bad); err == nil {
			_ = plane.Close(t.Context())
			t.Errorf("a plane of %d ports from %d", bad.Ports, bad.Port)
		}
	}
}

func TestCloseBeforeRunFreesThePorts(t *testing.T) {
	ledger := dataplane.NewLedger(time.Now)
	config := Config{Host: "127.0.0.1", Ports: 1, Ledger: ledger, Egress: dataplane.NewEgress(dataplane.EgressConfig{})}
	p, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	config.Port, _ = p.Ports()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Errorf("Run after Close: %v", err)
	}
	again, err := New(t.Context(), config)
	if err != nil {
		t.Fatalf("the port is still busy: %v", err)
	}
	_ = again.Close(t.Context())
}
