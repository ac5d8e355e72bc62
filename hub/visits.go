package hub

import (
	"net/http"
	"strconv"
	"sync"

	"stile/feed"
	"stile/wire"
)

// visitRate is how often a node may open a stream, or ask for what else takes a look at the database. One that dials
// again at once whenever its link breaks, or whose process is started again as often as it dies, asks less.
var visitRate = feed.Rate{Most: 60, Every: 2000}

// linksEach is how many links a node may have whose end was not noticed yet; all but the newest are about to end.
const linksEach = 8

// visits counts what nodes ask, by their certificates' keys: whoever was shut out takes nothing from who took its place. Operators
// made each of them.
type visits struct {
	mu sync.Mutex
	of map[caller]*feed.Bucket
}

func (v *visits) take(by caller, now int64) (wait int64, isNews bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.of[by]
	if b == nil {
		if v.of == nil {
			v.of = make(map[caller]*feed.Bucket)
		}
		b = new(feed.Bucket)
		v.of[by] = b
	}
	return b.Take(now, visitRate)
}

// mayVisit counts a visit, or has asked the node to come later.
func (l *Listener) mayVisit(w http.ResponseWriter, by caller) bool {
	wait, isNews := l.visits.take(by, l.cfg.Hub.millis())
	if isNews {
		l.cfg.Log.Warn("a node connects more often than nodes do and has to wait; it may be in foreign hands", "node", by.id)
	}
	if wait == 0 {
		return true
	}
	l.refuseUntil(w, int(min(longestRetry, 1+wait/1000)))
	return false
}

// refuseUntil asks a node to come back in so many seconds.
func (l *Listener) refuseUntil(w http.ResponseWriter, seconds int) {
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	l.refuse(w, http.StatusTooManyRequests, wire.NodeBusy)
}
