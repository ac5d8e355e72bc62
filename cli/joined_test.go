package cli_test

import (
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// joinedProcess is a real `stile node run` on loopback, beside the control plane that it joined.
type joinedProcess struct {
	server  int64
	data    string
	log     *lockedBuffer
	process *exec.Cmd
	ended   chan struct{}
}

// joinNode makes a server of the given further flags, joins as its node, and starts it with the given flags of
// `stile node run`.
func (m *machine) joinNode(serverFlags []string, runFlags ...string) *joinedProcess {
	m.t.Helper()
	out := m.stile(append([]string{"server", "add", "Amsterdam", "--country", "NL", "--city", "Amsterdam", "--host", "127.0.0.1", "--json"}, serverFlags...)...)
	var made struct {
		ID   int64  `json:"id"`
		Join string `json:"join"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		m.t.Fatal(err)
	}
	n := &joinedProcess{server: made.ID, data: m.t.TempDir(), log: new(lockedBuffer), ended: make(chan struct{})}
	join := exec.Command(stileBinary, append(strings.Fields(made.Join)[1:], "--data", n.data)...)
	if out, err := join.CombinedOutput(); err != nil {
		m.t.Fatalf("node join: %v\n%s", err, out)
	}
	n.process = exec.Command(stileBinary, append([]string{"node", "run", "--data", n.data, "--node-listen", "127.0.0.1", "--usage-every", "200ms",
		"--allow-target", "127.0.0.0/8", "--log-level", "debug"}, runFlags...)...)
	n.process.Stdout, n.process.Stderr = n.log, n.log
	if err := n.process.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { _ = n.process.Wait(); close(n.ended) }()
	m.t.Cleanup(func() { _ = n.process.Process.Kill(); <-n.ended })
	return n
}

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
