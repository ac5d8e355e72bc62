package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/things-go/go-socks5/statute"
)

// datagramLimit is the largest datagram a program may send, in bytes, with its SOCKS5 header.
const datagramLimit = 64 << 10

// associate serves UDP ASSOCIATE: a socket for the program's datagrams beside the connection, which lives as long as
// that connection does. The first datagram from the program's own address claims the socket; others are dropped.
func (p *Proxy) associate(ctx context.Context, near *local) {
	host, _, err := net.SplitHostPort(near.LocalAddr().String())
	if err != nil {
		return
	}
	var listen net.ListenConfig
	socket, err := listen.ListenPacket(ctx, "udp", net.JoinHostPort(host, "0"))
	if err != nil {
		_ = reply(near, statute.RepServerFailure, nil)
		return
	}
	defer socket.Close()
	tunnel, err := p.dialer.ListenPacket(ctx)
	if err != nil {
		_ = reply(near, replyCode(err), nil)
		return
	}
	defer tunnel.Close()
	if err := reply(near, statute.RepSuccess, socket.LocalAddr()); err != nil {
		return
	}
	a := &association{socket: socket.(*net.UDPConn), tunnel: tunnel, peer: addressOf(near.RemoteAddr())} //nolint:forcetypeassert // "udp"
	var loops sync.WaitGroup
	loops.Go(a.outward)
	loops.Go(func() {
		a.inward()
		near.reset() // the tunnel is gone, and so is the association
	})
	_, _ = io.Copy(io.Discard, near)
	_ = socket.Close()
	_ = tunnel.Close()
	loops.Wait()
}

// association joins the socket of a program with a socket of the tunnel.
type association struct {
	socket *net.UDPConn
	tunnel net.PacketConn
	peer   netip.Addr
	client atomic.Pointer[netip.AddrPort]
}

func (a *association) outward() {
	buf := make([]byte, datagramLimit)
	for {
		n, from, err := a.socket.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !a.accepts(from) {
			continue
		}
		payload, to, ok := parseDatagram(buf[:n])
		if !ok {
			continue
		}
		if _, err := a.tunnel.WriteTo(payload, to); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

func (a *association) inward() {
	buf := make([]byte, datagramLimit)
	for {
		n, from, err := a.tunnel.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		client := a.client.Load()
		if err != nil || client == nil {
			continue // a datagram that is not for us, or an ICMP error: the next one may be good
		}
		datagram, err := statute.NewDatagram(from.String(), buf[:n])
		if err != nil {
			continue
		}
		if _, err := a.socket.WriteToUDPAddrPort(datagram.Bytes(), *client); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// accepts reports whether a datagram comes from the program that asked for the association.
func (a *association) accepts(from netip.AddrPort) bool {
	if client := a.client.Load(); client != nil {
		return *client == from
	}
	if from.Addr().Unmap() != a.peer {
		return false
	}
	a.client.Store(&from)
	return true
}

// parseDatagram reads what a program sends through an association. Fragments are not supported, as RFC 1928 allows.
func parseDatagram(b []byte) (payload []byte, to far, ok bool) {
	datagram, err := statute.ParseDatagram(b)
	to = far(datagram.DstAddr.String())
	if err != nil || datagram.Frag != 0 || !isDestination(string(to)) {
		return nil, "", false
	}
	return datagram.Data, to, true
}

func addressOf(addr net.Addr) netip.Addr {
	address, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap()
}

// far is a destination of datagrams as the tunnel takes it: "host:port", the host possibly a name.
type far string

func (far) Network() string { return "udp" }

func (f far) String() string { return string(f) }
