package planetest

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"stile/dataplane"
)

// echoUDP starts a server that sends packets back and counts them.
func (b *bench) echoUDP(host string) (addr *net.UDPAddr, received *atomic.Int64) {
	b.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
	if err != nil {
		b.Fatal(err)
	}
	received = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			received.Add(1)
			_, _ = conn.WriteToUDPAddrPort(packet[:n], from)
		}
	}()
	b.targets = append(b.targets, &target{listener: udpCloser{conn, done}})
	return conn.LocalAddr().(*net.UDPAddr), received
}

// udpCloser lets the bench close a UDP server with its targets.
type udpCloser struct {
	*net.UDPConn
	done chan struct{}
}

func (u udpCloser) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (u udpCloser) Addr() net.Addr            { return u.LocalAddr() }
func (u udpCloser) Close() error {
	err := u.UDPConn.Close()
	<-u.done
	return err
}

func (b *bench) dialUDP(key dataplane.Key) net.PacketConn {
	b.Helper()
	conn, err := b.DialUDP(b.ctx, key)
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

// echoPacket sends a packet and waits for its return.
func echoPacket(conn net.PacketConn, to net.Addr, payload []byte, within time.Duration) error {
	if _, err := conn.WriteTo(payload, to); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(within))
	back := make([]byte, 1<<16)
	n, from, err := conn.ReadFrom(back)
	if err != nil {
		return err
	}
	if string(back[:n]) != string(payload) || from.String() != to.String() {
		return fmt.Errorf("sent %d bytes to %v, got %d other bytes from %v", len(payload), to, n, from)
	}
	return nil
}

func datagrams(b *bench) {
	if b.DialUDP == nil {
		return
	}
	to, _ := b.echoUDP("127.0.0.1")
	key, other := b.key(), b.key()
	b.put(key)
	conn := b.dialUDP(key)
	defer conn.Close()
	total := 0
	for _, size := range []int{1, 100, 1400, 0, 9000} {
		if err := echoPacket(conn, to, make([]byte, size), patience); err != nil {
			b.Errorf("packet of %d bytes: %v", size, err)
		}
		total += size
	}
	if u := b.usage(key); u.Up != int64(total) || u.Down != int64(total) || u.Sessions != 1 {
		b.Errorf("usage %+v, want %d bytes both ways in one session", u, total)
	}
	stranger := b.dialUDP(other)
	defer stranger.Close()
	if err := echoPacket(stranger, to, []byte("x"), silence); err == nil {
		b.Error("a packet of an unknown key came back")
	}
}

func datagramsToPrivateTargets(b *bench) {
	if b.DialUDP == nil {
		return
	}
	to, _ := b.echoUDP("127.0.0.1")
	private, received := b.echoUDP("127.0.0.2")
	key := b.key()
	b.put(key)
	conn := b.dialUDP(key)
	defer conn.Close()
	opening := []byte("opens an association")
	if err := echoPacket(conn, to, opening, patience); err != nil {
		b.Fatal(err)
	}
	if err := echoPacket(conn, private, []byte("x"), silence); err == nil {
		b.Error("a packet from a private target came back")
	}
	mapped := &net.UDPAddr{IP: net.ParseIP("64:ff9b::7f00:2"), Port: private.Port}
	if err := echoPacket(conn, mapped, []byte("x"), silence); err == nil {
		b.Error("a packet from a private target came back through NAT64")
	}
	if n := received.Load(); n != 0 {
		b.Errorf("a private target got %d packets", n)
	}
	if u := b.usage(key); u.Up != int64(len(opening)) {
		b.Errorf("%d bytes counted, want the %d that were let through", u.Up, len(opening))
	}
}

func revocationEndsDatagrams(b *bench) {
	if b.DialUDP == nil {
		return
	}
	to, received := b.echoUDP("127.0.0.1")
	key, other := b.key(), b.key()
	b.put(key, other)
	conn, kept := b.dialUDP(key), b.dialUDP(other)
	defer conn.Close()
	defer kept.Close()
	for _, c := range []net.PacketConn{conn, kept} {
		if err := echoPacket(c, to, []byte("x"), patience); err != nil {
			b.Fatal(err)
		}
	}
	if ended := b.apply(nil, []int64{key.ID}, false); ended != 1 {
		b.Errorf("revocation ended %d associations, want 1", ended)
	}
	before := received.Load()
	if err := echoPacket(conn, to, []byte("x"), silence); err == nil || received.Load() != before {
		b.Error("a packet of a revoked key passed")
	}
	if err := echoPacket(kept, to, []byte("x"), patience); err != nil {
		b.Errorf("the other key's association broke: %v", err)
	}
	if u := b.usage(key); u.Sessions != 0 || u.Up != 1 || u.Down != 1 {
		b.Errorf("usage of the revoked key %+v", u)
	}
}
