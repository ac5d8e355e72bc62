//go:build unix

package httpsproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// peeker reads a connection without waiting.
type peeker struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // try, bound once: a method value allocates
	into    []byte
	n       int
	err     error
}

func (k *peeker) read(conn *net.TCPConn, p []byte) (int, error) {
	if k.raw == nil {
		raw, err := conn.SyscallConn()
		if err != nil {
			return 0, err
		}
		k.raw, k.attempt = raw, k.try
	}
	k.into = p
	err := k.raw.Read(k.attempt)
	k.into = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(k.err, syscall.EAGAIN):
		return 0, errNothing
	case k.err != nil:
		return 0, os.NewSyscallError("read", k.err)
	case k.n == 0:
		return 0, io.EOF
	}
	return k.n, nil
}

// try reads once; true means that there is no waiting.
func (k *peeker) try(fd uintptr) bool {
	for {
		k.n, k.err = syscall.Read(int(fd), k.into)
		if !errors.Is(k.err, syscall.EINTR) {
			return true
		}
	}
}
