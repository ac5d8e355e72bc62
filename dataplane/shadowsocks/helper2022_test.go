package shadowsocks

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"lukechampine.com/blake3"

	"stile/accesskey"
	"stile/dataplane"
)

var methods2022 = []string{accesskey.Method2022AES128, accesskey.Method2022AES256}

// testIdentity is the server's PSK in tests.
func testIdentity(method string) []byte {
	return []byte("identity of a server in tests!!!")[:accesskey.PSKSize(method)]
}

// client2022 is a client of AEAD-2022, written from the specifications.
type client2022 struct {
	identity, psk []byte
	at            func() time.Time
}

func newClient2022(method string, key dataplane.Key) client2022 {
	return client2022{identity: testIdentity(method), psk: accesskey.Seed(key.Seed).PSK(method), at: time.Now}
}

func (c client2022) salt() []byte {
	salt := make([]byte, len(c.psk))
	_, _ = rand.Read(salt)
	return salt
}

// begin returns salt and identity header, and the chain that goes on.
func (c client2022) begin(salt []byte) ([]byte, *chain) {
	hash := blake3.Sum256(c.psk)
	out := append([]byte(nil), salt...)
	out = append(out, hash[:identitySize]...)
	block := newAES(subkey(identityContext, c.identity, salt))
	block.Encrypt(out[len(salt):], out[len(salt):])
	return out, &chain{aead: sessionCipher(c.psk, salt)}
}

// fixed returns the first header of a request.
func (c client2022) fixed(kind byte, size int) []byte {
	b := binary.BigEndian.AppendUint64([]byte{kind}, uint64(c.at().Unix()))
	return binary.BigEndian.AppendUint16(b, uint16(size))
}

// request returns what a client sends: header with target, padding and initial payload, then chunks.
func (c client2022) request(salt, target []byte, padding int, initial []byte, chunks ...[]byte) []byte {
	out, ch := c.begin(salt)
	header := binary.BigEndian.AppendUint16(append([]byte(nil), target...), uint16(padding))
	header = append(append(header, make([]byte, padding)...), initial...)
	out = ch.seal(out, c.fixed(fromClient, len(header)))
	out = ch.seal(out, header)
	out = slices.Grow(out, sealedBytes(chunks))
	for _, plain := range chunks {
		out = ch.seal(ch.sealSize(out, len(plain)), plain)
	}
	return out
}

// conn2022 is a client's connection.
type conn2022 struct {
	*net.TCPConn
	client   client2022
	salt     []byte
	outgoing *chain
	incoming *chain
	rest     []byte

	sealed, room []byte // what is written, and what is read
}

func (c client2022) dial(address string, target []byte) (*conn2022, error) {
	raw, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	conn := &conn2022{TCPConn: raw.(*net.TCPConn), client: c, salt: c.salt()}
	out, ch := c.begin(conn.salt)
	header := append(binary.BigEndian.AppendUint16(append([]byte(nil), target...), 7), make([]byte, 7)...)
	conn.outgoing = ch
	_, err = raw.Write(ch.seal(ch.seal(out, c.fixed(fromClient, len(header))), header))
	return conn, err
}

func (c *conn2022) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), maxChunk2022)
		c.sealed = c.outgoing.seal(c.outgoing.sealSize(c.sealed[:0], n), rest[:n])
		if _, err := c.TCPConn.Write(c.sealed); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// ReadFrom keeps io.Copy from writing past the cipher.
func (c *conn2022) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{c}, r) }

// WriteTo keeps io.Copy from reading past the cipher.
func (c *conn2022) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{c}) }

func (c *conn2022) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		size, err := c.nextSize()
		if err != nil {
			return 0, err
		}
		if c.rest, err = c.open(size); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *conn2022) open(size int) ([]byte, error) {
	if c.room == nil {
		c.room = make([]byte, maxChunk2022+tagSize)
	}
	sealed := c.room[:size+tagSize]
	if _, err := io.ReadFull(c.TCPConn, sealed); err != nil {
		return nil, err
	}
	return c.incoming.open(sealed)
}

