package vpn

import "testing"

// A watcher hears of its own user, once for many changes, and of nothing after it stopped.
func TestWatch(t *testing.T) {
	epochs := new(userEpochs)
	s := &Service{actors: newCache[TokenHash, *Actor](epochs, nil)}
	heard := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	first, stopFirst := s.Watch(7)
	second, stopSecond := s.Watch(7)
	other, stopOther := s.Watch(7 + stripes) // shares the counter of 7
	defer stopOther()
	epochs.bump(7)
	epochs.bump(7)
	if !heard(first) || heard(first) || !heard(second) || heard(other) {
		t.Error("a change of user 7 is one value for each that watches 7, and nothing for others")
	}
	stopFirst()
	stopFirst() // as often as one likes
	epochs.bump(7)
	if heard(first) || !heard(second) {
		t.Error("who stopped still hears, or the other no longer")
	}
	stopSecond()
	if w := &epochs.watchers; w.count.Load() != 1 || len(w.of) != 1 {
		t.Errorf("%d watchers of %d users are left", w.count.Load(), len(w.of))
	}
}
