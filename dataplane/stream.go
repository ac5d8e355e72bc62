package dataplane

import (
	"net"
	"sync"
	"time"
)

// BufferSize is the size of a pooled buffer in bytes. What a flow pays for beside the copying and its cipher, mostly
// wake-ups, it pays for each buffer; at twice this size the caches of a small processor no longer hold two.
const BufferSize = 128 << 10

// PayloadSize is how much a relay reads at once, in bytes: as much as eight of the chunks that Shadowsocks writes hold,
// which leaves room in a buffer for what a protocol wraps around it.
const PayloadSize = 8 * 16320

// Buffer is one pooled buffer.
type Buffer [BufferSize]byte

// Buffers lends buffers. A flow takes one when there is something to read and returns it when the bytes have been
// written, so that an idle flow holds none.
type Buffers struct{ pool sync.Pool }

// NewBuffers returns an empty pool.
func NewBuffers() *Buffers {
	return &Buffers{pool: sync.Pool{New: func() any { return new(Buffer) }}}
}

// Take lends a buffer with arbitrary content.
func (b *Buffers) Take() *Buffer { return b.pool.Get().(*Buffer) }

// Return gives a buffer back; nil is ignored.
func (b *Buffers) Return(buffer *Buffer) {
	if buffer != nil {
		b.pool.Put(buffer)
	}
}

// Stream is one side of a relay. Reading and writing may run at the same time, each from one goroutine.
type Stream interface {
	// Next waits for bytes and returns them; they are valid until Release. It returns io.EOF when the peer has finished
	// sending. After an error that os.ErrDeadlineExceeded matches it may be called again and has lost nothing.
	Next() (net.Buffers, error)
	// Release gives up what Next returned.
	Release()
	// Write writes all of the bytes; it may change the slice of slices and the bytes.
	Write(payload net.Buffers) error
	// CloseWrite tells the peer that nothing more will come.
	CloseWrite() error
	// SetReadDeadline bounds Next, as net.Conn's bounds Read.
	SetReadDeadline(at time.Time) error
	// SetWriteDeadline bounds Write, as net.Conn's does.
	SetWriteDeadline(at time.Time) error
	// Close ends both directions at once.
	Close() error
}

// TCPStream is a plain TCP connection as a Stream.
type TCPStream struct {
	*net.TCPConn
	source *Source
	chunk  *Buffer
	slices [1][]byte
	out    net.Buffers // what Write is writing
}

// NewTCPStream wraps a connection.
func NewTCPStream(conn *net.TCPConn, buffers *Buffers) (*TCPStream, error) {
	source, err := NewSource(conn, buffers)
	return &TCPStream{TCPConn: conn, source: source}, err
}

// Next reads once.
func (t *TCPStream) Next() (net.Buffers, error) {
	chunk, n, err := t.source.Read(PayloadSize)
	if err != nil {
		return nil, err
	}
	t.chunk = chunk
	t.slices[0] = chunk[:n]
	return t.slices[:], nil
}

// Release returns the buffer.
func (t *TCPStream) Release() {
	t.source.buffers.Return(t.chunk)
	t.chunk = nil
}

// Write writes the slices with as few system calls as possible.
func (t *TCPStream) Write(payload net.Buffers) error {
	if len(payload) == 1 {
		_, err := t.TCPConn.Write(payload[0])
		return err
	}
	t.out = payload
	_, err := t.out.WriteTo(t.TCPConn)
	return err
}
