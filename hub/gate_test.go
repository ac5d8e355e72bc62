package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stile/wire"
)

// gatehouse is a listener that runs, and who comes to it.
type gatehouse struct {
	t       *testing.T
	l       *Listener
	address string
}

func newGatehouse(t *testing.T) *gatehouse {
	t.Helper()
	l := newTestListener(t)
	tcp, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx, tcp) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &gatehouse{t: t, l: l, address: tcp.Addr().String()}
}

// dial connects from an address of this machine.
func (g *gatehouse) dial(from string) net.Conn {
	g.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(g.t.Context(), "tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// visit makes a handshake, with a certificate or none, and reports whether the control plane says anything then.
func (g *gatehouse) visit(from string, certificates ...tls.Certificate) (net.Conn, bool) {
	g.t.Helper()
	conn := tls.Client(g.dial(from), &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, ServerName: wire.ControlName, NextProtos: []string{"h2"}, Certificates: certificates,
	})
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return conn, false
	}
	_, err := conn.Read(make([]byte, 9))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		g.t.Fatal("neither let in nor turned away")
	}
	return conn, err == nil
}

func (g *gatehouse) certificate(id int64) tls.Certificate {
	g.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		g.t.Fatal(err)
	}
	der, err := g.l.cfg.Authority.CertifyNode(id, public, time.Now().Add(time.Hour))
	if err != nil {
		g.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func TestStrangersAreBounded(t *testing.T) {
	g := newGatehouse(t)
	var last net.Conn
	for i := range strangersAtOnce / 2 {
		var ok bool
		if last, ok = g.visit("127.0.0.1"); !ok {
			t.Fatalf("stranger %d of one address is turned away", i)
		}
	}
	if _, ok := g.visit("127.0.0.1"); ok {
		t.Error("one address may have more than half of all connections of strangers")
	}
	if _, ok := g.visit("127.0.0.2"); !ok {
		t.Error("a stranger of another address is turned away")
	}
	if _, ok := g.visit("127.0.0.1", g.certificate(7)); !ok {
		t.Error("a node is turned away because of strangers")
	}
	_ = last.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, ok := g.visit("127.0.0.1"); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("whoever has left is still counted")
		}
	}
}

// Connections that never say anything take neither all handshakes nor anybody's place in line.
func TestSilentConnectionsLeaveRoomForOthers(t *testing.T) {
	g := newGatehouse(t)
	for range handshakesAtOnce {
		g.dial("127.0.0.1")
	}
	began := time.Now()
	if _, ok := g.visit("127.0.0.2"); !ok {
		t.Error("another address is turned away")
	}
	if took := time.Since(began); took > handshakeTimeout {
		t.Errorf("another address waited %v for silent ones", took)
	}
}

func TestANodeHasButSoManyConnections(t *testing.T) {
	g := newGatehouse(t)
	seven, eight := g.certificate(7), g.certificate(8)
	for i := range connectionsEach {
		if _, ok := g.visit("127.0.0.1", seven); !ok {
			t.Fatalf("connection %d of a node is turned away", i)
		}
	}
	if _, ok := g.visit("127.0.0.2", seven); ok {
		t.Error("a node has one connection too many")
	}
	if _, ok := g.visit("127.0.0.1", eight); !ok {
		t.Error("another node is turned away")
	}
}

func TestNobodyHasMoreThanThereIsRoomLeft(t *testing.T) {
	c := newTally(8, 100)
	for by, want := range []int{4, 2, 1, 1, 0} {
		got := 0
		for c.enter(by) {
			got++
		}
		if got != want {
			t.Errorf("%d got %d places, want %d", by, got, want)
		}
	}
	if c.hasRoom() || !c.leave(1) || !c.hasRoom() || !c.enter(9) || c.enter(9) {
		t.Error("one has left, so one may enter")
	}
}

func TestAddressesTakeTurnsInLine(t *testing.T) {
	l := line{of: make(map[any][]net.Conn)}
	conns := map[net.Conn]string{}
	for _, name := range []string{"a1", "a2", "a3", "b1", "c1"} {
		here, there := net.Pipe()
		t.Cleanup(func() { _, _ = here.Close(), there.Close() })
		conns[here] = name
		l.add(name[:1], here)
	}
	var order string
	for {
		conn, from := l.next(func(from any) bool { return from != "c" })
		if conn == nil {
			break
		}
		order += conns[conn] + " "
		if conns[conn][:1] != from {
			t.Errorf("%s is from %v", conns[conn], from)
		}
	}
	if order != "a1 b1 a2 a3 " {
		t.Errorf("they went in the order %s", order)
	}
}

// exhausted is a listener of a process without descriptors left.
type exhausted struct{ net.Listener }

func (exhausted) Accept() (net.Conn, error) {
	return nil, os.NewSyscallError("accept4", syscall.EMFILE)
}
func (exhausted) Close() error { return nil }

func TestAGateTellsThatNobodyCanConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newGate(t.Context(), exhausted{}, nil, slog.New(slog.NewTextHandler(&log, nil)))
		time.Sleep(3*acceptSilence - acceptPause)
		_ = g.Close()
		g.wait()
		if n := strings.Count(log.String(), "too many open files"); n != 3 {
			t.Errorf("told %d times, want each minute: %s", n, log.String())
		}
	})
}
