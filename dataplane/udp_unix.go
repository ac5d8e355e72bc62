//go:build unix

package dataplane

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
)

// Receive waits for a packet and only then takes a buffer, which the caller returns to the pool. The packet lies in it
// from offset on and is size bytes long at most; an address of IPv4 is returned as such.
func (c *UDPConn) Receive(buffers *Buffers, offset, size int) (taken *Buffer, n int, from netip.AddrPort, err error) {
	var sender syscall.Sockaddr
	waitErr := c.raw.Read(func(fd uintptr) bool {
		taken = buffers.Take()
		for {
			n, sender, err = syscall.Recvfrom(int(fd), taken[offset:offset+size], 0)
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		if err == nil {
			return true
		}
		buffers.Return(taken)
		taken = nil
		return !errors.Is(err, syscall.EAGAIN)
	})
	if waitErr != nil {
		return nil, 0, from, waitErr
	}
	if err != nil {
		return nil, 0, from, os.NewSyscallError("recvfrom", err)
	}
	switch a := sender.(type) {
	case *syscall.SockaddrInet4:
		from = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		from = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return taken, n, from, nil
}
