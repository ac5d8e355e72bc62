package hub

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"stile/wire"
)

func TestAdmissionLetsNoMoreInThanItHasRoom(t *testing.T) {
	a := newAdmission(2)
	first, second := a.enter(), a.enter()
	if first == nil || second == nil || a.enter() != nil {
		t.Fatal("two may enter, a third may not")
	}
	first()
	first() // leaving twice makes no room for two
	if a.enter() == nil || a.enter() != nil {
		t.Error("one has left, so one may enter")
	}
}

func TestWhoeverIsTooManyIsAskedToComeBack(t *testing.T) {
	h, _, _ := start(t, newSet())
	l := &Listener{cfg: ListenerConfig{Hub: h}, hellos: newAdmission(0), joins: newAdmission(0)}
	seen := map[int]bool{}
	for range 20_000 {
		for name, call := range map[string]func(http.ResponseWriter, *http.Request){
			"join":   l.join,
			"stream": func(w http.ResponseWriter, r *http.Request) { l.stream(w, r, caller{id: 1}) },
			"poll":   func(w http.ResponseWriter, r *http.Request) { l.poll(w, r, caller{id: 1}) },
		} {
			w := httptest.NewRecorder()
			call(w, httptest.NewRequest(http.MethodPost, wire.PathStream, nil))
			after, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if w.Code != http.StatusTooManyRequests || err != nil || after < 1 || after > longestRetry {
				t.Fatalf("%s: %d, Retry-After %q", name, w.Code, w.Header().Get("Retry-After"))
			}
			seen[after] = true
		}
	}
	if len(seen) < longestRetry/2 {
		t.Errorf("they come back at the same times: %v", seen)
	}
}
