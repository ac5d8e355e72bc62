package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// readyInterval is how often a starting program is asked whether it is ready.
const readyInterval = 100 * time.Millisecond

// supervisor is the service manager, if it asked to be told: systemd's sd_notify(3), a datagram for each state.
type supervisor struct {
	conn     *net.UnixConn // nil: nobody asked
	watchdog time.Duration // it ends the program after that long without a sign of life; 0 = never
}

// findSupervisor reads what systemd put into the environment (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID).
func findSupervisor(getenv func(string) string) (*supervisor, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return &supervisor{}, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // "@" is an abstract name there too
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	s := &supervisor{conn: conn}
	micros, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	pid := getenv("WATCHDOG_PID")
	if err == nil && micros > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(micros) * time.Microsecond
	}
	return s, nil
}

// attend tells the supervisor that the program is ready, once ready says so; then that it lives, as long as alive says
// so in time; and when ctx ends, that it stops. What alive waits for is what the watchdog watches.
func (s *supervisor) attend(ctx context.Context, ready, alive func(context.Context) error) {
	if s.conn == nil {
		return
	}
	defer func() {
		s.tell("STOPPING=1")
		_ = s.conn.Close()
	}()
	for s.ask(ctx, ready) != nil {
		if !pause(ctx, readyInterval) {
			return
		}
	}
	s.tell("READY=1")
	if s.watchdog == 0 {
		<-ctx.Done()
		return
	}
	for pause(ctx, s.watchdog/3) {
		if s.ask(ctx, alive) == nil {
			s.tell("WATCHDOG=1")
		}
	}
}

// errLate says that an answer took too long.
var errLate = errors.New("no answer in time")

// ask waits for an answer for a third of the watchdog's time, also when a question never returns.
func (s *supervisor) ask(ctx context.Context, question func(context.Context) error) error {
	patience := 5 * time.Second
	if s.watchdog > 0 {
		patience = s.watchdog / 3
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- question(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return errLate
	}
}

// tell is best effort: a supervisor that went away is told nothing.
func (s *supervisor) tell(state string) { _, _ = s.conn.Write([]byte(state)) }

// pause reports whether ctx outlived it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
