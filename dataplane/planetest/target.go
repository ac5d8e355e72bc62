package planetest

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
)

// target is a TCP server that clients reach through the plane.
type target struct {
	listener net.Listener
	accepted atomic.Int64
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

// serve starts a target on an address of loopback.
func (b *bench) serve(host string, handle func(net.Conn)) *target {
	b.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		b.Fatal(err)
	}
	t := &target{listener: listener}
	b.targets = append(b.targets, t)
	t.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.accepted.Add(1)
			t.mu.Lock()
			t.conns = append(t.conns, conn)
			t.mu.Unlock()
			t.running.Go(func() {
				defer func() { _ = conn.Close() }()
				handle(conn)
			})
		}
	})
	return t
}

func (t *target) close() {
	_ = t.listener.Close()
	t.mu.Lock()
	for _, conn := range t.conns {
		_ = conn.Close()
	}
	t.mu.Unlock()
	t.running.Wait()
}

func (t *target) addr() string { return t.listener.Addr().String() }

// at returns the target's port under another host.
func (t *target) at(host string) string {
	return net.JoinHostPort(host, strconv.Itoa(t.listener.Addr().(*net.TCPAddr).Port))
}

func echoBack(conn net.Conn) { _, _ = io.Copy(conn, conn) }

// echoThenFlood answers the first five bytes and then sends until the connection breaks.
func echoThenFlood(conn net.Conn) {
	greeting := make([]byte, 5)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return
	}
	_, err := conn.Write(greeting)
	for block := make([]byte, 32<<10); err == nil; {
		_, err = conn.Write(block)
	}
}

// echo sends a text and reads it back.
func echo(conn net.Conn, text string) error {
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if string(back) != text {
		return fmt.Errorf("sent %q, got %q", text, back)
	}
	return nil
}
