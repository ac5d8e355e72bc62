package dataplane

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// UDPConn is an egress socket for datagrams. Every packet's destination is checked.
type UDPConn struct {
	conn  *net.UDPConn
	raw   syscall.RawConn
	guard *guard
}

// ListenUDP opens a socket on a port of the system's choice.
func (e *Egress) ListenUDP() (*UDPConn, error) {
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, fmt.Errorf("dataplane: open UDP socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("dataplane: open UDP socket: %w", err)
	}
	return &UDPConn{conn: conn, raw: raw, guard: e.guard}, nil
}

// WriteTo sends a packet, or fails with ErrForbidden.
func (c *UDPConn) WriteTo(packet []byte, to netip.AddrPort) error {
	if err := c.guard.check(to); err != nil {
		return err
	}
	_, err := c.conn.WriteToUDPAddrPort(packet, to)
	return err
}

// SetReadDeadline bounds Receive.
func (c *UDPConn) SetReadDeadline(at time.Time) error { return c.conn.SetReadDeadline(at) }

// Close closes the socket and ends Receive.
func (c *UDPConn) Close() error { return c.conn.Close() }
