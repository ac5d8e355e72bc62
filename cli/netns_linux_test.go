package cli_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// network is a switch with machines on it, each a network namespace of its own. It takes root, and Debian's iproute2.
type network struct {
	t    testing.TB
	name string
}

// networks numbers them within the process.
var networks atomic.Int64

// newNetwork makes a network with machines c, n and u at 198.18.0.1 to .3.
func newNetwork(t testing.TB) *network {
	t.Helper()
	w := &network{t: t, name: fmt.Sprintf("stile%d-%d", os.Getpid(), networks.Add(1))}
	w.ip("netns", "add", w.ns("sw"))
	t.Cleanup(func() { w.ip("netns", "del", w.ns("sw")) })
	w.ip("-n", w.ns("sw"), "link", "add", "br0", "type", "bridge")
	w.ip("-n", w.ns("sw"), "link", "set", "br0", "up")
	for i, m := range []string{"c", "n", "u"} {
		w.ip("netns", "add", w.ns(m))
		t.Cleanup(func() { w.ip("netns", "del", w.ns(m)) })
		w.ip("-n", w.ns("sw"), "link", "add", "port-"+m, "type", "veth", "peer", "name", "eth0", "netns", w.ns(m))
		w.ip("-n", w.ns("sw"), "link", "set", "port-"+m, "master", "br0", "up")
		w.ip("-n", w.ns(m), "link", "set", "lo", "up")
		w.ip("-n", w.ns(m), "address", "add", fmt.Sprintf("198.18.0.%d/24", i+1), "dev", "eth0")
		w.ip("-n", w.ns(m), "link", "set", "eth0", "up")
	}
	return w
}

func (w *network) ns(machine string) string { return w.name + machine }

func (w *network) ip(args ...string) {
	w.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %v\n%s(this test takes root and Debian's iproute2)", strings.Join(args, " "), err, out)
	}
}

// cut and mend take a machine from the network, silently as a cable does.
func (w *network) cut(machine string)  { w.ip("-n", w.ns("sw"), "link", "set", "port-"+machine, "down") }
func (w *network) mend(machine string) { w.ip("-n", w.ns("sw"), "link", "set", "port-"+machine, "up") }

// on is what starts a command on a machine. It is replaced by the command, which so has its process id.
func (w *network) on(machine string) []string { return []string{"ip", "netns", "exec", w.ns(machine)} }

// do calls f on a machine: sockets that f makes belong there.
func (w *network) do(machine string, f func() error) error {
	runtime.LockOSThread()
	here, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		return err
	}
	defer func() { _ = here.Close() }()
	there, err := os.Open("/run/netns/" + w.ns(machine))
	if err != nil {
		return err
	}
	defer func() { _ = there.Close() }()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		return back // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// dialer dials from a machine; addresses must be numbers.
func (w *network) dialer(machine string, dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = w.do(machine, func() error {
			conn, err = dial(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// listen listens on a machine.
func (w *network) listen(machine, address string) net.Listener {
	w.t.Helper()
	var l net.Listener
	if err := w.do(machine, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return l
}

// httpClient makes requests from a machine.
func (w *network) httpClient(machine string) *http.Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{DialContext: w.dialer(machine, dialer.DialContext)}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}
