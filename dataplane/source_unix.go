//go:build unix

package dataplane

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Source reads a TCP connection and takes a buffer only when there is something to read.
type Source struct {
	raw     syscall.RawConn
	buffers *Buffers
	attempt func(fd uintptr) bool // try, bound once: a method value allocates

	// The arguments and results of one attempt.
	limit int
	into  []byte
	taken *Buffer
	n     int
	err   error
}

// NewSource wraps a connection. Only one goroutine may read.
func NewSource(conn *net.TCPConn, buffers *Buffers) (*Source, error) {
	raw, err := conn.SyscallConn()
	s := &Source{raw: raw, buffers: buffers}
	s.attempt = s.try
	return s, err
}

// Read waits until the connection is readable, then takes a buffer and reads at most limit bytes into it. The caller
// returns the buffer to the pool. With an error there is no buffer; the end of the stream is io.EOF.
func (s *Source) Read(limit int) (*Buffer, int, error) {
	s.limit, s.into = limit, nil
	n, err := s.read()
	if err != nil {
		s.buffers.Return(s.taken)
		s.taken = nil
		return nil, 0, err
	}
	taken := s.taken
	s.taken = nil
	return taken, n, nil
}

// ReadInto reads into memory that the caller holds already.
func (s *Source) ReadInto(into []byte) (int, error) {
	s.into = into
	return s.read()
}

func (s *Source) read() (int, error) {
	if err := s.raw.Read(s.attempt); err != nil {
		return 0, err
	}
	if s.err != nil {
		return 0, os.NewSyscallError("read", s.err)
	}
	if s.n == 0 {
		return 0, io.EOF
	}
	return s.n, nil
}

// try reads once; false means that the connection is not readable yet.
func (s *Source) try(fd uintptr) bool {
	into := s.into
	if into == nil {
		s.taken = s.buffers.Take()
		into = s.taken[:s.limit]
	}
	for {
		s.n, s.err = syscall.Read(int(fd), into)
		if !errors.Is(s.err, syscall.EINTR) {
			break
		}
	}
	if !errors.Is(s.err, syscall.EAGAIN) {
		return true
	}
	if s.taken != nil {
		s.buffers.Return(s.taken)
		s.taken = nil
	}
	return false
}
