package hub

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// hellosAtOnce is how many nodes may be between the opening of their stream and the welcome. Each costs reads, and a
	// part of them a whole set; requests of users wait for the same readers.
	hellosAtOnce = 64
	// helloPatience is how long the others wait, which costs a connection each: much less than a node waits for an answer.
	helloPatience = 15 * time.Second
	// joinsAtOnce is how many redemptions may be under way; whoever wants may ask for one.
	joinsAtOnce = 16
	// retriesPerSecond is how many of those that were refused should come back in a second: fewer than are served.
	retriesPerSecond = 500
	// longestRetry is the most seconds that a node is asked to wait.
	longestRetry = 30
)

// admission lets so many in at once. Others wait for a while, as coming again costs both sides more; whoever has waited in
// vain is asked to come back at a random time, the later the more they are.
type admission struct {
	slots    chan struct{}
	patience time.Duration
	// refused counts those since there was room to spare.
	refused atomic.Int64
}

func newAdmission(n int, patience time.Duration) *admission {
	return &admission{slots: make(chan struct{}, n), patience: patience}
}

// enter returns the way out, to be called once or more, or nil when there is no room.
func (a *admission) enter(ctx context.Context) (leave func()) {
	if !a.wait(ctx) {
		a.refused.Add(1)
		return nil
	}
	if len(a.slots) <= cap(a.slots)/2 {
		a.refused.Store(0)
	}
	isIn := make(chan struct{}, 1)
	isIn <- struct{}{}
	return func() {
		select {
		case <-isIn:
			<-a.slots
		default:
		}
	}
}

// wait takes a place, and reports whether there was one in time.
func (a *admission) wait(ctx context.Context) bool {
	select {
	case a.slots <- struct{}{}:
		return true
	default:
	}
	if a.patience == 0 {
		return false
	}
	timer := time.NewTimer(a.patience)
	defer timer.Stop()
	select {
	case a.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// retryAfter is in how many seconds one that was refused should come back.
func (a *admission) retryAfter() int {
	longest := min(longestRetry, 2+int(a.refused.Load()/retriesPerSecond))
	return 1 + rand.IntN(longest) //nolint:gosec // to spread nodes, not to hide anything
}

// refuseBusy asks a node to come back.
func (l *Listener) refuseBusy(w http.ResponseWriter, a *admission) {
	l.refuseUntil(w, a.retryAfter())
}
