package hub

import (
	"math/rand/v2"
	"net/http"
	"strconv"

	"stile/wire"
)

const (
	// hellosAtOnce is how many nodes may be between the opening of their stream and the welcome. Each costs reads, and a
	// part of them a whole set.
	hellosAtOnce = 256
	// joinsAtOnce is how many redemptions may be under way; whoever wants may ask for one.
	joinsAtOnce = 16
	// longestRetry is the most seconds that a node is asked to wait.
	longestRetry = 15
)

// admission lets so many in at once, and asks the others to come back at a random time.
type admission struct{ slots chan struct{} }

func newAdmission(n int) *admission { return &admission{slots: make(chan struct{}, n)} }

// enter returns the way out, to be called once or more, or nil when there is no room.
func (a *admission) enter() (leave func()) {
	select {
	case a.slots <- struct{}{}:
	default:
		return nil
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

// refuseBusy asks a node to come back.
func (l *Listener) refuseBusy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(1+rand.IntN(longestRetry))) //nolint:gosec // to spread nodes, not to hide anything
	l.refuse(w, http.StatusTooManyRequests, wire.NodeBusy)
}
