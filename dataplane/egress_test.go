package dataplane

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func guardOf(allow []netip.Prefix, own ...string) *guard {
	return &guard{allow: allow, now: time.Now, addresses: func() ([]net.Addr, error) {
		var list []net.Addr
		for _, text := range own {
			ip := net.ParseIP(text)
			mask := net.CIDRMask(24, 32)
			if ip.To4() == nil {
				mask = net.CIDRMask(64, 128)
			}
			list = append(list, &net.IPNet{IP: ip, Mask: mask})
		}
		return list, nil
	}}
}

func TestGuard(t *testing.T) {
	g := guardOf(prefixes("10.9.0.0/16", "fd00:9::/32"), "5.5.5.5", "2a00::5")
	for _, open := range []string{
		"8.8.8.8", "1.1.1.1", "5.5.5.4", "2a00:1450::1", "2600::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "10.9.1.1",
		"::ffff:10.9.0.1", "64:ff9b::a09:1", "fd00:9::1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"172.15.255.255", "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15",
		"2001:200::1", "3ffe::1",
	} {
		if err := g.check(netip.AddrPortFrom(netip.MustParseAddr(open), 443)); err != nil {
			t.Errorf("%s is refused: %v", open, err)
		}
	}
	for _, closed := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "100.100.100.200", "127.0.0.1",
		"127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
		"192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
		"240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::2", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::808:808", "100::1", "2001::1",
		"2001:0:a00:1::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:a00:1::1", "2002:808:808::1", "3fff::1",
		"5f00::1", "fc00::1", "fd00:ec2::254", "fd12::1", "fe80::1", "fe80::1%eth0", "fec0::1", "feff::1", "ff02::1",
		"2a00:1450::1%eth0",
		"5.5.5.5", "::ffff:5.5.5.5", "64:ff9b::505:505", "2a00::5", // the node's own
		"5.5.5.0", "5.5.5.255", "64:ff9b::505:5ff", "2a00::", // what its networks' members all listen to, itself among them
	} {
		if err := g.check(netip.AddrPortFrom(netip.MustParseAddr(closed), 443)); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s is let through: %v", closed, err)
		}
	}
	for _, port := range []uint16{0, 25} {
		for _, addr := range []string{"8.8.8.8", "10.9.0.1"} {
			if err := g.check(netip.AddrPortFrom(netip.MustParseAddr(addr), port)); !errors.Is(err, ErrForbidden) {
				t.Errorf("port %d of %s is let through: %v", port, addr, err)
			}
		}
	}
	if err := g.check(netip.AddrPort{}); !errors.Is(err, ErrForbidden) {
		t.Errorf("no address at all: %v", err)
	}
}

func TestGuardFollowsTheNodesAddresses(t *testing.T) {
	now := time.Unix(1000, 0)
	var addrs []net.Addr
	var failure error
	g := &guard{now: func() time.Time { return now }, addresses: func() ([]net.Addr, error) { return addrs, failure }}
	target := netip.MustParseAddrPort("5.5.5.5:443")
	failure = errors.New("no netlink")
	if g.check(target) == nil {
		t.Error("a target passes though the node's addresses were never read")
	}
	failure = nil
	if err := g.check(target); err != nil {
		t.Errorf("a public target is refused: %v", err)
	}
	addrs = []net.Addr{&net.IPNet{IP: net.ParseIP("5.5.5.5")}}
	now = now.Add(ownRefresh)
	if g.check(target) == nil {
		t.Error("an address that the node got meanwhile passes")
	}
	failure = errors.New("no netlink")
	now = now.Add(ownRefresh)
	if g.check(target) == nil {
		t.Error("the last known addresses were lost when reading failed")
	}
}

