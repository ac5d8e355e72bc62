//go:build !unix

package dataplane

import "net/netip"

// Receive waits for a packet in a buffer that the caller returns to the pool. The packet lies in it from offset on and is
// size bytes long at most; an address of IPv4 is returned as such.
func (c *UDPConn) Receive(buffers *Buffers, offset, size int) (taken *Buffer, n int, from netip.AddrPort, err error) {
	taken = buffers.Take()
	n, from, err = c.conn.ReadFromUDPAddrPort(taken[offset : offset+size])
	if err != nil {
		buffers.Return(taken)
		return nil, 0, from, err
	}
	return taken, n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), nil
}
