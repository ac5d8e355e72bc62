package store

import (
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// giveUpUnacknowledged ends a TCP connection whose other end acknowledges nothing for lookupWait. Linux alone would go on for a quarter
// of an hour.
func giveUpUnacknowledged(network, _ string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var err error
	controlErr := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(lookupWait.Milliseconds()))
	})
	return errors.Join(controlErr, err)
}
