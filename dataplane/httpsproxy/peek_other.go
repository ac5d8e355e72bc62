//go:build !unix

package httpsproxy

import "net"

// peeker stands for a read without waiting, which this system does not have.
type peeker struct{}

func (*peeker) read(*net.TCPConn, []byte) (int, error) { return 0, errNothing }
