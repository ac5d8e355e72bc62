//go:build !unix

package dataplane

import (
	"net"
)

// Source reads a TCP connection. This system has no way to wait for readability, so a waiting flow holds its buffer.
type Source struct {
	conn    *net.TCPConn
	buffers *Buffers
}

// NewSource wraps a connection. Only one goroutine may read.
func NewSource(conn *net.TCPConn, buffers *Buffers) (*Source, error) {
	return &Source{conn: conn, buffers: buffers}, nil
}

// Read takes a buffer and reads at most limit bytes into it. The caller returns the buffer to the pool. With an error
// there is no buffer; the end of the stream is io.EOF.
func (s *Source) Read(limit int) (*Buffer, int, error) {
	taken := s.buffers.Take()
	n, err := s.conn.Read(taken[:limit])
	if err != nil {
		s.buffers.Return(taken)
		return nil, 0, err
	}
	return taken, n, nil
}

// ReadInto reads into memory that the caller holds already.
func (s *Source) ReadInto(into []byte) (int, error) { return s.conn.Read(into) }
