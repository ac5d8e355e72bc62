package shadowsocks

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"stile/dataplane"
)

// packetTarget receives packets and tells what came from which egress socket.
func packetTarget(t *testing.T) (netip.AddrPort, chan string) {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	received := make(chan string, 64)
	go func() {
		packet := make([]byte, 2048)
		for {
			n, _, err := server.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			received <- string(packet[:n])
		}
	}()
	return server.LocalAddr().(*net.UDPAddr).AddrPort(), received
}

// sendPacket sends one authentic packet from a socket of its own, which it returns.
func sendPacket(t *testing.T, p *Plane, id int64, plain []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", p.ports[int(id)%len(p.ports)].udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = conn.Write(clientPacket(id, aes256GCM, randomSalt(testSecret(id).Prefix), plain))
	return conn
}

func expect(t *testing.T, received chan string, want string) {
	t.Helper()
	select {
	case got := <-received:
		if got != want {
			t.Errorf("the target received %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Errorf("the target did not receive %q", want)
	}
}

// expectAny waits for one packet more.
func expectAny(t *testing.T, received chan string) {
	t.Helper()
	select {
	case <-received:
	case <-time.After(time.Minute):
		t.Fatal("the target did not receive a packet")
	}
}

func (t *associations) clients() map[clientKey]*association {
	t.mu.Lock()
	defer t.mu.Unlock()
	open := map[clientKey]*association{}
	for _, a := range t.byName {
		open[clientKey{a.client.Load().addr, 0}] = a
	}
	return open
}

func TestAssociationsAreBounded(t *testing.T) {
	to, received := packetTarget(t)
	p, ledger := setUp(t, 1, 3, defaultTimes(), func(p *Plane) { p.datagrams.total, p.datagrams.perKey = 3, 2 })
	header := targetHeader(to)
	var first netip.AddrPort
	for i, text := range []string{"a", "b", "c"} {
		conn := sendPacket(t, p, 1, append(header, text...))
		expect(t, received, text)
		if i == 0 {
			first = conn.LocalAddr().(*net.UDPAddr).AddrPort()
		}
	}
	open := p.datagrams.clients()
	if _, kept := open[clientKey{first, 0}]; len(open) != 2 || kept {
		t.Errorf("a key with room for 2 has %d associations, the longest silent one among them: %v", len(open), kept)
	}
	sendPacket(t, p, 2, append(header, 'd'))
	expect(t, received, "d")
	sendPacket(t, p, 3, append(header, 'e')) // the table is full
	expect(t, received, "e")
	var sessions []int
	for _, u := range ledger.Usage(nil) {
		sessions = append(sessions, u.Sessions)
	}
	if n := len(p.datagrams.clients()); n != 3 || fmt.Sprint(sessions) != "[1 1 1]" {
		t.Errorf("a table with room for 3 has %d associations, %v of the keys; want one each", n, sessions)
	}
}

// Those who have many associations make room in a full table, however busy they are: others need few, and get them.
func TestAFullTableIsShared(t *testing.T) {
	to, received := packetTarget(t)
	p, _ := setUp(t, 1, 10, defaultTimes(), func(p *Plane) { p.datagrams.total, p.datagrams.perKey = 16, 16 })
	header := targetHeader(to)
	for id := int64(2); id <= 10; id++ {
		sendPacket(t, p, id, append(header, 'x'))
		expect(t, received, "x")
	}
	for range 64 {
		sendPacket(t, p, 1, append(header, 'y'))
		expect(t, received, "y")
	}
	for id := int64(1); id <= 10; id++ {
		p.datagrams.mu.Lock()
		n := len(p.datagrams.byKey[id])
		p.datagrams.mu.Unlock()
		if want := map[bool]int{true: 7, false: 1}[id == 1]; n != want {
			t.Errorf("key %d has %d associations, want %d", id, n, want)
		}
	}
}

func TestAssociationsEndInSilence(t *testing.T) {
	to, received := packetTarget(t)
	waits := defaultTimes()
	waits.dns, waits.udp = 20*time.Millisecond, 300*time.Millisecond
	p, ledger := setUp(t, 1, 1, waits)
	sent := time.Now()
	conn := sendPacket(t, p, 1, append(targetHeader(to), 'x'))
	expect(t, received, "x")
	time.Sleep(5 * waits.dns)
	if len(p.datagrams.clients()) != 1 && time.Since(sent) < waits.udp {
		t.Error("an association ended as soon as one for DNS")
	}
	_, _ = conn.Write(clientPacket(1, aes256GCM, randomSalt(""), append(targetHeader(to), 'y')))
	expect(t, received, "y")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if len(p.datagrams.clients()) == 0 && ledger.Usage(nil)[0].Sessions == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a silent association does not end")
		}
	}
}

