package dataplane

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
)

func TestOriginHidesAndGroups(t *testing.T) {
	o := NewOrigins()
	of := func(text string) Origin { return o.Of(netip.MustParseAddr(text)) }
	if of("192.0.2.1") != of("::ffff:192.0.2.1") || of("2001:db8::1") != of("2001:db8::ffff") {
		t.Error("one client has two origins")
	}
	if of("192.0.2.1") == of("192.0.2.2") || of("2001:db8::1") == of("2001:db8:0:1::1") {
		t.Error("two clients have one origin")
	}
	if NewOrigins().Of(netip.MustParseAddr("192.0.2.1")) == of("192.0.2.1") {
		t.Error("the hash has no key of its own")
	}
}

// One past either bound makes the oldest go, of the same origin where that is full.
func TestStrangersAreBounded(t *testing.T) {
	s := NewStrangers(4, 2)
	var gone []int
	enter := func(number int, origin Origin) *Stranger {
		return s.Enter(origin, func() { gone = append(gone, number) })
	}
	a := enter(1, 1)
	enter(2, 1)
	enter(3, 2)
	if enter(4, 1); !slices.Equal(gone, []int{1}) {
		t.Fatalf("one past an origin's bound: %v went, want the first", gone)
	}
	a.Leave() // has gone already
	five := enter(5, 3)
	if s.Len() != 4 {
		t.Fatalf("%d strangers, want 4", s.Len())
	}
	if enter(6, 4); !slices.Equal(gone, []int{1, 2}) || s.Len() != 4 {
		t.Fatalf("one past the total: %v went, want the oldest of all", gone)
	}
	five.Leave()
	five.Leave()
	if enter(7, 4); len(gone) != 2 || s.Len() != 4 {
		t.Errorf("a place that was left is not free: %v went, %d are there", gone, s.Len())
	}
	(*Stranger)(nil).Leave()

	alone := NewStrangers(1, 1)
	alone.Enter(1, func() { gone = nil })
	alone.Enter(1, func() { t.Error("the newest went") }).Leave()
	if gone != nil || alone.Len() != 0 || len(alone.byOrigin) != 0 {
		t.Errorf("bounds of one: %v, %d left, %d origins", gone, alone.Len(), len(alone.byOrigin))
	}
}

func TestStrangersComeAndGoAtOnce(t *testing.T) {
	s := NewStrangers(8, 3)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for range 200 {
				s.Enter(Origin(i%5), func() {}).Leave()
			}
		})
	}
	all.Wait()
	if s.Len() != 0 || len(s.byOrigin) != 0 {
		t.Errorf("%d strangers of %d origins are left", s.Len(), len(s.byOrigin))
	}
}
