package httpsproxy_test

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// dialH2 opens a connection with HTTP/2 negotiated and nothing sent.
func (h *house) dialH2() *tls.Conn {
	h.Helper()
	config := h.client.tls.Clone()
	config.NextProtos = []string{http2.NextProtoTLS}
	conn, err := tls.Dial("tcp", h.client.address, config)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// Nothing is sent over HTTP/2 before the whole preface of the client is there, and then the settings come first.
func TestTheServerSpeaksSecond(t *testing.T) {
	conn := newHouse(t, 1).dialH2()
	quiet := func(after string) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after %s: %d bytes, %v", after, n, err)
		}
	}
	quiet("the handshake")
	_, _ = io.WriteString(conn, http2.ClientPreface[:20])
	quiet("a part of the preface")
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	framer := http2.NewFramer(conn, conn)
	_, _ = io.WriteString(conn, http2.ClientPreface[20:])
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := framer.ReadFrame()
	if settings, is := frame.(*http2.SettingsFrame); err != nil || !is || settings.IsAck() {
		t.Errorf("the first frame is %v, %v", frame, err)
	}
}

func TestAWrongPrefaceEndsTheConnection(t *testing.T) {
	conn := newHouse(t, 1).dialH2()
	_, _ = io.WriteString(conn, "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n")
	if got, err := io.ReadAll(conn); len(got) != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", got, err)
	}
}
