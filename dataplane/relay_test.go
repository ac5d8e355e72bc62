package dataplane

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// pair returns two ends of a TCP connection.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialled.Close(); _ = accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

// startRelay relays between two connections and returns their outer ends and a channel that closes when it ends.
func startRelay(t *testing.T, r Relay) (client, target *net.TCPConn, session *Session, done chan struct{}) {
	t.Helper()
	l := NewLedger(time.Now)
	l.Apply([]Key{{ID: 1}}, nil, false)
	session, err := l.Admit(1, func() {})
	if err != nil {
		t.Fatal(err)
	}
	client, inner := pair(t)
	target, outer := pair(t)
	buffers := NewBuffers()
	a, errA := NewTCPStream(inner, buffers)
	b, errB := NewTCPStream(outer, buffers)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	done = make(chan struct{})
	go func() { defer close(done); r.Run(session, a, b) }()
	return client, target, session, done
}

func ends(t *testing.T, done chan struct{}, why string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("the relay goes on: %s", why)
	}
}

func TestRelayMovesBothWaysAndHalfCloses(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	client, target, session, done := startRelay(t, DefaultRelay())
	body := make([]byte, 5<<20+13)
	_, _ = rand.Read(body)
	go func() { _, _ = client.Write(body); _ = client.CloseWrite() }()
	got, err := io.ReadAll(target)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("up: %d of %d bytes, %v", len(got), len(body), err)
	}
	go func() { _, _ = target.Write(body[:1000]); _ = target.CloseWrite() }()
	if got, err = io.ReadAll(client); err != nil || !bytes.Equal(got, body[:1000]) {
		t.Fatalf("down after the client finished: %d bytes, %v", len(got), err)
	}
	ends(t, done, "both sides have finished")
	if u := session.account.usage(); u.Up != int64(len(body)) || u.Down != 1000 || u.Sessions != 1 {
		t.Errorf("usage %+v", u)
	}
}

func TestRelayEndsWithEitherSide(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, side := range []string{"client", "target"} {
		client, target, _, done := startRelay(t, DefaultRelay())
		if side == "target" {
			client, target = target, client
		}
		_ = client.SetLinger(0)
		_ = client.Close()
		ends(t, done, side+" reset its connection")
		if _, err := target.Read(make([]byte, 1)); err == nil {
			t.Errorf("the other side of a reset %s still reads", side)
		}
	}
}

func TestRelayIdle(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	_, _, _, done := startRelay(t, Relay{Idle: 20 * time.Millisecond, HalfIdle: time.Hour})
	ends(t, done, "nothing moved")

	client, target, _, done := startRelay(t, Relay{Idle: time.Hour, HalfIdle: 20 * time.Millisecond})
	_, _ = target.Write([]byte("x")) // both directions are under way
	_, _ = io.ReadFull(client, make([]byte, 1))
	_ = client.CloseWrite()
	ends(t, done, "one side finished and the other is silent")
}

// One direction that is busy keeps the silent one open.
func TestRelayIsNotIdleWhileOneDirectionMoves(t *testing.T) {
	for idle := 200 * time.Millisecond; !outlastsIdle(t, idle); idle *= 2 {
		t.Logf("the machine paused for %v", idle)
	}
}

// outlastsIdle keeps one direction busy for longer than a relay may be idle. It reports false when this machine was idle itself for so
// long, so that the relay was right to end.
func outlastsIdle(t *testing.T, idle time.Duration) bool {
	t.Helper()
	client, target, _, done := startRelay(t, Relay{Idle: idle, HalfIdle: time.Hour})
	movedAt := time.Now()
	for range 20 {
		time.Sleep(idle / 8)
		began := time.Now()
		_, err := target.Write([]byte("x"))
		if err == nil {
			_, err = io.ReadFull(client, make([]byte, 1))
		}
		if err != nil && time.Since(movedAt) >= idle {
			return false
		}
		if err != nil {
			t.Fatalf("the relay ended though one direction was busy: %v", err)
		}
		movedAt = began
	}
	_ = client.Close()
	_ = target.Close()
	ends(t, done, "both sides closed")
	return true
}

// A receiver that takes nothing does not hold a flow for ever.
func TestRelayEndsWhenTheReceiverStalls(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, finished := range []bool{false, true} {
		client, target, _, done := startRelay(t, Relay{Idle: 100 * time.Millisecond, HalfIdle: time.Hour})
		if finished { // then nobody reads from the client, whose silence would end the flow otherwise
			_ = client.CloseWrite()
			_, _ = io.ReadAll(target)
		}
		go func() {
			for block := make([]byte, 1<<20); ; {
				if _, err := target.Write(block); err != nil {
					return
				}
			}
		}()
		ends(t, done, "the client reads nothing")
		_ = target.Close()
	}
}

func TestSourceTakesABufferOnlyWhenReadable(t *testing.T) {
	near, far := pair(t)
	buffers := NewBuffers()
	source, err := NewSource(near, buffers)
	if err != nil {
		t.Fatal(err)
	}
	_ = near.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, _, err := source.Read(10); err == nil || source.taken != nil {
		t.Fatalf("nothing to read: error %v, buffer held %v", err, source.taken != nil)
	}
	_ = near.SetReadDeadline(time.Time{})
	_, _ = far.Write([]byte("0123456789abc"))
	_ = far.CloseWrite()
	chunk, n, err := source.Read(10)
	if err != nil || string(chunk[:n]) != "0123456789" {
		t.Fatalf("Read(10) = %q, %v", chunk[:n], err)
	}
	if n, err := source.ReadInto(chunk[:]); err != nil || string(chunk[:n]) != "abc" {
		t.Fatalf("ReadInto = %q, %v", chunk[:n], err)
	}
	buffers.Return(chunk)
	if _, _, err := source.Read(10); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// faulty is a stream in which the program fails when it writes.
type faulty struct{ *TCPStream }

func (faulty) Write(net.Buffers) error { panic("a fault") }

// A panic of either direction reaches the goroutine of the session, once, when both have ended.
func TestRelayHandsAPanicToItsCaller(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, side := range []string{"client", "target"} {
		l := NewLedger(time.Now)
		l.Apply([]Key{{ID: 1}}, nil, false)
		session, err := l.Admit(1, func() {})
		if err != nil {
			t.Fatal(err)
		}
		client, inner := pair(t)
		target, outer := pair(t)
		buffers := NewBuffers()
		near, errNear := NewTCPStream(inner, buffers)
		far, errFar := NewTCPStream(outer, buffers)
		if errNear != nil || errFar != nil {
			t.Fatal(errNear, errFar)
		}
		cause := make(chan any, 1)
		go func() {
			defer func() { cause <- recover() }()
			if side == "client" {
				DefaultRelay().Run(session, faulty{near}, far)
			} else {
				DefaultRelay().Run(session, near, faulty{far})
			}
		}()
		_, _ = map[string]*net.TCPConn{"client": target, "target": client}[side].Write([]byte("x"))
		if err, ok := (<-cause).(error); !ok || !strings.Contains(err.Error(), "a fault") || !strings.Contains(err.Error(), "relay_test.go") {
			t.Errorf("%s: panicked with %v, want what happened and where", side, err)
		}
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the client's connection is open", side)
		}
	}
}
