package shadowsocks

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"stile/dataplane"
)

// maxTarget is the longest target header: a name of 255 bytes.
const maxTarget = 1 + 1 + 255 + 2

func FuzzTarget(f *testing.F) {
	f.Add(targetHeader(netip.MustParseAddrPort("192.0.2.1:443")))
	f.Add(targetHeader(netip.MustParseAddrPort("[2001:db8::1]:443")))
	f.Add([]byte("\x03\x0bexample.com\x01\xbbrest"))
	f.Add([]byte{3, 0, 0, 80})
	f.Fuzz(func(t *testing.T, b []byte) {
		to, n, err := parseTarget(b)
		if err != nil {
			if !errors.Is(err, errShortTarget) && !errors.Is(err, errBadTarget) {
				t.Fatalf("another error: %v", err)
			}
			if errors.Is(err, errShortTarget) && len(b) >= maxTarget {
				t.Fatalf("%d bytes are not enough", len(b))
			}
			return
		}
		if n > len(b) || n > maxTarget || (to.Name == "") != to.Addr.IsValid() {
			t.Fatalf("%+v in %d of %d bytes", to, n, len(b))
		}
		for short := range n {
			if _, _, err := parseTarget(b[:short]); !errors.Is(err, errShortTarget) {
				t.Fatalf("%d of %d bytes: %v", short, n, err)
			}
		}
		if to.Name == "" {
			again, m, err := parseTarget(targetHeader(netip.AddrPortFrom(to.Addr, to.Port)))
			if err != nil || again != to || m > n {
				t.Fatalf("%+v written and read is %+v, %v", to, again, err)
			}
		}
	})
}

func tcpPair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, conn := range []*net.TCPConn{near, far} {
			_ = conn.SetLinger(0) // a port that waits out its minute is none for the next try
			_ = conn.Close()
		}
	})
	deadline := time.Now().Add(time.Minute)
	_, _ = near.SetDeadline(deadline), far.SetDeadline(deadline)
	return near, far
}

// FuzzStream sends a payload in chunks and segments of any size, perhaps with one byte changed, through salt, first
// length, header and chunk reader. What comes out is the payload, or the beginning of it and an error.
func FuzzStream(f *testing.F) {
	f.Add([]byte("payload"), uint16(3), uint16(7), -1, true)
	f.Add(bytes.Repeat([]byte("0123456789"), 20_000), uint16(maxChunk), uint16(60_000), -1, false)
	f.Add(bytes.Repeat([]byte("0123456789"), 2_000), uint16(1), uint16(1000), 300, true)
	f.Add([]byte{}, uint16(1), uint16(1), -1, true)
	f.Add([]byte("salt"), uint16(100), uint16(9), 0, true)
	p := &Plane{server: server{buffers: dataplane.NewBuffers()}, ring: newKeyring(1)}
	p.ring.apply([]dataplane.Key{testKey(1)}, nil, true)
	header := targetHeader(netip.MustParseAddrPort("192.0.2.1:443"))
	f.Fuzz(func(t *testing.T, payload []byte, chunk, segment uint16, flip int, aes bool) {
		size, cut := max(1, int(chunk)%(maxChunk+1)), max(1, int(segment))
		if len(payload) > 1<<18 || len(payload)/size > 4000 {
			return
		}
		p.tcp = &finder{
			ring: p.ring, sources: newSources(time.Now), trials: newTrials(time.Now), replays: newReplayFilter(10), salts: newSaltMaker(),
			plausible: isLengthStart,
		}
		m := chacha20Poly1305
		if aes {
			m = aes256GCM
		}
		var chunks [][]byte
		for rest := append(bytes.Clone(header), payload...); len(rest) > 0; {
			n := min(size, len(rest))
			chunks = append(chunks, rest[:n], nil)
			rest = rest[n:]
		}
		sealed := clientStream(1, m, randomSalt(""), chunks...)
		checkStream(t, p, sealed, payload, cut, flip)
	})
}

// checkStream sends a client's bytes in segments, with one byte changed if there is a byte of that number.
func checkStream(t *testing.T, e edition, sealed, payload []byte, cut, flip int) {
	t.Helper()
	changed := flip >= 0 && flip < len(sealed)
	if changed {
		sealed[flip] ^= 1
	}
	near, far := tcpPair(t)
	go func() {
		for rest := sealed; len(rest) > 0; {
			n := min(cut, len(rest))
			if len(sealed)/cut > 2000 {
				n = len(rest)
			}
			if _, err := near.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		_ = near.CloseWrite()
	}()
	got, err := readAll(e, far)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the reader hangs")
	}
	if changed {
		if err == nil || !bytes.HasPrefix(payload, got) {
			t.Fatalf("byte %d of %d changed: %d bytes came out, %v", flip, len(sealed), len(got), err)
		}
	} else if err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("%d of %d bytes came out, %v", len(got), len(payload), err)
	}
}

// readAll reads a stream as serveLink does and checks that no buffer is held at its end.
func readAll(e edition, conn *net.TCPConn) (got []byte, err error) {
	g, err := e.handshake(conn, 1, 0)
	if err != nil {
		return nil, err
	}
	s := g.stream
	defer s.close()
	if g.target.Port != 443 {
		return nil, errors.New("wrong target")
	}
	for {
		payloads, err := s.Next()
		if err == io.EOF {
			if s.chunk != nil {
				return got, errors.New("a buffer is held at the end")
			}
			return got, nil
		}
		if err != nil {
			return got, err
		}
		for _, payload := range payloads {
			got = append(got, payload...)
		}
		s.Release()
	}
}

// FuzzPacket gives a plane UDP packets: garbage, and authentic ones with any content.
func FuzzPacket(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(make([]byte, saltSize+tagSize), false)
	f.Add(append(targetHeader(netip.MustParseAddrPort("127.0.0.1:9")), "payload"...), true)
	f.Add([]byte("\x03\x09localhost\x00\x09payload"), true)
	f.Add([]byte{1, 127, 0, 0}, true)
	p, _ := setUp(f, 1, 2, defaultTimes())
	client := clientKey{netip.MustParseAddrPort("127.0.0.1:9"), 0}
	f.Fuzz(func(t *testing.T, content []byte, authentic bool) {
		if len(content) > 1400 {
			return
		}
		packet := content
		if authentic {
			packet = clientPacket(1, aes256GCM, randomSalt(testSecret(1).Prefix), content)
		}
		p.receive(p.ports[0].udp, client, packet, make([]byte, 0, 1<<16))
		p.datagrams.mu.Lock()
		open := len(p.datagrams.byName)
		p.datagrams.mu.Unlock()
		if open > 1 {
			t.Fatalf("one client has %d associations", open)
		}
	})
}
