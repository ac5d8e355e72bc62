package cli_test

import (
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// joinedProcess is a real `stile node run` on loopback, beside the control plane that it joined.
type joinedProcess struct {
	t       testing.TB
	server  int64
	data    string
	args    []string
	log     *lockedBuffer
	process *exec.Cmd
	ended   chan struct{}
}

// joinNode makes a server of the given further flags, joins as its node, and starts it with the given flags of
// `stile node run`.
func (m *machine) joinNode(serverFlags []string, runFlags ...string) *joinedProcess {
	m.t.Helper()
	return m.joinNodeAt("Amsterdam", "127.0.0.1", serverFlags, runFlags...)
}

// joinNodeAt is joinNode for a node on an address of its own.
func (m *machine) joinNodeAt(name, host string, serverFlags []string, runFlags ...string) *joinedProcess {
	m.t.Helper()
	out := m.stile(append([]string{"server", "add", name, "--country", "NL", "--city", "Amsterdam", "--host", host, "--json"}, serverFlags...)...)
	var made struct {
		ID   int64  `json:"id"`
		Join string `json:"join"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		m.t.Fatal(err)
	}
	n := &joinedProcess{t: m.t, server: made.ID, data: m.t.TempDir(), log: new(lockedBuffer)}
	join := exec.Command(stileBinary, append(strings.Fields(made.Join)[1:], "--data", n.data)...)
	if out, err := join.CombinedOutput(); err != nil {
		m.t.Fatalf("node join: %v\n%s", err, out)
	}
	n.args = append([]string{"node", "run", "--data", n.data, "--node-listen", host, "--usage-every", "200ms", "--allow-target", "127.0.0.0/8",
		"--log-level", "debug"}, runFlags...)
	n.start()
	m.t.Cleanup(n.kill)
	return n
}

// start runs the node, with further flags.
func (n *joinedProcess) start(flags ...string) {
	n.t.Helper()
	process, ended := exec.Command(stileBinary, append(slices.Clone(n.args), flags...)...), make(chan struct{})
	process.Stdout, process.Stderr = n.log, n.log
	if err := process.Start(); err != nil {
		n.t.Fatal(err)
	}
	go func() { _ = process.Wait(); close(ended) }()
	n.process, n.ended = process, ended
}

// kill ends the process as a power cut would.
func (n *joinedProcess) kill() { _ = n.process.Process.Kill(); <-n.ended }

// forwarder takes TCP connections on loopback and dials for each where it is told to.
type forwarder struct {
	address string

	mu    sync.Mutex
	conns []net.Conn
}

// newForwarder listens until the test ends. A connection for which dial fails is closed.
func newForwarder(t testing.TB, dial func() (net.Conn, error)) *forwarder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{address: listener.Addr().String()}
	var parts sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); f.cut(); parts.Wait() })
	parts.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := dial()
			if err != nil {
				_ = near.Close()
				time.Sleep(10 * time.Millisecond)
				continue
			}
			f.mu.Lock()
			f.conns = append(f.conns, near, far)
			f.mu.Unlock()
			parts.Go(func() { pipe(near, far) })
			parts.Go(func() { pipe(far, near) })
		}
	})
	return f
}

// pipe copies until one side ends, and ends both.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// cut ends all connections.
func (f *forwarder) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}
