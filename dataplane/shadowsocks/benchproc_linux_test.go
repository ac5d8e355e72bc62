package shadowsocks_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/shadowsocks"
)

// A benchmark runs every server as a process of its own, so that its CPU time can be told from the load's. Our own and
// the plain relay are this test binary under another role.
const (
	roleVariable      = "STILE_BENCH_ROLE" // "plane FIRST KEYS TARGET" or "relay PORT TARGET"
	namespaceVariable = "STILE_BENCH_NAMESPACE"
)

// TestMain lets the test binary be a server of a benchmark.
func TestMain(m *testing.M) {
	role := strings.Fields(os.Getenv(roleVariable))
	if len(role) == 0 {
		os.Exit(m.Run())
	}
	var err error
	switch role[0] {
	case "plane":
		err = runPlane(role[1], role[2], role[3])
	case "relay":
		err = runRelay(role[1], role[2])
	}
	fmt.Fprintln(os.Stderr, "benchmark server:", err)
	os.Exit(1)
}

// benchKey makes the benchmark's key of a number.
func benchKey(id int64) dataplane.Key {
	k := dataplane.Key{ID: id}
	for i := range k.Seed {
		k.Seed[i] = byte(id >> (i % 8 * 8))
	}
	return k
}

func benchKeys(n int) []dataplane.Key {
	keys := make([]dataplane.Key, n)
	for i := range keys {
		keys[i] = benchKey(int64(i + 1))
	}
	return keys
}

func runPlane(port, count, target string) error {
	first, _ := strconv.Atoi(port)
	n, _ := strconv.Atoi(count)
	ledger := dataplane.NewLedger(time.Now)
	egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix(target)}})
	plane, err := shadowsocks.New(context.Background(), shadowsocks.Config{
		Host: "127.0.0.1", Port: first, Ports: 1, Ledger: ledger, Egress: egress,
	})
	if err != nil {
		return err
	}
	keys := benchKeys(n)
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
	return plane.Run(context.Background())
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

// process is a server under measurement.
type process struct {
	command *exec.Cmd
	address string
	output  *bufio.Reader // of our own servers
}

// start runs a command and waits until its address accepts.
func start(b *testing.B, command *exec.Cmd, address string, patience time.Duration) *process {
	b.Helper()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	p := &process{command: command, address: address}
	b.Cleanup(p.stop)
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

// startSelf runs this binary in a role and waits until it is ready.
func startSelf(b *testing.B, address string, role ...string) *process {
	b.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), roleVariable+"="+strings.Join(role, " "))
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p := start(b, command, address, 10*time.Second)
	p.output = bufio.NewReader(output)
	p.await(b, "ready")
	return p
}

// await reads the next line that our own server prints.
func (p *process) await(b *testing.B, want string) {
	b.Helper()
	if line, err := p.output.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		b.Fatalf("the server says %q, %v; want %q", line, err, want)
	}
}

func (p *process) stop() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// cpu returns the process's CPU time in seconds: fields 14 and 15 of /proc/PID/stat, in hundredths.
func (p *process) cpu() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) / 100
}

// resident returns the process's resident memory in KiB; of our own servers, without garbage.
func (p *process) resident(b *testing.B) float64 {
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

func startRelay(b *testing.B, port int, target string) *process {
	return startSelf(b, local(port), "relay", strconv.Itoa(port), target)
}

func startPlane(b *testing.B, port, keys int, target string) *process {
	return startSelf(b, local(port), "plane", strconv.Itoa(port), strconv.Itoa(keys), target)
}

// startLibev runs Debian's ss-server with key 1.
func startLibev(b *testing.B, port int, method string) *process {
	path, err := exec.LookPath("ss-server")
	if err != nil {
		b.Fatal("ss-server is needed: apt-get install shadowsocks-libev")
	}
	text, _ := json.Marshal(map[string]any{
		"server": "127.0.0.1", "server_port": port, "method": method, "mode": "tcp_only",
		"password": accesskey.Seed(benchKey(1).Seed).Shadowsocks().Password,
	})
	config := filepath.Join(b.TempDir(), "libev.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		b.Fatal(err)
	}
	return start(b, exec.Command(path, "-c", config), local(port), 10*time.Second)
}

// startOutline runs outline-ss-server, built from bench/peers, with keys 1 to n.
func startOutline(b *testing.B, binary string, port, n int) *process {
	var text strings.Builder
	fmt.Fprintf(&text, "services:\n  - listeners:\n      - type: tcp\n        address: %q\n    keys:\n", local(port))
	for _, key := range benchKeys(n) {
		fmt.Fprintf(&text, "      - {id: %q, cipher: chacha20-ietf-poly1305, secret: %q}\n",
			strconv.FormatInt(key.ID, 10), accesskey.Seed(key.Seed).Shadowsocks().Password)
	}
	config := filepath.Join(b.TempDir(), "outline.yml")
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return start(b, exec.Command(binary, "-config", config, "-replay_history", "10000"), local(port), time.Minute)
}

// buildOutline builds outline-ss-server, which has a module of its own so that ours does not depend on it.
func buildOutline(b *testing.B) string {
	binary := filepath.Join(b.TempDir(), "outline-ss-server")
	build := exec.Command("go", "build", "-o", binary, "github.com/Jigsaw-Code/outline-ss-server/cmd/outline-ss-server")
	build.Dir = filepath.Join("..", "..", "bench", "peers")
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("outline-ss-server cannot be built: %v\n%s", err, output)
	}
	return binary
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
