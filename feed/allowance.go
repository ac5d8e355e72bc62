package feed

import "fmt"

// Allowance is the work beyond that of changes which one node may cause. Who asks for more waits, so that a node in foreign
// hands keeps neither the database nor the other nodes busy. The zero Allowance is whole. It belongs to the node and outlives
// its streams.
type Allowance struct{ raises, sets, pages, servings Bucket }

// The rates of an Allowance. An honest node meets none of them: it asks for a set when its disk is new or was put back, is ahead
// of the database once for each restore, and says what it serves once for each configuration.
var (
	// raises are epochs that begin because of the node; then all nodes compare their sets.
	raises = Rate{Most: 4, Every: 6 * 3_600_000}
	// sets are readings of the whole set, or of rows that the node had already.
	sets = Rate{Most: 32, Every: 15_000}
	// pages are lists of revoked keys that it gives back, each a transaction.
	pages = Rate{Most: 1024, Every: 1000}
	// servings are changes of what it serves, each a transaction.
	servings = Rate{Most: 32, Every: 10_000}
)

// Rate is how often something may happen: Most times at once, and then once in Every milliseconds.
type Rate struct {
	Most  int
	Every int64
}

// Bucket counts what happens against a Rate. The zero Bucket has counted nothing.
type Bucket struct {
	until  int64 // when all of it is forgotten
	isTold bool  // since it was empty
}

// Take counts one more and returns 0, or in how many milliseconds there will be room for it. isNews: the first to wait since
// nothing was counted.
func (b *Bucket) Take(now int64, r Rate) (wait int64, isNews bool) {
	if b.until <= now {
		*b = Bucket{until: now}
	}
	if wait = b.until - now - int64(r.Most-1)*r.Every; wait > 0 {
		isNews, b.isTold = !b.isTold, true
		return wait, isNews
	}
	b.until += r.Every
	return 0, false
}

// spend takes from the node's allowance, and returns 0 or how long it must wait for that, which operators are told of once.
func (s *Server) spend(b *Bucket, r Rate, what string) (told []Effect, wait int64) {
	wait, isNews := b.Take(s.now, r)
	if isNews {
		told = append(told, Alarm{fmt.Sprintf("node %d %s more often than nodes do and has to wait; it may be in foreign hands", s.nodeID, what)})
	}
	return told, wait
}