// Many who come at once, to a guard that has not looked yet, are judged alike; and a clock that is set back stops no looking.
func TestGuardLooksBeforeItJudges(t *testing.T) {
	slow := make(chan struct{})
	g := &guard{now: time.Now, addresses: func() ([]net.Addr, error) { <-slow; return nil, nil }}
	verdicts := make(chan error)
	for range 4 {
		go func() { verdicts <- g.check(netip.MustParseAddrPort("5.5.5.5:443")) }()
	}
	time.AfterFunc(20*time.Millisecond, func() { close(slow) })
	for range 4 {
		if err := <-verdicts; err != nil {
			t.Errorf("a public target is refused while the node's addresses are read: %v", err)
		}
	}
	now := time.Unix(1e9, 0)
	reads := 0
	g = &guard{now: func() time.Time { return now }, addresses: func() ([]net.Addr, error) { reads++; return nil, nil }}
	for range 3 {
		_ = g.check(netip.MustParseAddrPort("5.5.5.5:443"))
		now = now.Add(-time.Hour)
	}
	if reads != 3 {
		t.Errorf("addresses were read %d times, want 3", reads)
	}
}

func TestThisMachinesAddressesAreRefused(t *testing.T) {
	e := NewEgress(EgressConfig{})
	addrs, err := net.InterfaceAddrs()
	if err != nil || len(addrs) == 0 {
		t.Fatalf("interface addresses: %v, %v", addrs, err)
	}
	for _, entry := range addrs {
		addr, _ := netip.AddrFromSlice(entry.(*net.IPNet).IP)
		if e.Permits(netip.AddrPortFrom(addr, 443)) {
			t.Errorf("an address of this machine passes: %s", addr)
		}
	}
}

type fixedNames map[string][]netip.Addr

func (f fixedNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, ok := f[host]; ok {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host}
}

func TestDialTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	loopback, other, closed := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	e := NewEgress(EgressConfig{
		AllowTargets: prefixes("127.0.0.1/32", "127.0.0.3/32"),
		Resolver: fixedNames{
			"good.test": {loopback}, "private.test": {other}, "mixed.test": {other, loopback}, "second.test": {closed, loopback},
			"down.test": {closed}, "empty.test": {},
		},
	})
	for _, c := range []struct {
		to   Target
		want error
	}{
		{Target{Addr: loopback, Port: port}, nil},
		{Target{Addr: netip.MustParseAddr("::ffff:127.0.0.1"), Port: port}, nil},
		{Target{Name: "127.0.0.1", Port: port}, nil},
		{Target{Name: "good.test", Port: port}, nil},
		{Target{Name: "mixed.test", Port: port}, nil},
		{Target{Name: "second.test", Port: port}, nil},
		{Target{Addr: other, Port: port}, ErrForbidden},
		{Target{Name: "127.0.0.2", Port: port}, ErrForbidden},
		{Target{Name: "private.test", Port: port}, ErrForbidden},
		{Target{Addr: loopback, Port: 25}, ErrForbidden},
		{Target{Port: port}, ErrForbidden},
		{Target{Name: "down.test", Port: port}, ErrUnreachable},
		{Target{Name: "empty.test", Port: port}, ErrUnresolved},
		{Target{Name: "missing.test", Port: port}, ErrUnresolved},
	} {
		conn, err := e.DialTCP(t.Context(), c.to)
		if !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.to, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "test") || strings.Contains(err.Error(), "127.")) {
			t.Errorf("the error tells the target: %v", err)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.DialTCP(ctx, Target{Addr: loopback, Port: port}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled dial: %v", err)
	}
}

// The dialer itself refuses, whatever was resolved before it.
func TestDialerChecksTheAddressItConnectsTo(t *testing.T) {
	e := NewEgress(EgressConfig{})
	if conn, err := e.dialer.DialContext(t.Context(), "tcp", "127.0.0.1:443"); !errors.Is(err, ErrForbidden) {
		t.Errorf("dialled %v, %v", conn, err)
	}
}

func TestUDPChecksEveryPacket(t *testing.T) {
	e := NewEgress(EgressConfig{AllowTargets: prefixes("127.0.0.1/32")})
	conn, err := e.ListenUDP()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteTo([]byte("x"), netip.MustParseAddrPort("127.0.0.1:9")); err != nil {
		t.Errorf("allowed: %v", err)
	}
	if err := conn.WriteTo([]byte("x"), netip.MustParseAddrPort("127.0.0.2:9")); !errors.Is(err, ErrForbidden) {
		t.Errorf("private: %v", err)
	}
}

func BenchmarkGuard(b *testing.B) {
	g := guardOf(nil, "5.5.5.5")
	to := netip.MustParseAddrPort("9.9.9.9:443")
	for b.Loop() {
		_ = g.check(to)
	}
}
