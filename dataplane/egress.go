package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Times that an egress gives to the world, each in all.
const (
	resolveTimeout = 5 * time.Second
	dialTimeout    = 10 * time.Second
)

// Errors of an egress. They carry no address and no name.
var (
	// ErrUnresolved means that a target's name has no address, or that no resolver answered.
	ErrUnresolved = errors.New("dataplane: target name not resolved")
	// ErrUnreachable means that no address of the target accepted a connection.
	ErrUnreachable = errors.New("dataplane: target not reachable")
)

// Resolver finds the addresses of a name; *net.Resolver is one.
type Resolver interface {
	// LookupNetIP returns the addresses of a host; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Target is where a client wants to go: a name, or an address if Name is empty.
type Target struct {
	Name string
	Addr netip.Addr
	Port uint16
}

// EgressConfig sets what an egress may reach beyond public addresses, and how it resolves names.
type EgressConfig struct {
	// AllowTargets opens addresses that would be refused; it wins over everything but port 25.
	AllowTargets []netip.Prefix
	// Resolver resolves targets; nil is the system's.
	Resolver Resolver
}

// Egress is the only way out of a node. It resolves names itself and refuses, by the address that is really used, whatever
// is private, special or the node's own.
type Egress struct {
	guard    *guard
	resolver Resolver
	dialer   net.Dialer
}

// NewEgress returns an egress of the given configuration.
func NewEgress(c EgressConfig) *Egress {
	g := &guard{allow: c.AllowTargets, addresses: net.InterfaceAddrs, now: time.Now}
	e := &Egress{guard: g, resolver: c.Resolver}
	if e.resolver == nil {
		e.resolver = net.DefaultResolver
	}
	e.dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return ErrForbidden
		}
		return g.check(to)
	}
	return e
}

// DialTCP connects to a target, trying the addresses of a name in the resolver's order. It fails with ErrForbidden if no
// address may be reached, ErrUnresolved, ErrUnreachable, or ctx's error.
func (e *Egress) DialTCP(ctx context.Context, to Target) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := e.Resolve(ctx, to)
	if err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		var conn net.Conn
		if conn, err = e.dialOne(ctx, netip.AddrPortFrom(addr, to.Port), len(addrs)-i); err == nil {
			return conn.(*net.TCPConn), nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, dialError(ctx, err)
}

// dialOne tries one address and leaves a fair share of the time to the others that are left.
func (e *Egress) dialOne(ctx context.Context, to netip.AddrPort, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return e.dialer.DialContext(ctx, "tcp", to.String())
}

// dialError strips addresses from an error.
func dialError(ctx context.Context, err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, ErrForbidden):
		return ErrForbidden
	case context.Cause(ctx) != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, context.Cause(ctx))
	case errors.As(err, &errno):
		return fmt.Errorf("%w: %w", ErrUnreachable, errno)
	}
	return ErrUnreachable
}

// Resolve returns the addresses of a target that may be reached; never an empty list without an error.
func (e *Egress) Resolve(ctx context.Context, to Target) ([]netip.Addr, error) {
	addrs := []netip.Addr{to.Addr}
	if to.Name != "" {
		if literal, err := netip.ParseAddr(to.Name); err == nil {
			addrs[0] = literal
		} else if addrs, err = e.lookUp(ctx, to.Name); err != nil {
			return nil, err
		}
	}
	permitted := make([]netip.Addr, 0, len(addrs))
	for _, addr := range addrs {
		if e.guard.check(netip.AddrPortFrom(addr, to.Port)) == nil {
			permitted = append(permitted, addr.Unmap())
		}
	}
	if len(permitted) == 0 {
		return nil, ErrForbidden
	}
	return permitted, nil
}

func (e *Egress) lookUp(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := e.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil || len(addrs) == 0 {
		return nil, ErrUnresolved // the resolver's error repeats the name
	}
	return addrs, nil
}

// Permits reports whether a client may reach an address.
func (e *Egress) Permits(to netip.AddrPort) bool { return e.guard.check(to) == nil }
