package shadowsocks

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"stile/accesskey"
	"stile/internal/testport"
)

// greets reports whether a key that names nothing is found at a port and relays.
func greets(t *testing.T, to netip.AddrPort, port int, id int64) (conn net.Conn, ok bool) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return nil, false
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = conn.Write(clientStream(id, aes256GCM, randomSalt(""), targetHeader(to), []byte("hello")))
	_, err = io.ReadFull(conn, make([]byte, saltSize))
	return conn, err == nil
}

// A plane moves to other ports, some of which it has already. Sessions go on; keys of before are found at the old ports
// and new ones at the new ports until the old are left.
func TestPortsMove(t *testing.T) {
	echo := echoServer(t)
	p, _ := setUp(t, 2, 8, defaultTimes())
	first, _ := p.Ports()
	old := Range{first, 2}
	port := func(r Range, id int64) int { return accesskey.Port(r.First, r.Count, id) }
	running, ok := greets(t, echo, port(old, 1), 1)
	if !ok {
		t.Fatal("a key is not found")
	}
	to := Range{testport.Free(t, 3), 3}
	if first+2 < 1<<16 {
		if wider, err := p.Open(t.Context(), Range{first + 1, 2}, nil); err == nil { // shares a port
			to = wider.of
			wider.Close()
		}
	}
	opened, err := p.Open(t.Context(), to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := greets(t, echo, port(old, 2), 2); !ok {
		t.Error("what was served is not while others are open")
	}
	p.Serve(opened)
	p.Serve(&Opened{of: to}) // once more
	for id := int64(1); id <= 8; id++ {
		for _, r := range []Range{old, to} {
			if _, ok := greets(t, echo, port(r, id), id); !ok {
				t.Errorf("key %d is not found at port %d", id, port(r, id))
			}
		}
	}
	p.Leave(old)
	for id := int64(1); id <= 8; id++ {
		if _, ok := greets(t, echo, port(to, id), id); !ok {
			t.Errorf("key %d is not found at port %d", id, port(to, id))
		}
	}
	if !to.holds(first) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(first)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a port that was left: %v, %v", conn, err)
		}
	}
	_ = running.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := io.Copy(io.Discard, running); !isTimeout(err) {
		t.Errorf("a session that came by a port which was left ends: %v", err)
	}
}

// Ports go from a plane of one edition to one of the other and back. What waits to be accepted is not lost, and sessions of the
// plane that gave them go on.
func TestPortsAreHandedOver(t *testing.T) {
	echo := echoServer(t)
	p, ledger := setUp(t, 2, 2, defaultTimes())
	first, _ := p.Ports()
	r := Range{first, 2}
	port := func(id int64) int { return accesskey.Port(r.First, r.Count, id) }
	running, ok := greets(t, echo, port(1), 1)
	if !ok {
		t.Fatal("a key is not found")
	}
	method := accesskey.Method2022AES256
	other, err := New2022(t.Context(), Config2022{
		Config: Config{Host: "127.0.0.1", IsIdle: true, Ledger: ledger, Egress: p.egress}, Method: method, IdentityPSK: make([]byte, accesskey.PSKSize(method)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- other.Run(t.Context()) }()
	defer func() { _ = other.Close(t.Context()); <-ran }()
	move := func(to, from Moving) {
		t.Helper()
		opened, err := to.Open(t.Context(), r, from)
		if err != nil {
			t.Fatal(err)
		}
		to.Serve(opened)
	}
	move(other, p)
	p.Leave(r)
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port(2))) // waits for a salt that 2022 never takes from 2018
	if err != nil {
		t.Fatalf("a port that was handed over: %v", err)
	}
	_ = conn.Close()
	if _, ok := other.Ports(); ok != 0 || len(other.ports) != 2 || len(p.ports) != 0 {
		t.Errorf("the planes have %d and %d ports", len(p.ports), len(other.ports))
	}
	if n := len(p.ring.ranges); n != 0 {
		t.Errorf("%d ranges are left", n)
	}
	move(p, other)
	if _, ok := greets(t, echo, port(2), 2); !ok {
		t.Error("a key is not found at a port that came back")
	}
	_ = running.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := io.Copy(io.Discard, running); !isTimeout(err) {
		t.Errorf("a session ends with its port's handing over: %v", err)
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func TestOpeningIsAllOrNothing(t *testing.T) {
	echo := echoServer(t)
	p, _ := setUp(t, 1, 1, defaultTimes())
	to := Range{testport.Free(t, 3), 3}
	taken, err := net.ListenPacket("udp", "127.0.0.1:"+strconv.Itoa(to.First+2))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := p.Open(t.Context(), to, nil); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a busy port: %v", err)
	}
	for _, bad := range []Range{{0, 1}, {-1, 1}, {65_535, 2}, {1, 0}, {1, maxPorts + 1}} {
		if _, err := p.Open(t.Context(), bad, nil); err == nil {
			t.Errorf("%+v is opened", bad)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(to.First))
	if err != nil {
		t.Fatalf("a port stays open after another one was busy: %v", err)
	}
	_ = free.Close()
	first, _ := p.Ports()
	if _, ok := greets(t, echo, first, 1); !ok {
		t.Error("what was served is not any more")
	}
}

// Ports can be handed over while the plane closes: neither waits for the other.
func TestPortsAreHandedOverWhileClosing(t *testing.T) {
	p, _ := setUp(t, 1, 1, defaultTimes())
	first, count := p.Ports()
	handedOver, ended := make(chan []port, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.links.Close(t.Context(), func() { // no connection can be let in or turned away now
			conn, err := net.Dial("tcp", p.ports[0].tcp.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			time.Sleep(20 * time.Millisecond) // it is waiting for that
			go func() { handedOver <- p.handOver(Range{first, count}) }()
			time.Sleep(20 * time.Millisecond) // and the ports for it
			p.mu.Lock()
			p.mu.Unlock() //nolint:staticcheck // as Close does
		})
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the plane does not close")
	}
	for _, one := range <-handedOver {
		one.close()
	}
}
