package httpsproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"stile/dataplane"
)

// Listener is a plane's open port. It accepts connections as *wire and says itself what fails, because net/http would
// name addresses.
type Listener struct {
	*net.TCPListener
	failures *dataplane.Failures
}

// Listen opens a port on an address, empty for all, or a free port for 0. It fails if the port is busy. log gets the
// failures of the socket, never a client's; nil is slog's default.
func Listen(ctx context.Context, host string, port int, log *slog.Logger) (*Listener, error) {
	// Phones pay for every keep-alive with their radio, so ask rarely.
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Minute, Interval: 30 * time.Second, Count: 4,
	}}
	config.SetMultipathTCP(false)
	tcp, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("httpsproxy: %w", err)
	}
	return &Listener{TCPListener: tcp.(*net.TCPListener), failures: dataplane.NewFailures(log)}, nil
}

// Port is where it listens.
func (l *Listener) Port() int { return l.Addr().(*net.TCPAddr).Port }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptTCP()
		if err == nil {
			return newWire(conn), nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, net.ErrClosed
		}
		l.failures.Wait("httpsproxy: accept", err)
	}
}
