package dataplane

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailuresAreToldOncePerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := NewFailures(slog.New(slog.NewTextHandler(&log, nil)))
		full := &net.OpError{
			Op: "accept", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:443")), Err: os.NewSyscallError("accept4", syscall.EMFILE),
		}
		for began := time.Now(); time.Since(began) < 3*time.Minute-failurePause; {
			f.Wait("accept", full)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 3 || !strings.Contains(lines[0], "too many open files") || !strings.Contains(lines[2], "untold_before=1199") {
			t.Errorf("told %d times: %s", len(lines), log.String())
		}
		if strings.Contains(log.String(), "192.0.2.1") {
			t.Errorf("the log names an address: %s", log.String())
		}
	})
}

func TestPanicsAreContainedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := NewFailures(slog.New(slog.NewTextHandler(&log, nil)))
		ended := 0
		for range 5 {
			func() {
				defer f.Contain(func() { ended++ })
				panic("a fault")
			}()
			func() { defer f.Contain(func() { t.Error("ended without a panic") }) }()
		}
		if n := strings.Count(log.String(), "failures_test.go"); ended != 5 || strings.Count(log.String(), "a fault") != 1 || n == 0 {
			t.Errorf("%d of 5 flows ended, and told was: %s", ended, log.String())
		}
	})
}
