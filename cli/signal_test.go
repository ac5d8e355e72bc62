package cli_test

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Ctrl-C answers what was asked, which may take a while and says so; Ctrl-C again does not wait for it.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	m := newMachine(t, "")
	slow, err := net.Dial("tcp", strings.TrimPrefix(m.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if _, err := fmt.Fprintf(slow, "POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	interrupt := func() {
		if err := m.process.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	m.until("it says that it stops", func() bool { return strings.Contains(m.log.String(), "a second signal ends it") })
	interrupt()
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		t.Fatalf("it goes on\n%s", m.log)
	}
	if status, ok := m.process.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("it waited for the request: %v\n%s", m.process.ProcessState, m.log)
	}
	m.start()
}
