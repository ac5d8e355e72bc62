package shadowsocks

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/planetest"
)

// TestConformance2022 runs the contract with both methods.
func TestConformance2022(t *testing.T) {
	for _, method := range methods2022 {
		t.Run(method, func(t *testing.T) {
			planetest.Run(t, func(t *testing.T, ledger *dataplane.Ledger, egress *dataplane.Egress) planetest.Subject {
				plane, err := New2022(t.Context(), Config2022{
					Config: Config{Host: "127.0.0.1", Ports: 1, Ledger: ledger, Egress: egress}, Method: method, IdentityPSK: testIdentity(method),
				})
				if err != nil {
					t.Fatal(err)
				}
				return planetest.Subject{
					Plane: plane,
					Dial: func(_ context.Context, key dataplane.Key, target string) (net.Conn, error) {
						conn, err := newClient2022(method, key).dial(plane.address(), namedTarget(target))
						if err != nil {
							return nil, err
						}
						return conn, nil
					},
					DialUDP: func(_ context.Context, key dataplane.Key) (net.PacketConn, error) {
						return newClient2022(method, key).dialUDP(plane.address())
					},
				}
			})
		})
	}
}

// namedTarget returns the header that asks for a host and port, which may be a name.
func namedTarget(target string) []byte {
	host, digits, _ := net.SplitHostPort(target)
	port, _ := strconv.Atoi(digits)
	if addr, err := netip.ParseAddr(host); err == nil {
		return targetHeader(netip.AddrPortFrom(addr, uint16(port)))
	}
	header := append([]byte{typeName, byte(len(host))}, host...)
	return binary.BigEndian.AppendUint16(header, uint16(port))
}

// The expected values are those of BLAKE3's reference implementation (b3sum --derive-key) for these keys and contexts.
func TestSubkeysNeverChange(t *testing.T) {
	psk := make([]byte, 32)
	for i := range psk {
		psk[i] = byte(i)
	}
	salt := bytes.Repeat([]byte{0xa5}, 32)
	if got := hex.EncodeToString(subkey(sessionContext, psk, salt)); got != "dfa68fbb28684aa0c9ca16a6bb93fecee79a5c7ec67cf7e71c4fcfcf65a82722" {
		t.Errorf("session subkey %s", got)
	}
	if got := hex.EncodeToString(subkey(identityContext, psk[:16], salt[:16])); got != "61ba8d28322c0351cd2682b46ad600f3" {
		t.Errorf("identity subkey %s", got)
	}
}

// TestProbes2022LookAlike sends everything that a stranger could, a user of the same server among them, and sees the same
// each time: no byte, and a connection that stays open for the time of a handshake.
func TestProbes2022LookAlike(t *testing.T) {
	method := accesskey.Method2022AES128
	stopped := time.Now() // for the plane, so that what is late or early is so on any machine
	p, ledger := setUp2022(t, method, 8, shortHandshake(), func(p *Plane2022) { p.now = func() time.Time { return stopped } })
	to := targetHeader(echoServer(t))
	hello := []byte("hello")
	of := func(id int64) client2022 { return newClient2022(method, testKey(id)) }

	recorded := of(1).request(of(1).salt(), to, 0, hello)
	genuine, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	defer genuine.Close()
	_, _ = genuine.Write(recorded)
	sent := make([]byte, 16+27+tagSize+5+tagSize)
	if _, err := io.ReadFull(genuine, sent); err != nil {
		t.Fatalf("the genuine connection gets no answer: %v", err)
	}
	expired := testKey(2)
	expired.NotAfter = time.Now().Add(-time.Second)
	ledger.Apply([]dataplane.Key{expired}, []int64{3}, false)
	_ = p.Apply([]dataplane.Key{expired}, []int64{3}, false)

	garbage := make([]byte, 70_000)
	_, _ = rand.Read(garbage)
	shifted := func(by time.Duration) []byte {
		c := of(1)
		c.at = func() time.Time { return stopped.Add(by) }
		return c.request(c.salt(), to, 0, hello)
	}
	header := func(kind byte, size int, second []byte) []byte {
		out, ch := of(1).begin(of(1).salt())
		out = ch.seal(out, of(1).fixed(kind, size))
		return ch.seal(out, second)
	}
	badTag := of(5).request(of(5).salt(), to, 0, hello)
	badTag[len(badTag)-1] ^= 1
	otherServer := of(6)
	otherServer.identity = []byte("another server's")
	stolen := of(99)
	probes := map[string][]byte{
		"nothing":               nil,
		"one byte":              garbage[:1],
		"one byte too few":      garbage[:16+16+fixedSize+tagSize-1],
		"just enough garbage":   garbage[:16+16+fixedSize+tagSize],
		"much garbage":          garbage,
		"HTTP":                  []byte("GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: probe/1.0 (nothing to see)\r\n\r\n"),
		"replay":                recorded,
		"changed replay":        append(bytes.Clone(recorded[:len(recorded)-1]), recorded[len(recorded)-1]^1),
		"replayed beginning":    append(bytes.Clone(recorded[:16+16+fixedSize+tagSize]), garbage[:100]...),
		"our own bytes":         append(bytes.Clone(sent), garbage[:100]...),
		"unknown user":          stolen.request(stolen.salt(), to, 0, hello),
		"another server's user": otherServer.request(otherServer.salt(), to, 0, hello),
		"suspended key":         of(2).request(of(2).salt(), to, 0, hello),
		"removed key":           of(3).request(of(3).salt(), to, 0, hello),
		"31 s late":             shifted(-31 * time.Second),
		"31 s early":            shifted(31 * time.Second),
		"a server's message":    header(fromServer, 20, make([]byte, 20)),
		"empty second header":   header(fromClient, 0, nil),
		"no padding, no data":   of(4).request(of(4).salt(), to, 0, nil),
		"bad payload":           badTag,
		"bad address type":      of(6).request(of(6).salt(), []byte{9, 1, 2, 3, 4, 0, 80}, 0, hello),
		"padding past the end":  header(fromClient, len(to)+4, append(bytes.Clone(to), 0, 9, 1, 2)),
		"header incomplete":     of(7).request(of(7).salt(), to[:2], 0, nil),
	}
	var group sync.WaitGroup
	for name, probe := range probes {
		group.Go(func() {
			before := time.Now()
			conn, err := net.Dial("tcp", p.address())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(before.Add(time.Minute))
			_, _ = conn.Write(probe)
			n, err := io.Copy(io.Discard, conn)
			took := time.Since(before)
			if n != 0 {
				t.Errorf("%s: the plane answered %d bytes", name, n)
			}
			if err != nil && !errors.Is(err, syscall.ECONNRESET) || took < testHandshake*9/10 {
				t.Errorf("%s: closed after %v with %v, want the time of a handshake, %v", name, took, err, testHandshake)
			}
		})
	}
	group.Wait()
}