// nextSize reads a length, or the header of the response with its salt and everything that it must say.
func (c *conn2022) nextSize() (int, error) {
	if c.incoming != nil {
		length, err := c.open(2)
		if err != nil {
			return 0, err
		}
		return int(binary.BigEndian.Uint16(length)), nil
	}
	salt := make([]byte, len(c.salt))
	if _, err := io.ReadFull(c.TCPConn, salt); err != nil {
		return 0, err
	}
	c.incoming = &chain{aead: sessionCipher(c.client.psk, salt)}
	header, err := c.open(1 + stampSize + len(salt) + 2)
	if err != nil {
		return 0, err
	}
	if header[0] != fromServer || !isFresh(header[1:], time.Now()) || string(header[9:9+len(salt)]) != string(c.salt) {
		return 0, errors.New("the response is not to this request")
	}
	return int(binary.BigEndian.Uint16(header[9+len(salt):])), nil
}

// packetConn2022 is a client's UDP session; it takes and returns addresses of targets.
type packetConn2022 struct {
	*net.UDPConn
	client   client2022
	session  [sessionSize]byte
	outgoing cipher.AEAD
	sent     uint64
}

func (c client2022) dialUDP(address string) (*packetConn2022, error) {
	raw, err := net.Dial("udp", address)
	if err != nil {
		return nil, err
	}
	p := &packetConn2022{UDPConn: raw.(*net.UDPConn), client: c}
	_, _ = rand.Read(p.session[:])
	p.outgoing = sessionCipher(c.psk, p.session[:])
	return p, nil
}

// packet returns a packet of a number: body is what comes behind the timestamp.
func (p *packetConn2022) packet(number uint64, kind byte, body []byte) []byte {
	separate := binary.BigEndian.AppendUint64(append([]byte(nil), p.session[:]...), number)
	name := identityOf(p.client.psk)
	for i := range name {
		name[i] ^= separate[i]
	}
	block := newAES(p.client.identity)
	out := make([]byte, separateSize+identitySize)
	block.Encrypt(out, separate)
	block.Encrypt(out[separateSize:], name[:])
	plain := append(binary.BigEndian.AppendUint64([]byte{kind}, uint64(p.client.at().Unix())), body...)
	return p.outgoing.Seal(out, separate[4:], plain, nil)
}

func (p *packetConn2022) WriteTo(b []byte, to net.Addr) (int, error) {
	body := append([]byte{0, 3, 1, 2, 3}, targetHeader(to.(*net.UDPAddr).AddrPort())...)
	p.sent++
	return p.UDPConn.Write(p.packet(p.sent-1, fromClient, append(body, b...)))
}

func (p *packetConn2022) ReadFrom(b []byte) (int, net.Addr, error) {
	packet := make([]byte, 1<<16)
	n, err := p.UDPConn.Read(packet)
	if err != nil {
		return 0, nil, err
	}
	separate := packet[:separateSize]
	newAES(p.client.psk).Decrypt(separate, separate)
	plain, err := sessionCipher(p.client.psk, separate[:sessionSize]).Open(nil, separate[4:], packet[separateSize:n], nil)
	if err != nil {
		return 0, nil, err
	}
	if plain[0] != fromServer || !isFresh(plain[1:], time.Now()) || string(plain[9:17]) != string(p.session[:]) {
		return 0, nil, errors.New("the packet is not for this session")
	}
	plain = plain[19+int(binary.BigEndian.Uint16(plain[17:])):]
	from, at, err := parseTarget(plain)
	if err != nil {
		return 0, nil, err
	}
	return copy(b, plain[at:]), net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr, from.Port)), nil
}

// setUp2022 serves a plane with keys 1 to n; 127.0.0.1 may be reached.
func setUp2022(t testing.TB, method string, n int, waits times, change ...func(*Plane2022)) (*Plane2022, *dataplane.Ledger) {
	t.Helper()
	return setUpPorts2022(t, method, 1, n, waits, change...)
}

// setUpPorts2022 is setUp2022 with several ports.
func setUpPorts2022(t testing.TB, method string, ports, n int, waits times, change ...func(*Plane2022)) (*Plane2022, *dataplane.Ledger) {
	t.Helper()
	ledger := dataplane.NewLedger(time.Now)
	egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	ctx, cancel := context.WithCancel(context.Background())
	p, err := newPlane2022(ctx, Config2022{
		Config: Config{Host: "127.0.0.1", Ports: ports, Ledger: ledger, Egress: egress}, Method: method, IdentityPSK: testIdentity(method),
	}, times2022(waits))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(p)
	}
	var keys []dataplane.Key
	for id := range int64(n) {
		keys = append(keys, testKey(id+1))
	}
	ledger.Apply(keys, nil, true)
	_ = p.Apply(keys, nil, true)
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	p.untilRunning()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		ledger.Close()
	})
	return p, ledger
}

func (p *Plane2022) address() string { return p.ports[0].tcp.Addr().String() }
