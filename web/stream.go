package web

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"stile/vpn"
)

const (
	// streamBeat is how often a stream asks whether its session still holds, so that the end of one by another replica is
	// seen within a second, as everywhere. What this process changes is seen at once.
	streamBeat = time.Second
	// streamIdle is how long nothing is sent at most: proxies cut what is silent.
	streamIdle = 15 * time.Second
	// streamPatience is how long a browser may take to read what is sent.
	streamPatience = 10 * time.Second
	// Browsers come back this long after a stream was cut, not all at the same time.
	shortestRetry, longestRetry = 1000, 6000 // ms
)

// liveServers tells a user how the servers are.
func (s *Site) liveServers(v *visit) error {
	return v.stream(func(*vpn.Actor) bool { return true }, func(f *frame) ([]byte, error) { return f.users, nil })
}

// liveFleet tells an operator how the nodes are.
func (s *Site) liveFleet(v *visit) error {
	return v.stream(func(a *vpn.Actor) bool { return operates(&a.User) }, func(f *frame) ([]byte, error) { return f.operators, nil })
}

// liveTraffic tells users their own traffic.
func (s *Site) liveTraffic(v *visit) error {
	var shown vpn.Traffic
	return v.stream(func(*vpn.Actor) bool { return true }, func(*frame) ([]byte, error) {
		t, err := s.service.Traffic(v.r.Context(), v.actor)
		if err != nil || t == shown {
			return nil, err
		}
		shown = t
		values, err := json.Marshal(map[string]any{"used": s.texts.size(v.lang, t.Used), "left": s.texts.size(v.lang, t.Left), "percent": percent(&t)})
		return fmt.Appendf(nil, "event: values\ndata: %s\n\n", values), err
	})
}

// percent is how much of the traffic is used, 0 to 100.
func percent(t *vpn.Traffic) int {
	if t.Limit == 0 {
		return 0
	}
	return int(min(100, float64(t.Used)/float64(t.Limit)*100))
}

// stream answers with server-sent events (HTML standard, section 9.2) until the browser goes, the session ends, who asks is
// not let any more, or the program stops. read turns a frame into an event, nil when there is nothing to tell.
func (v *visit) stream(mayLook func(*vpn.Actor) bool, read func(*frame) ([]byte, error)) error {
	changed, unwatch := v.site.service.Watch(v.actor.User.ID)
	defer unwatch()
	st := v.site.live.open(v.actor.User.ID)
	if st == nil {
		v.retryAfter(liveEvery)
		return fmt.Errorf("%w: %w", errTooMany, vpn.ErrUnavailable)
	}
	defer v.site.live.close(st)
	w := &eventWriter{w: v.w, control: http.NewResponseController(v.w)}
	w.begin()
	v.status, v.took = http.StatusOK, time.Since(v.startedAt)
	if v.r.Method == http.MethodHead {
		return nil
	}
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for w.err == nil {
		mustAsk := false
		select {
		case <-v.r.Context().Done():
			return nil
		case <-st.ended:
			if st.isOld {
				w.end()
			}
			return nil
		case f := <-st.frames:
			var event []byte
			if event, v.err = read(f); v.err != nil {
				return nil // the answer has begun: the error goes into the event of the request alone
			}
			w.send(event)
		case <-changed:
			mustAsk = true
		case <-beat.C:
			mustAsk = true
			w.keepAlive()
		}
		if mustAsk {
			actor, err := v.site.service.Browser(v.r.Context(), v.secret)
			switch {
			case err == nil && mayLook(actor):
				continue
			case err == nil || vpn.CodeOf(err) == vpn.CodeUnauthenticated:
				w.end()
			default:
				v.err = err // the browser comes back and asks again
			}
			return nil
		}
	}
	return nil // whoever looked is gone
}

// eventWriter writes events as they are: never compressed and never kept back.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sentAt  time.Time
	err     error
}

// begin sends the head. The server's own deadlines are for answers that end.
func (e *eventWriter) begin() {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	if e.err = e.control.SetReadDeadline(time.Time{}); e.err != nil {
		return
	}
	e.w.WriteHeader(http.StatusOK)
	retry := shortestRetry + rand.IntN(longestRetry-shortestRetry) //nolint:gosec // to spread browsers, not to hide anything
	e.send(fmt.Appendf(nil, "retry: %d\n\n", retry))
}

// send writes an event, unless it is empty or nobody reads any more.
func (e *eventWriter) send(event []byte) {
	if e.err != nil || len(event) == 0 {
		return
	}
	e.sentAt = time.Now()
	if e.err = e.control.SetWriteDeadline(e.sentAt.Add(streamPatience)); e.err == nil {
		if _, e.err = e.w.Write(event); e.err == nil {
			e.err = e.control.Flush()
		}
	}
}

// keepAlive sends a comment when nothing was sent for long.
func (e *eventWriter) keepAlive() {
	if time.Since(e.sentAt) >= streamIdle {
		e.send([]byte(":\n\n"))
	}
}

// end tells the page not to come back.
func (e *eventWriter) end() { e.send([]byte("event: end\ndata: 0\n\n")) }
