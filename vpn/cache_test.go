package vpn

import (
	"sync"
	"testing"
	"time"
)

// fact is a cached value whose truth is a number.
type fact struct{ n int64 }

func TestCacheHoldsForASecond(t *testing.T) {
	now := time.Unix(1000, 0)
	epochs := new(userEpochs)
	c := newCache[int64, *fact](epochs, func() time.Time { return now })
	loads := 0
	get := func() int64 {
		f, err := c.get(7, func() (*fact, int64, error) { loads++; return &fact{n: int64(loads)}, 7, nil })
		if err != nil {
			t.Fatal(err)
		}
		return f.n
	}
	if first, second := get(), get(); first != 1 || second != 1 {
		t.Error("a second read within the second was loaded again")
	}
	now = now.Add(cacheTTL)
	if get() != 2 {
		t.Error("a value outlived its second")
	}
	epochs.bump(7)
	if get() != 3 {
		t.Error("a value outlived a change of its user")
	}
	epochs.bump(8)
	if get() != 3 {
		t.Error("another user's change dropped the value")
	}
	now = now.Add(-time.Hour) // the machine's clock is put right
	if get() != 4 {
		t.Error("a value from an hour ahead still holds")
	}
	if now = now.Add(cacheTTL / 2); get() != 4 {
		t.Error("what was read after that is not kept")
	}
}

func TestCacheNeverKeepsWhatChangedWhileItWasRead(t *testing.T) {
	now := time.Unix(1000, 0)
	epochs := new(userEpochs)
	c := newCache[int64, *fact](epochs, func() time.Time { return now })
	stale, err := c.get(7, func() (*fact, int64, error) {
		epochs.bump(7) // the change is committed after the read and before the value is kept
		return &fact{n: 1}, 7, nil
	})
	if err != nil || stale.n != 1 {
		t.Fatalf("got %v, %v", stale, err)
	}
	fresh, _ := c.get(7, func() (*fact, int64, error) { return &fact{n: 2}, 7, nil })
	if fresh.n != 2 {
		t.Error("a value read before a change was kept across it")
	}
}

// A reader that starts after a change was announced must never see what was before it.
func TestCacheNeverOutlivesTheTruth(t *testing.T) {
	epochs := new(userEpochs)
	c := newCache[int64, *fact](epochs, time.Now)
	var mu sync.Mutex
	truth, announced := int64(0), int64(0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5000 {
				mu.Lock()
				least := announced
				mu.Unlock()
				f, _ := c.get(7, func() (*fact, int64, error) {
					mu.Lock()
					defer mu.Unlock()
					return &fact{n: truth}, 7, nil
				})
				if f.n < least {
					t.Errorf("read %d after %d was announced", f.n, least)
					return
				}
			}
		})
	}
	for i := int64(1); i <= 2000; i++ {
		mu.Lock()
		truth = i
		mu.Unlock()
		epochs.bump(7)
		mu.Lock()
		announced = i
		mu.Unlock()
	}
	wg.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	now := time.Now()
	c := newCache[int64, *fact](new(userEpochs), func() time.Time { return now })
	kept := func() (total int) {
		for i := range c.shard {
			total += len(c.shard[i].entries) + len(c.shard[i].past)
		}
		return total
	}
	ask := func(n int) {
		for i := range int64(n) {
			_, _ = c.get(i, func() (*fact, int64, error) { return &fact{}, i, nil })
		}
	}
	ask(shards * shardMax() * 4)
	if total := kept(); total > 2*shards*shardMax() {
		t.Errorf("%d entries, bound is %d", total, 2*shards*shardMax())
	}
	// What was read once is gone after two turns, of as many as come to each shard.
	const few = shards * 20
	for range 2 {
		now = now.Add(cacheTTL)
		ask(few)
	}
	if total := kept(); total > 2*few {
		t.Errorf("%d entries are kept of %d that are asked for", total, few)
	}
}