func TestPackets2022(t *testing.T) {
	for _, method := range methods2022 {
		t.Run(method, func(t *testing.T) {
			to, received := packetTarget(t)
			stopped := time.Now()
			p, ledger := setUp2022(t, method, 2, defaultTimes(), func(p *Plane2022) { p.now = func() time.Time { return stopped } })
			c := newClient2022(method, testKey(1))
			conn, err := c.dialUDP(p.address())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			body := func(text string) []byte { return append(append([]byte{0, 0}, targetHeader(to)...), text...) }
			first := conn.packet(7, fromClient, body("first"))
			for range 3 {
				_, _ = conn.Write(first)
			}
			expect(t, received, "first")
			late, early := *conn, *conn
			late.client.at = func() time.Time { return stopped.Add(-31 * time.Second) }
			early.client.at = func() time.Time { return stopped.Add(31 * time.Second) }
			stranger := *conn
			stranger.client = newClient2022(method, testKey(99))
			for _, bad := range [][]byte{
				late.packet(8, fromClient, body("late")), early.packet(9, fromClient, body("early")),
				conn.packet(10, fromServer, body("reflected")), stranger.packet(11, fromClient, body("stranger")),
				conn.packet(12, fromClient, []byte{0, 9, 1}), conn.packet(13, fromClient, []byte{0, 0, 9, 9}),
				first[:len(first)-1], first[:40], first[:10], {},
			} {
				_, _ = conn.Write(bad)
			}
			// Another socket goes on with the session, as after a change of networks; the same packet is still known.
			moved, err := net.Dial("udp", p.address())
			if err != nil {
				t.Fatal(err)
			}
			defer moved.Close()
			_, _ = moved.Write(first)
			_, _ = moved.Write(conn.packet(14, fromClient, body("moved")))
			expect(t, received, "moved")
			open := p.datagrams.clients()
			if a := open[clientKey{moved.LocalAddr().(*net.UDPAddr).AddrPort(), 0}]; len(open) != 1 || a == nil {
				t.Errorf("a session that moved has associations %v", open)
			}
			// The same number of a session under another key is another session.
			other := *conn
			other.client = newClient2022(method, testKey(2))
			other.outgoing = sessionCipher(other.client.psk, other.session[:])
			_, _ = moved.Write(other.packet(14, fromClient, body("other")))
			expect(t, received, "other")
			if n := len(p.datagrams.clients()) + len(received); len(p.datagrams.byName) != 2 || len(received) != 0 {
				t.Errorf("%d associations and packets too many", n)
			}
			if ended := ledger.Apply(nil, []int64{1}, false); ended != 1 {
				t.Errorf("ended %d sessions", ended)
			}
		})
	}
}

