package shadowsocks_test

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Jigsaw-Code/outline-sdk/transport"
	outline "github.com/Jigsaw-Code/outline-sdk/transport/shadowsocks"

	"stile/accesskey"
)

// site is what the benchmark's clients connect to: it floods, discards or echoes, as the first byte asks ('d', 'u', 'e').
type site struct {
	address   string
	discarded atomic.Int64
}

func startSite(b *testing.B, host string) *site {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	s := &site{address: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *site) serve(conn net.Conn) {
	defer conn.Close()
	var wish [1]byte
	if _, err := io.ReadFull(conn, wish[:]); err != nil {
		return
	}
	switch wish[0] {
	case 'd':
		block := make([]byte, 256<<10)
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	case 'u':
		_, _ = io.Copy(counter{&s.discarded}, struct{ io.Reader }{conn})
	case 'e':
		_, _ = io.Copy(conn, conn)
	}
}

// counter counts what is written to it.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

// dialer opens a stream to the site under a key.
type dialer func(key int64) (net.Conn, error)

func plainDialer(server string) dialer {
	return func(int64) (net.Conn, error) { return net.Dial("tcp", server) }
}

// outlineDialer is the Outline SDK's client; tagged says whether it sends the key's prefix.
func outlineDialer(server, method, target string, tagged bool) dialer {
	return func(key int64) (net.Conn, error) {
		secret := accesskey.Seed(benchKey(key).Seed).Shadowsocks()
		encryption, err := outline.NewEncryptionKey(method, secret.Password)
		if err != nil {
			return nil, err
		}
		d, err := outline.NewStreamDialer(&transport.TCPEndpoint{Address: server}, encryption)
		if err != nil {
			return nil, err
		}
		if tagged {
			d.SaltGenerator = outline.NewPrefixSaltGenerator([]byte(secret.Prefix))
		}
		conn, err := d.DialStream(context.Background(), target)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
}

// load is one kind of traffic.
type load struct {
	name    string
	streams int
	up      bool
}

// throughput runs a load through a server and returns its CPU seconds per GB and the rate in Gbit/s.
func throughput(b *testing.B, p *process, dial dialer, l load, s *site, warm, window time.Duration) (cpuPerGB, gigabits float64) {
	var received atomic.Int64
	var group sync.WaitGroup
	var conns []net.Conn
	for range l.streams {
		conn, err := dial(1)
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, conn)
		group.Go(func() {
			if l.up {
				block := make([]byte, 256<<10)
				block[0] = 'u'
				for {
					if _, err := conn.Write(block); err != nil {
						return
					}
				}
			}
			_, _ = conn.Write([]byte("d"))
			_, _ = io.Copy(counter{&received}, conn)
		})
	}
	moved := &received
	if l.up {
		moved = &s.discarded
	}
	time.Sleep(warm)
	bytesBefore, cpuBefore, from := moved.Load(), p.cpu(), time.Now()
	time.Sleep(window)
	gb := float64(moved.Load()-bytesBefore) / 1e9
	cpu, took := p.cpu()-cpuBefore, time.Since(from).Seconds()
	for _, conn := range conns {
		_ = conn.Close()
	}
	group.Wait()
	if gb == 0 {
		b.Fatalf("%s: nothing moved", l.name)
	}
	return cpu / gb, gb * 8 / took
}

// connections opens n streams one after another on each of four goroutines, each with one echo, and returns the server's CPU
// milliseconds per stream. Keys are spread over count keys from first on.
func connections(b *testing.B, p *process, dial dialer, n, first, count int) float64 {
	const goroutines = 4
	before := p.cpu()
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range n / goroutines {
				conn, err := dial(int64(first + (g*n+i)*7919%count))
				if err == nil {
					_, _ = conn.Write([]byte("e!"))
					_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
					_, err = io.ReadFull(conn, make([]byte, 1))
					_ = conn.Close()
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return (p.cpu() - before) * 1000 / float64(n/goroutines*goroutines)
}

// probes sends n connections of garbage, each from another address of loopback, and returns CPU milliseconds per probe.
func probes(b *testing.B, p *process, n int) float64 {
	before := p.cpu()
	server := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(p.address))
	for i := range n {
		garbage := make([]byte, 100)
		_, _ = rand.Read(garbage)
		conn, err := net.DialTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}, server)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = conn.Write(garbage)
		_ = conn.CloseWrite()
		if answer, _ := io.ReadAll(conn); len(answer) > 0 {
			b.Error("a probe was answered")
		}
		_ = conn.Close()
	}
	return (p.cpu() - before) * 1000 / float64(n)
}

// idleMemory opens n streams that say nothing more and returns what each costs the server, in KiB.
func idleMemory(b *testing.B, p *process, dial dialer, n int) float64 {
	before := p.resident(b)
	for range n {
		conn, err := dial(1)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("e!"))
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
	}
	return (p.resident(b) - before) / float64(n)
}
