package httpsproxy

import (
	"crypto/tls"
	"net"
	"sync"

	"stile/dataplane"
)

// wire is the TCP connection under a client's TLS. It lets a tunnel take in what has arrived without waiting for more,
// and send many records at once.
type wire struct {
	*net.TCPConn
	stranger *dataplane.Stranger // nil before meet
	// impatient makes Read fail with errNothing rather than wait.
	impatient bool
	peek      peeker
	// corked collects what is written, size bytes so far, while it is not nil. The lock is for crypto/tls, which answers a
	// client's key update from the goroutine that reads.
	mu     sync.Mutex
	corked *dataplane.Buffer
	size   int

	useMu    sync.Mutex
	requests int                 // with a key, under way
	idle     *dataplane.Stranger // nil while there are any, or before the first
	isClosed bool
}

// wireOf is what is under a client's TLS.
func wireOf(conn *tls.Conn) *wire {
	return conn.NetConn().(*wire) //nolint:forcetypeassert // our listener gives nothing else
}

func newWire(conn *net.TCPConn) *wire { return &wire{TCPConn: conn} }

// errNothing says that nothing has arrived. To crypto/tls it is a passing failure of the connection, after which it goes
// on where it was.
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "httpsproxy: nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// Close implements net.Conn.
func (w *wire) Close() error {
	w.stranger.Leave()
	w.useMu.Lock()
	w.isClosed = true
	w.idle.Leave()
	w.useMu.Unlock()
	return w.TCPConn.Close()
}

// begin notes a request with a key: the connection is no stranger's any more.
func (w *wire) begin() {
	w.stranger.Leave()
	w.useMu.Lock()
	defer w.useMu.Unlock()
	w.requests++
	w.idle.Leave()
	w.idle = nil
}

// end notes the end of a request. After the last the connection counts among the idle ones of the key.
func (w *wire) end(idle *dataplane.Strangers, keyID int64) {
	w.useMu.Lock()
	defer w.useMu.Unlock()
	if w.requests--; w.requests == 0 && !w.isClosed {
		w.idle = idle.Enter(dataplane.Origin(keyID), func() { _ = w.TCPConn.Close() })
	}
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.impatient {
		return w.peek.read(w.TCPConn, p)
	}
	return w.TCPConn.Read(p)
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.corked == nil {
		return w.TCPConn.Write(p)
	}
	if w.size+len(p) > len(w.corked) {
		if err := w.flush(); err != nil {
			return 0, err
		}
		if len(p) > len(w.corked) {
			return w.TCPConn.Write(p)
		}
	}
	w.size += copy(w.corked[w.size:], p)
	return len(p), nil
}

// cork collects what is written from now on in a buffer.
func (w *wire) cork(buffer *dataplane.Buffer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked = buffer
}

// uncork sends what was collected and gives the buffer up.
func (w *wire) uncork() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.flush()
	w.corked = nil
	return err
}

// flush sends what was collected; the caller holds the lock.
func (w *wire) flush() error {
	if w.size == 0 {
		return nil
	}
	_, err := w.TCPConn.Write(w.corked[:w.size])
	w.size = 0
	return err
}
