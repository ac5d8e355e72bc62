package httpsproxy_test

import (
	"io"
	"log/slog"
	"net"
	"strconv"
	"testing"

	"stile/dataplane/httpsproxy"
)

// A plane moves to another port, and to none. Tunnels that came by a port which was left go on.
func TestPortsMove(t *testing.T) {
	h := newHouse(t, 1)
	site := h.site().Listener.Addr().String()
	first, err := h.dial1(t.Context(), h.keys[0], site)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, text, _ := net.SplitHostPort(h.address)
	old, _ := strconv.Atoi(text)
	listener, err := httpsproxy.Listen(t.Context(), "127.0.0.1", 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.plane.Serve(listener)
	moved := newClient(t, h.ca, listener.Port())
	for _, c := range []*client{h.client, moved} {
		conn, err := c.dial2(t.Context(), h.keys[0], site)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	h.plane.Leave(old)
	h.plane.Leave(1)
	if h.plane.Listens(old) || !h.plane.Listens(listener.Port()) {
		t.Error("it listens where it left, or not where it moved")
	}
	if conn, err := net.Dial("tcp", h.address); err == nil {
		_ = conn.Close()
		t.Error("a port that was left takes connections")
	}
	second, err := moved.dial1(t.Context(), h.keys[0], site)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	h.plane.Leave(listener.Port())
	for name, conn := range map[string]net.Conn{"first": first, "second": second} {
		_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		if n, err := conn.Read(make([]byte, 64)); err != nil || n == 0 {
			t.Errorf("the %s tunnel ended with its port: %v", name, err)
		}
	}
}
