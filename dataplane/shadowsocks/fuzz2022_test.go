package shadowsocks

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
)

// FuzzHeaders2022 gives the parsers of opened headers anything.
func FuzzHeaders2022(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	stamp := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	to := targetHeader(netip.MustParseAddrPort("192.0.2.1:443"))
	f.Add(append(append([]byte{0}, stamp...), 0, 20))
	f.Add(append(append([]byte{}, to...), 0, 2, 'p', 'p', 'x'))
	f.Add(append(append(append([]byte{0}, stamp...), 0, 1, 'p'), append(to, 'x')...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if size, err := parseFixed(b, now); err == nil {
			seconds := int64(binary.BigEndian.Uint64(b[1:])) - now.Unix()
			if len(b) != fixedSize || size < 1 || size > maxChunk2022 || b[0] != 0 || seconds > 30 || seconds < -30 {
				t.Fatalf("%x is a header of size %d", b, size)
			}
		}
		if to, n, err := parseRequest(b); err == nil {
			target, end, err := parseTarget(b)
			if err != nil || to != target || n < end+2 || n > len(b) || n == end+2 && n == len(b) {
				t.Fatalf("%x asks for %+v, and its payload begins at %d", b, to, n)
			}
		}
		if to, payload, err := parsePacket(b, now); err == nil {
			if (to.Name == "") != to.Addr.IsValid() || !bytes.HasSuffix(b, payload) || len(payload) > len(b)-fixedSize {
				t.Fatalf("%x is a packet for %+v of %d bytes", b, to, len(payload))
			}
		}
	})
}

// FuzzStream2022 is FuzzStream for the 2022 edition, with padding and an initial payload of any size.
func FuzzStream2022(f *testing.F) {
	f.Add([]byte("payload"), uint16(3), uint16(7), uint16(5), -1, true)
	f.Add(bytes.Repeat([]byte("0123456789"), 20_000), uint16(maxChunk2022), uint16(60_000), uint16(900), -1, false)
	f.Add(bytes.Repeat([]byte("0123456789"), 2_000), uint16(1), uint16(1000), uint16(0), 300, true)
	f.Add([]byte{}, uint16(1), uint16(1), uint16(1), -1, true)
	f.Add([]byte("salt"), uint16(100), uint16(9), uint16(0), 0, false)
	to := targetHeader(netip.MustParseAddrPort("192.0.2.1:443"))
	f.Fuzz(func(t *testing.T, payload []byte, chunk, segment, padding uint16, flip int, short bool) {
		size, cut := max(1, int(chunk)), max(1, int(segment))
		if len(payload) > 1<<18 || len(payload)/size > 4000 {
			return
		}
		method := accesskey.Method2022AES256
		if short {
			method = accesskey.Method2022AES128
		}
		p := &Plane2022{
			server: server{buffers: dataplane.NewBuffers()}, identityPSK: testIdentity(method), users: newUsers(method),
			salts: newSaltPool(10, time.Now), now: time.Now,
		}
		p.users.apply([]dataplane.Key{testKey(1)}, nil, true)
		c := newClient2022(method, testKey(1))
		initial := payload[:min(len(payload), size, 60_000)]
		if len(initial) == 0 && padding == 0 {
			padding = 1
		}
		padded := min(int(padding), maxChunk2022-len(to)-2-len(initial))
		var chunks [][]byte
		for rest := payload[len(initial):]; len(rest) > 0; {
			n := min(size, len(rest))
			chunks = append(chunks, rest[:n], nil)
			rest = rest[n:]
		}
		checkStream(t, p, c.request(c.salt(), to, padded, initial, chunks...), payload, cut, flip)
	})
}

// FuzzPacket2022 gives a plane packets: garbage, and authentic ones with any content and number.
func FuzzPacket2022(f *testing.F) {
	f.Add([]byte{}, uint64(0), false)
	f.Add(make([]byte, separateSize+identitySize+tagSize), uint64(0), false)
	f.Add(append(append([]byte{0, 1, 'p'}, targetHeader(netip.MustParseAddrPort("127.0.0.1:9"))...), "payload"...), uint64(1), true)
	f.Add([]byte("\x00\x00\x03\x09localhost\x00\x09payload"), uint64(1<<63), true)
	f.Add([]byte{0, 9}, uint64(2), true)
	method := accesskey.Method2022AES256
	p, _ := setUp2022(f, method, 2, defaultTimes())
	conn, err := newClient2022(method, testKey(1)).dialUDP(p.address())
	if err != nil {
		f.Fatal(err)
	}
	defer conn.Close()
	client := clientKey{netip.MustParseAddrPort("127.0.0.1:9"), 0}
	f.Fuzz(func(t *testing.T, content []byte, number uint64, authentic bool) {
		if len(content) > 1400 {
			return
		}
		packet := content
		if authentic {
			packet = conn.packet(number, fromClient, content)
		}
		p.receive(p.ports[0].udp, client, packet, make([]byte, 0, 1<<16))
		if open := len(p.datagrams.clients()); open > 1 {
			t.Fatalf("one session has %d associations", open)
		}
	})
}
