package vpn

import (
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// cacheTTL is how long a change made by another process on the same database may go unseen.
	cacheTTL = time.Second
	shards   = 64
	stripes  = 4096
)

// shardMax returns what bounds a cache: shards × 2 × shardMax entries, of some 1.5 kB with what they hold. More users than half of that
// cannot be served twice within a second by so many processors; keeping those who come once would cost memory for nothing.
func shardMax() int { return 32 * runtime.GOMAXPROCS(0) }

// userEpochs counts local changes of users, so that what was read before a change is never used after it. Users share
// a counter with others: a collision costs one more read.
type userEpochs struct {
	total    atomic.Uint64
	stripe   [stripes]atomic.Uint64
	watchers watchers
}

// bump is called after a change of a user's state was committed. The total rises first: see cache.get.
func (u *userEpochs) bump(userID int64) {
	u.total.Add(1)
	u.stripe[uint64(userID)%stripes].Add(1)
	u.watchers.tell(userID)
}

// bumpAll is bump for all users; nobody who watches one is told.
func (u *userEpochs) bumpAll() {
	u.total.Add(1)
	for i := range u.stripe {
		u.stripe[i].Add(1)
	}
}

// of returns a user's epoch.
func (u *userEpochs) of(userID int64) uint64 { return u.stripe[uint64(userID)%stripes].Load() }

// cache keeps what was read of a user for at most cacheTTL, and never across a local change of that user.
type cache[K comparable, V any] struct {
	epochs *userEpochs
	now    func() time.Time
	seed   maphash.Seed
	max    int // entries of a generation of a shard
	shard  [shards]cacheShard[K, V]
}

// cacheShard has what was put since a moment, and what was put before: nothing of that holds longer than until the next such
// moment, so that what was read once does not stay.
type cacheShard[K comparable, V any] struct {
	mu            sync.Mutex
	entries, past map[K]cacheEntry[V]
	turnsAt       time.Time
}

// find returns what is kept under a key.
func (s *cacheShard[K, V]) find(key K) (e cacheEntry[V], ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok = s.entries[key]; !ok {
		e, ok = s.past[key]
	}
	return e, ok
}

type cacheEntry[V any] struct {
	value  V
	userID int64
	epoch  uint64
	until  time.Time
}

func newCache[K comparable, V any](epochs *userEpochs, now func() time.Time) *cache[K, V] {
	return &cache[K, V]{epochs: epochs, now: now, seed: maphash.MakeSeed(), max: shardMax()}
}

// get returns the value under a key, read by load (which also names its user) when there is none that still holds.
func (c *cache[K, V]) get(key K, load func() (V, int64, error)) (V, error) {
	shard := c.shardOf(key)
	now := c.now()
	e, ok := shard.find(key)
	// A clock that is put back must not make what was read ahead hold longer.
	if left := e.until.Sub(now); ok && left > 0 && left <= cacheTTL && c.epochs.of(e.userID) == e.epoch {
		return e.value, nil
	}
	began := c.begin(now)
	v, userID, err := load()
	if err != nil {
		return v, err
	}
	c.put(key, v, userID, began)
	return v, nil
}

func (c *cache[K, V]) shardOf(key K) *cacheShard[K, V] {
	return &c.shard[maphash.Comparable(c.seed, key)%shards]
}

// beginning is the moment before something was read.
type beginning struct {
	at    time.Time
	total uint64
}

// begin notes the moment before something is read that may be put.
func (c *cache[K, V]) begin(now time.Time) beginning { return beginning{now, c.epochs.total.Load()} }

// put keeps what was read of a user since the beginning, unless somebody changed meanwhile, perhaps this user: then it is
// true enough to answer with, not to keep.
func (c *cache[K, V]) put(key K, v V, userID int64, began beginning) {
	epoch := c.epochs.of(userID)
	if c.epochs.total.Load() != began.total {
		return
	}
	shard := c.shardOf(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if !began.at.Before(shard.turnsAt) || len(shard.entries) >= c.max {
		shard.past, shard.entries, shard.turnsAt = shard.entries, make(map[K]cacheEntry[V]), began.at.Add(cacheTTL)
	}
	shard.entries[key] = cacheEntry[V]{value: v, userID: userID, epoch: epoch, until: began.at.Add(cacheTTL)}
}
