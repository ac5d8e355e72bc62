package planebench

import (
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Target looks public, so that outline-ss-server, which refuses private targets, reaches it too. It is an address
// of the loopback interface in a network namespace of the benchmark's own.
const Target = "11.22.33.44"

// Site is what the benchmark's clients connect to: it floods, discards or echoes, as the first byte asks ('d', 'u', 'e').
type Site struct {
	// Address is host:port.
	Address   string
	discarded atomic.Int64
}

// StartSite listens on a host.
func StartSite(b *testing.B, host string) *Site {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	s := &Site{Address: listener.Addr().String()}
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

func (s *Site) serve(conn net.Conn) {
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

// errNotSent says that a client handed on what it should have opened: it would be too fast a receiver.
var errNotSent = errors.New("planebench: the client hands on what the site did not send")

// zeros counts what the site floods with.
type zeros struct{ counter }

func (z zeros) Write(p []byte) (int, error) {
	if p[0] != 0 {
		return 0, errNotSent
	}
	return z.counter.Write(p)
}

// Dialer opens a stream to the site under a key.
type Dialer func(key int64) (net.Conn, error)

// PlainDialer connects to a plain relay.
func PlainDialer(server string) Dialer {
	return func(int64) (net.Conn, error) { return net.Dial("tcp", server) }
}

// Load is one kind of traffic.
type Load struct {
	Name    string
	Streams int
	// Up is from the client to the target.
	Up bool
}

// Throughput runs a Load through a server and returns its CPU seconds per GB and the rate in Gbit/s.
func Throughput(b *testing.B, p *Process, dial Dialer, l Load, s *Site, warm, window time.Duration) (cpuPerGB, gigabits float64) {
	var received atomic.Int64
	var group sync.WaitGroup
	var conns []net.Conn
	for range l.Streams {
		conn, err := dial(1)
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns { // not before all are open: the load would starve the dials
		group.Go(func() {
			if l.Up {
				block := make([]byte, 256<<10)
				block[0] = 'u'
				for {
					if _, err := conn.Write(block); err != nil {
						return
					}
				}
			}
			_, _ = conn.Write([]byte("d"))
			if _, err := io.Copy(zeros{counter{&received}}, conn); errors.Is(err, errNotSent) {
				b.Error(err)
			}
		})
	}
	moved := &received
	if l.Up {
		moved = &s.discarded
	}
	time.Sleep(warm)
	bytesBefore, cpuBefore, from := moved.Load(), p.CPU(), time.Now()
	time.Sleep(window)
	gb := float64(moved.Load()-bytesBefore) / 1e9
	cpu, took := p.CPU()-cpuBefore, time.Since(from).Seconds()
	for _, conn := range conns {
		_ = conn.Close()
	}
	group.Wait()
	if gb == 0 {
		b.Fatalf("%s: nothing moved", l.Name)
	}
	return cpu / gb, gb * 8 / took
}

// Connections opens n streams one after another on each of four goroutines, each with one echo, and returns the server's CPU
// milliseconds per stream. Keys are spread over count keys from first on.
func Connections(b *testing.B, p *Process, dial Dialer, n, first, count int) float64 {
	const goroutines = 4
	before := p.CPU()
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
	return (p.CPU() - before) * 1000 / float64(n/goroutines*goroutines)
}

// IdleMemory opens n streams that say nothing more and returns what each costs the server, in KiB.
func IdleMemory(b *testing.B, p *Process, dial Dialer, n int) float64 {
	before := p.Resident(b)
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
	return (p.Resident(b) - before) / float64(n)
}

// InNamespace runs the same benchmark again in a network namespace, where its addresses are nobody else's.
func InNamespace(b *testing.B) {
	if _, err := exec.LookPath("ip"); err != nil {
		b.Fatal("ip is needed: apt-get install iproute2")
	}
	script := `ip link set lo up && ip addr add ` + Target + `/32 dev lo &&
		sysctl -qw net.ipv4.ip_local_port_range="10000 65535" net.ipv4.tcp_tw_reuse=1; exec "$0" "$@"`
	executable, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	command := exec.Command("sh", "-c", script, executable,
		"-test.run=^$", "-test.bench="+flag.Lookup("test.bench").Value.String(), "-test.benchtime=1x", "-test.timeout=30m")
	command.Env = append(os.Environ(), NamespaceVariable+"=1")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := command.Run(); err != nil {
		b.Fatal(err)
	}
}

// Median returns the middle of values, with the least and the most.
func Median(values []float64) (middle, least, most float64) {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2], sorted[0], sorted[len(sorted)-1]
}
