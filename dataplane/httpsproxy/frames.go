package httpsproxy

import (
	"crypto/tls"

	"stile/dataplane"
)

// maxRecord is the most plaintext that a TLS record holds (RFC 8446, section 5.1).
const maxRecord = 16 << 10

// framed is a client's TLS connection as the server of HTTP/2 writes it, a frame at a time. A frame of data fills one
// record, and its header makes it a second one: both go out at once.
type framed struct {
	*tls.Conn
	wire    *wire
	buffers *dataplane.Buffers
}

// Write implements net.Conn. One goroutine at a time calls it.
func (f *framed) Write(b []byte) (int, error) {
	if len(b) <= maxRecord {
		return f.Conn.Write(b)
	}
	buffer := f.buffers.Take()
	defer f.buffers.Return(buffer)
	f.wire.cork(buffer)
	n, err := f.Conn.Write(b)
	if sendErr := f.wire.uncork(); err == nil {
		err = sendErr
	}
	return n, err
}
