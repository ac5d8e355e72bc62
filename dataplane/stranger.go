package dataplane

import (
	"container/list"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Origin stands for a client's address (of IPv6, its /64). It is a hash under a key of this process, so nothing that is kept
// can be read as an address.
type Origin uint64

// Origins makes Origins under one key.
type Origins struct{ seed maphash.Seed }

// NewOrigins takes a fresh key.
func NewOrigins() Origins { return Origins{maphash.MakeSeed()} }

// Of returns the origin of an address.
func (o Origins) Of(addr netip.Addr) Origin {
	addr = addr.Unmap()
	if addr.Is6() {
		if network, err := addr.WithZone("").Prefix(64); err == nil {
			addr = network.Addr()
		}
	}
	return Origin(maphash.Comparable(o.seed, addr))
}

// OfPeer returns the origin of a connection's other end.
func (o Origins) OfPeer(conn *net.TCPConn) Origin {
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return o.Of(addr.AddrPort().Addr())
	}
	return o.Of(netip.Addr{})
}

// Strangers bounds how many connections are open that have not shown a key, in all and from each origin. One too many
// makes the oldest go: a client with a key shows it within a round trip, so users get in beside a flood, also one from
// behind their own NAT. It serves for others, too, of which the oldest can best be spared.
type Strangers struct {
	total, perOrigin int

	mu       sync.Mutex
	all      list.List // of *Stranger, the oldest in front
	byOrigin map[Origin]*list.List
}

// NewStrangers returns the bounds, each at least 1.
func NewStrangers(total, perOrigin int) *Strangers {
	return &Strangers{total: total, perOrigin: perOrigin, byOrigin: make(map[Origin]*list.List)}
}

// Stranger is one connection that has not shown a key.
type Stranger struct {
	among       *Strangers
	origin      Origin
	evict       func()
	inAll, inOf *list.Element
	hasLeft     atomic.Bool
}

// Enter adds a connection; Leave must follow. evict ends it when it has to go: it is called at most once, from any
// goroutine, and must not block.
func (s *Strangers) Enter(origin Origin, evict func()) *Stranger {
	one := &Stranger{among: s, origin: origin, evict: evict}
	oldest := s.add(one)
	if oldest != nil {
		oldest.evict()
	}
	return one
}

// add adds one and returns who has to go for it, or nil.
func (s *Strangers) add(one *Stranger) (oldest *Stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.byOrigin[one.origin]
	switch {
	case own != nil && own.Len() >= s.perOrigin:
		oldest = own.Front().Value.(*Stranger)
	case s.all.Len() >= s.total:
		oldest = s.all.Front().Value.(*Stranger)
	}
	if oldest != nil {
		s.remove(oldest)
	}
	if own = s.byOrigin[one.origin]; own == nil {
		own = list.New()
		s.byOrigin[one.origin] = own
	}
	one.inAll, one.inOf = s.all.PushBack(one), own.PushBack(one)
	return oldest
}

// remove takes one out; the caller holds the lock.
func (s *Strangers) remove(one *Stranger) {
	one.hasLeft.Store(true)
	s.all.Remove(one.inAll)
	own := s.byOrigin[one.origin]
	if own.Remove(one.inOf); own.Len() == 0 {
		delete(s.byOrigin, one.origin)
	}
}

// Leave takes the connection out: it has ended, or shown a key. It may be called again, and on nil.
func (one *Stranger) Leave() {
	if one == nil || one.hasLeft.Load() {
		return
	}
	one.among.mu.Lock()
	defer one.among.mu.Unlock()
	if !one.hasLeft.Load() {
		one.among.remove(one)
	}
}

// Len is how many there are.
func (s *Strangers) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Len()
}
