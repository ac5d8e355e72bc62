// Package planebench measures planes beside a plain relay and beside servers that others wrote: each as a process of its
// own, so that its CPU time can be told from the load's. A plane's own benchmarks bring its server and a client.
package planebench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stile/dataplane"
)

// Our own servers and the plain relay are the test binary under another role.
const (
	roleVariable      = "STILE_BENCH_ROLE" // "plane PORT KEYS TARGET" or "relay PORT TARGET"
	NamespaceVariable = "STILE_BENCH_NAMESPACE"
)

// NewPlane listens on a port of 127.0.0.1 with the plane under measurement, or the variant of it that StartPlane names.
type NewPlane func(ctx context.Context, port int, variant string, ledger *dataplane.Ledger, egress *dataplane.Egress) (dataplane.Plane, error)

// Main is a package's TestMain: it lets the test binary be a server of a benchmark.
func Main(m *testing.M, newPlane NewPlane) {
	role := strings.Fields(os.Getenv(roleVariable))
	if len(role) == 0 {
		os.Exit(m.Run())
	}
	var err error
	switch role[0] {
	case "plane":
		err = runPlane(newPlane, role[1], role[2], role[3], strings.Join(role[4:], ""))
	case "relay":
		err = runRelay(role[1], role[2])
	}
	fmt.Fprintln(os.Stderr, "benchmark server:", err)
	os.Exit(1)
}

func runPlane(newPlane NewPlane, port, count, target, variant string) error {
	first, _ := strconv.Atoi(port)
	n, _ := strconv.Atoi(count)
	ctx := context.Background()
	ledger := dataplane.NewLedger(time.Now)
	egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix(target)}})
	plane, err := newPlane(ctx, first, variant, ledger, egress)
	if err != nil {
		return err
	}
	keys := Keys(n)
	ledger.Apply(keys, nil, true)
	if err := plane.Apply(keys, nil, true); err != nil {
		return err
	}
	// A signal asks for memory to be given back, so that what is resident is what is needed and not yet garbage.
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR1)
	go func() {
		for range collect {
			debug.FreeOSMemory()
			fmt.Println("collected")
		}
	}()
	fmt.Println("ready")
	return plane.Run(ctx)
}

// StartPlane runs the plane under measurement with keys 1 to n; a package that has one plane has the variant "" alone.
func StartPlane(b *testing.B, port, keys int, target, variant string) *Process {
	return StartSelf(b, Local(port), "plane", strconv.Itoa(port), strconv.Itoa(keys), target, variant)
}

// Local is a port of 127.0.0.1.
func Local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Key makes the benchmark's key of a number.
func Key(id int64) dataplane.Key {
	k := dataplane.Key{ID: id}
	for i := range k.Seed {
		k.Seed[i] = byte(id >> (i % 8 * 8))
	}
	return k
}

// Keys are the first n.
func Keys(n int) []dataplane.Key {
	keys := make([]dataplane.Key, n)
	for i := range keys {
		keys[i] = Key(int64(i + 1))
	}
	return keys
}

// runRelay is the plain Go relay that every ratio is to: a copy through a buffer of 32 KiB in each direction.
func runRelay(port, target string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			defer server.Close()
			go relayCopy(server, client)
			relayCopy(client, server)
		}()
	}
}

// relayCopy hides what would let io.Copy splice.
func relayCopy(to, from net.Conn) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 32<<10))
	_ = to.(*net.TCPConn).CloseWrite()
}

// Process is a server under measurement.
type Process struct {
	command *exec.Cmd
	// Address is where it listens.
	Address string
	// Behind is another process whose processor time counts with this one's; nil is none.
	Behind *Process
	output *bufio.Reader // of our own servers
}

// Start runs a command and waits until its address accepts.
func Start(b *testing.B, command *exec.Cmd, address string, patience time.Duration) *Process {
	b.Helper()
	if command.SysProcAttr == nil {
		command.SysProcAttr = new(syscall.SysProcAttr)
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	p := &Process{command: command, Address: address}
	b.Cleanup(p.Stop)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return p
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not listen on %s", command.Path, address)
		}
	}
}

// Reload asks the server to read its configuration again.
func (p *Process) Reload(b *testing.B) {
	b.Helper()
	if err := p.command.Process.Signal(syscall.SIGHUP); err != nil {
		b.Fatal(err)
	}
}

// StartSelf runs this binary in a role and waits until it is ready.
func StartSelf(b *testing.B, address string, role ...string) *Process {
	b.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), roleVariable+"="+strings.Join(role, " "))
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p := Start(b, command, address, 10*time.Second)
	p.output = bufio.NewReader(output)
	p.await(b, "ready")
	return p
}

// await reads the next line that our own server prints.
func (p *Process) await(b *testing.B, want string) {
	b.Helper()
	if line, err := p.output.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		b.Fatalf("the server says %q, %v; want %q", line, err, want)
	}
}

// Stop kills the process.
func (p *Process) Stop() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// CPU returns the process's CPU time in seconds, with that of the process behind it: fields 14 and 15 of /proc/PID/stat, in
// hundredths.
func (p *Process) CPU() float64 {
	if p == nil {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system)/100 + p.Behind.CPU()
}

// Resident returns the process's resident memory in KiB; of our own servers, without garbage.
func (p *Process) Resident(b *testing.B) float64 {
	b.Helper()
	if p.output != nil {
		_ = p.command.Process.Signal(syscall.SIGUSR1)
		p.await(b, "collected")
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib
		}
	}
	return 0
}

// StartRelay runs the plain relay to a target.
func StartRelay(b *testing.B, port int, target string) *Process {
	return StartSelf(b, Local(port), "relay", strconv.Itoa(port), target)
}
