// Package planetest is the contract of dataplane.Plane as tests: every plane passes Run. It uses real sockets on
// loopback and knows nothing of a protocol; the plane's own test brings a client, best one that somebody else wrote.
package planetest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stile/dataplane"
)

// Subject is a plane under test, listening on loopback and not running yet, with a client for it.
type Subject struct {
	Plane dataplane.Plane
	// Dial opens a stream to a target (host:port, where the host may be a name) under a key, as a client of the protocol
	// does. A plane that refuses may let Dial fail or may never answer. CloseWrite of the connection must work if it has
	// one.
	Dial func(ctx context.Context, key dataplane.Key, target string) (net.Conn, error)
	// DialUDP opens a client's datagram socket under a key, or is nil if the protocol has none.
	DialUDP func(ctx context.Context, key dataplane.Key) (net.PacketConn, error)
}

// Factory builds a subject on a ledger and an egress of the suite.
type Factory func(t *testing.T, ledger *dataplane.Ledger, egress *dataplane.Egress) Subject

// Run runs the whole contract.
func Run(t *testing.T, factory Factory) {
	for _, c := range []struct {
		name string
		test func(*bench)
	}{
		{"KeysComeAndGo", keysComeAndGo},
		{"BytesAreCounted", bytesAreCounted},
		{"HalfClose", halfClose},
		{"RevocationEndsSessions", revocationEndsSessions},
		{"RevocationDuringDial", revocationDuringDial},
		{"Expiry", expiry},
		{"MaxSessions", maxSessions},
		{"RateLimit", rateLimit},
		{"SpeedIsWithinTenPercent", speedIsWithinTenPercent},
		{"PrivateTargets", privateTargets},
		{"ApplyIsIdempotent", applyIsIdempotent},
		{"CloseDrains", closeDrains},
		{"CloseCuts", closeCuts},
		{"ContextCuts", contextCuts},
		{"Datagrams", datagrams},
		{"DatagramsToPrivateTargets", datagramsToPrivateTargets},
		{"RevocationEndsDatagrams", revocationEndsDatagrams},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			b := setUp(t, factory)
			defer b.tearDown()
			c.test(b)
		})
	}
}

// patience bounds every wait for something that must happen; silence is how long nothing must happen.
const (
	patience = 60 * time.Second
	silence  = 150 * time.Millisecond
)

// bench is one test's plane with everything around it.
type bench struct {
	*testing.T
	Subject
	ctx     context.Context
	stop    context.CancelFunc
	ledger  *dataplane.Ledger
	ran     chan error
	names   *names
	targets []*target
	seeds   byte
}

func setUp(t *testing.T, factory Factory) *bench {
	t.Helper()
	b := &bench{T: t, ledger: dataplane.NewLedger(time.Now), ran: make(chan error, 1), names: &names{}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	egress := dataplane.NewEgress(dataplane.EgressConfig{
		AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Resolver:     b.names,
	})
	b.Subject = factory(t, b.ledger, egress)
	go func() { b.ran <- b.Plane.Run(b.ctx) }()
	return b
}

func (b *bench) tearDown() {
	b.stop()
	select {
	case err := <-b.ran:
		if err != nil {
			b.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		b.Error("Run did not return after its context ended")
	}
	for _, target := range b.targets {
		target.close()
	}
	b.ledger.Close()
}

// key makes a new key; nothing knows it yet.
func (b *bench) key() dataplane.Key {
	b.seeds++
	k := dataplane.Key{ID: int64(b.seeds)}
	for i := range k.Seed {
		k.Seed[i] = b.seeds*31 + byte(i)
	}
	return k
}

// apply does what a node does: the ledger first, then the plane.
func (b *bench) apply(put []dataplane.Key, remove []int64, full bool) int {
	b.Helper()
	ended := b.ledger.Apply(put, remove, full)
	if err := b.Plane.Apply(put, remove, full); err != nil {
		b.Fatalf("Apply: %v", err)
	}
	return ended
}

func (b *bench) put(keys ...dataplane.Key) { b.Helper(); b.apply(keys, nil, false) }

// open dials and proves with one echo that the stream works.
func (b *bench) open(key dataplane.Key, target string) net.Conn {
	b.Helper()
	conn, err := b.tryOpen(key, target, patience)
	if err != nil {
		b.Fatalf("%v: no stream: %v", key, err)
	}
	return conn
}

// refused proves that no stream opens.
func (b *bench) refused(key dataplane.Key, target string) {
	b.Helper()
	if conn, err := b.tryOpen(key, target, silence); err == nil {
		_ = conn.Close()
		b.Errorf("%v: a stream opened to %s that must not", key, target)
	}
}

// unreached is refused with a target of its own, which sees nothing. A request that the plane gets to only later may find that its
// key has come meanwhile.
func (b *bench) unreached(key dataplane.Key) {
	b.Helper()
	target := b.serve("127.0.0.1", echoBack)
	b.refused(key, target.addr())
	if n := target.accepted.Load(); n != 0 {
		b.Errorf("%v: a refused stream reached its target", key)
	}
}

func (b *bench) tryOpen(key dataplane.Key, target string, within time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(b.ctx, within)
	defer cancel()
	conn, err := b.Dial(ctx, key, target)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(within))
	if err := echo(conn, "hello"); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn, nil
}

// usage returns what the ledger has of a key.
func (b *bench) usage(key dataplane.Key) dataplane.KeyUsage {
	for _, u := range b.ledger.Usage(nil) {
		if u.KeyID == key.ID {
			return u
		}
	}
	return dataplane.KeyUsage{KeyID: key.ID}
}

// eventually waits for a condition.
func (b *bench) eventually(what string, condition func() bool) {
	b.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// names is a resolver of the suite's own: *.allowed.test is 127.0.0.1, *.private.test is 127.0.0.2, mixed.test is both,
// and slow.test is 127.0.0.1 once release was called.
type names struct {
	slow atomic.Pointer[slowName]
}

type slowName struct{ asked, release chan struct{} }

func (n *names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	allowed, private := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	switch host {
	case "allowed.test":
		return []netip.Addr{allowed}, nil
	case "private.test":
		return []netip.Addr{private}, nil
	case "mixed.test":
		return []netip.Addr{private, allowed}, nil
	case "slow.test":
		slow := n.slow.Load()
		slow.asked <- struct{}{}
		// It ignores ctx, as a resolver may: the plane has to check again after it.
		<-slow.release
		return []netip.Addr{allowed}, nil
	}
	return nil, fmt.Errorf("no such host")
}
