package cli

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// notifySocket plays systemd: what is told arrives in the channel.
func notifySocket(t *testing.T) (path string, told <-chan string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	states := make(chan string, 1000)
	go func() {
		for b := make([]byte, 100); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			states <- string(b[:n])
		}
	}()
	return path, states
}

// next is the next state told; it fails the test if that takes too long.
func next(t *testing.T, told <-chan string) string {
	t.Helper()
	select {
	case state := <-told:
		return state
	case <-time.After(time.Minute):
		t.Fatal("nothing is told")
		return ""
	}
}

// say tells something as the program does.
func say(t *testing.T, path, state string) {
	t.Helper()
	conn, err := net.Dial("unixgram", path)
	if err == nil {
		_, err = conn.Write([]byte(state))
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// drain forgets what was told.
func drain(told <-chan string) (n int) {
	for {
		select {
		case <-told:
			n++
		default:
			return n
		}
	}
}

func TestSupervisorIsToldTheTruth(t *testing.T) {
	path, told := notifySocket(t)
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": strconv.Itoa(90_000)}
	s, err := findSupervisor(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	var isReady, isStuck atomic.Bool
	asked := make(chan struct{}, 1000)
	ready := func(context.Context) error {
		asked <- struct{}{}
		if !isReady.Load() {
			return errors.New("not yet")
		}
		return nil
	}
	stuck, release := make(chan struct{}, 1000), make(chan struct{})
	alive := func(context.Context) error {
		if isStuck.Load() {
			stuck <- struct{}{}
			<-release // it ignores its context, as stuck code does
		}
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.attend(ctx, ready, alive) }()
	<-asked
	<-asked
	if n := drain(told); n != 0 {
		t.Error("something is told before it is ready")
	}
	isReady.Store(true)
	if got := next(t, told); got != "READY=1" {
		t.Errorf("%q when it is ready", got)
	}
	for range 3 {
		if got := next(t, told); got != "WATCHDOG=1" {
			t.Errorf("%q while it lives", got)
		}
	}
	isStuck.Store(true)
	<-stuck
	say(t, path, "STUCK") // behind what was told of the questions before
	for got := ""; got != "STUCK"; got = next(t, told) {
	}
	time.Sleep(3 * s.watchdog)
	if n := drain(told); n != 0 {
		t.Errorf("%d signs of life of a program that is stuck", n)
	}
	isStuck.Store(false)
	close(release)
	if got := next(t, told); got != "WATCHDOG=1" {
		t.Errorf("%q after it went on", got)
	}
	stop()
	<-ended
	for {
		got := next(t, told)
		if got == "STOPPING=1" {
			break
		}
		if got != "WATCHDOG=1" {
			t.Fatalf("%q when it stops", got)
		}
	}
}

func TestFindSupervisor(t *testing.T) {
	find := func(env map[string]string) (*supervisor, error) {
		return findSupervisor(func(name string) string { return env[name] })
	}
	none, err := find(nil)
	if err != nil || none.conn != nil {
		t.Errorf("nobody asked: %+v, %v", none, err)
	}
	none.attend(t.Context(), nil, nil) // returns at once
	if _, err := find(map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a socket that is not there is taken")
	}
	path, _ := notifySocket(t)
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{{"", "", 0}, {"0", "", 0}, {"x", "", 0}, {"60000000", "", time.Minute}, {"60000000", "1", 0}} {
		s, err := find(map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid})
		if err != nil || s.watchdog != c.want {
			t.Errorf("%+v: %v, %v", c, s.watchdog, err)
		}
		_ = s.conn.Close()
	}
}
