package node

import (
	"net"

	"stile/dataplane"
)

const (
	// callersAtOnce is how many connections may be open, and callersPerOrigin of one address; one too many makes the oldest go.
	callersAtOnce    = 4096
	callersPerOrigin = 256
)

// boundedListener counts the connections that it accepts, until they are closed.
type boundedListener struct {
	net.Listener
	callers *dataplane.Strangers
	origins dataplane.Origins
}

// Bounded returns a listener for anybody: of its TCP connections at most 4,096 are open, and 256 of one address.
func Bounded(l net.Listener) net.Listener {
	return &boundedListener{l, dataplane.NewStrangers(callersAtOnce, callersPerOrigin), dataplane.NewOrigins()}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	tcp, ok := conn.(*net.TCPConn)
	if err != nil || !ok {
		return conn, err
	}
	return &caller{TCPConn: tcp, stranger: l.callers.Enter(l.origins.OfPeer(tcp), func() { _ = tcp.Close() })}, nil
}

type caller struct {
	*net.TCPConn
	stranger *dataplane.Stranger
}

// Close implements net.Conn.
func (c *caller) Close() error {
	c.stranger.Leave()
	return c.TCPConn.Close()
}