// An association whose last packet could be replayed is not given up for a new one.
func TestYoungAssociationsAreKept(t *testing.T) {
	method := accesskey.Method2022AES128
	to, received := packetTarget(t)
	p, _ := setUp2022(t, method, 1, defaultTimes(), func(p *Plane2022) { p.datagrams.perKey = 2 })
	for _, text := range []string{"a", "b", "c"} {
		conn, err := newClient2022(method, testKey(1)).dialUDP(p.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to))
		if text != "c" {
			expect(t, received, text)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if n := len(p.datagrams.clients()); n != 2 || len(received) != 0 {
		t.Errorf("%d associations, %d packets more", n, len(received))
	}
}

func TestSaltPool(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newSaltPool(3, func() time.Time { return now })
	of := new(user)
	add := func(i int) bool { return p.add([]byte{byte(i), 1, 2, 3}, message{of, uint64(now.Unix())}) }
	if !add(1) || add(1) {
		t.Error("a salt is not new once and known then")
	}
	for range 10 { // whenever a generation turns meanwhile
		now = now.Add(7 * time.Second)
		fresh := int(now.Unix())
		at := now
		for now.Sub(at) <= 60*time.Second {
			if added := add(fresh); added != now.Equal(at) {
				t.Errorf("after %v the salt is new: %v", now.Sub(at), added)
			}
			now = now.Add(10 * time.Second)
		}
	}
	now = now.Add(3 * saltTTL)
	if !add(1) {
		t.Error("a salt is remembered for ever")
	}
	if !add(2) || !add(3) || add(4) {
		t.Error("a full pool takes salts that it cannot remember, or is not full at its limit")
	}
}

func TestWindow(t *testing.T) {
	var w window
	for _, c := range []struct {
		number uint64
		fresh  bool
	}{
		{0, true}, {0, false}, {5, true}, {3, true}, {3, false}, {5, false}, {64, true}, {4, true}, {63, true}, {63, false},
		{64 * windowWords, true}, {63, false}, {65, true}, {65, false}, {64, false}, {1 << 40, true}, {1<<40 - 1, true},
		{64*windowWords + 1, false}, {1<<40 - 64*(windowWords-1), true}, {1<<40 - 64*(windowWords-1), false},
		{1<<64 - 1, true}, {1<<64 - 1, false}, {1<<64 - 2, true}, {1 << 40, false}, {0, false},
	} {
		if got := w.accept(c.number); got != c.fresh {
			t.Errorf("packet %d is new: %v, want %v", c.number, got, c.fresh)
		}
	}
}

func TestUsersFollowApply(t *testing.T) {
	s := newUsers(accesskey.Method2022AES256)
	known := func() (ids string) {
		for id := range int64(9) {
			if u := s.find(identityOf(accesskey.Seed(testKey(id).Seed).PSK(s.method))); u != nil {
				ids += strconv.FormatInt(u.id, 10)
			}
		}
		return ids
	}
	s.apply([]dataplane.Key{testKey(1), testKey(2), testKey(3)}, nil, true)
	s.apply([]dataplane.Key{testKey(3), testKey(4)}, []int64{2, 99}, false)
	if got := known(); got != "134" {
		t.Errorf("after a delta %s are known", got)
	}
	s.apply([]dataplane.Key{testKey(3), testKey(5)}, nil, true)
	if got := known(); got != "35" || len(s.byID) != 2 || len(s.byIdentity) != 2 {
		t.Errorf("after a full set %s are known, %d by id, %d by identity", got, len(s.byID), len(s.byIdentity))
	}
}

func TestConfig2022IsChecked(t *testing.T) {
	good := Config2022{
		Config: Config{
			Host: "127.0.0.1", Ports: 1, Ledger: dataplane.NewLedger(time.Now), Egress: dataplane.NewEgress(dataplane.EgressConfig{}),
		},
		Method: accesskey.Method2022AES256, IdentityPSK: make([]byte, 32),
	}
	for want, change := range map[string]func(*Config2022){
		"not a method":  func(c *Config2022) { c.Method = "aes-256-gcm" },
		"32 bytes":      func(c *Config2022) { c.IdentityPSK = make([]byte, 16) },
		"not a range":   func(c *Config2022) { c.Port = 65536 },
		"a ledger and":  func(c *Config2022) { c.Egress = nil },
		"no such host":  func(c *Config2022) { c.Host = "192.0.2.1" },
		"16 bytes":      func(c *Config2022) { c.Method, c.IdentityPSK = accesskey.Method2022AES128, nil },
		"is not a meth": func(c *Config2022) { c.Method = "" },
	} {
		c := good
		change(&c)
		p, err := New2022(t.Context(), c)
		if want == "no such host" {
			want = "bind"
		}
		if err == nil || p != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