// A client's socket may be taken over by another program with another key.
func TestAnotherKeyOnTheSameSocket(t *testing.T) {
	to, received := packetTarget(t)
	p, ledger := setUp(t, 1, 2, defaultTimes())
	conn := sendPacket(t, p, 1, append(targetHeader(to), '1'))
	expect(t, received, "1")
	_, _ = conn.Write(clientPacket(2, chacha20Poly1305, randomSalt(""), append(targetHeader(to), '2')))
	expect(t, received, "2")
	if n := len(p.datagrams.clients()); n != 1 {
		t.Errorf("one socket has %d associations", n)
	}
	for _, u := range ledger.Usage(nil) {
		if u.Up != 1 || u.Sessions != int(u.KeyID)-1 {
			t.Errorf("usage %+v, want a byte each and a session of key 2 only", u)
		}
	}
}

// stuckResolver answers when it is cancelled.
type stuckResolver struct{ asked chan struct{} }

func (r stuckResolver) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	r.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestNamesOfPackets(t *testing.T) {
	to, received := packetTarget(t)
	resolver := stuckResolver{make(chan struct{}, 64)}
	p, ledger := setUp(t, 1, 1, defaultTimes(), func(p *Plane) {
		p.datagrams.resolving = make(chan struct{}, 2)
		p.egress = dataplane.NewEgress(dataplane.EgressConfig{
			AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Resolver: resolver,
		})
	})
	literal := append([]byte("\x03\x09127.0.0.1"), byte(to.Port()>>8), byte(to.Port()))
	conn := sendPacket(t, p, 1, append(literal, "name"...))
	expect(t, received, "name")
	unasked(t, p)
	for range 5 {
		_, _ = conn.Write(clientPacket(1, aes256GCM, randomSalt(""), []byte("\x03\x09slow.test\x00\x09x")))
	}
	<-resolver.asked
	<-resolver.asked
	_, _ = conn.Write(clientPacket(1, aes256GCM, randomSalt(""), append(targetHeader(to), "later"...)))
	expect(t, received, "later")
	if n := len(resolver.asked); n != 0 {
		t.Errorf("%d names past the limit are being resolved", n)
	}
	if ended := ledger.Apply(nil, []int64{1}, false); ended != 1 {
		t.Errorf("ended %d associations", ended)
	}
	unasked(t, p) // a revoked association does not go on resolving
}

// unasked waits until no name is being resolved: one may be for a moment after its datagram has arrived.
func unasked(t *testing.T, p *Plane) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); len(p.datagrams.resolving) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("names are being resolved for a minute")
		}
	}
}

// A user whose names nobody answers for keeps none of the others from having theirs resolved.
func TestNamesAreSharedAmongKeys(t *testing.T) {
	to, received := packetTarget(t)
	resolver := stuckResolver{make(chan struct{}, 2*maxResolving)}
	p, _ := setUp(t, 1, 2, defaultTimes(), func(p *Plane) {
		p.egress = dataplane.NewEgress(dataplane.EgressConfig{
			AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Resolver: resolver,
		})
	})
	conn := sendPacket(t, p, 1, append(targetHeader(to), "here"...))
	expect(t, received, "here")
	for range 2 * maxResolving {
		_, _ = conn.Write(clientPacket(1, aes256GCM, randomSalt(""), []byte("\x03\x09slow.test\x00\x09x")))
	}
	_, _ = conn.Write(clientPacket(1, aes256GCM, randomSalt(""), append(targetHeader(to), "all"...)))
	expect(t, received, "all")
	if n := len(p.datagrams.resolving); n > maxResolvingPerKey {
		t.Errorf("%d names of one key are being resolved, more than %d", n, maxResolvingPerKey)
	}
	sendPacket(t, p, 2, append(append([]byte("\x03\x09127.0.0.1"), byte(to.Port()>>8), byte(to.Port())), "other"...))
	expect(t, received, "other")
}
