package hub

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"stile/wire"
)

func TestAdmissionLetsNoMoreInThanItHasRoom(t *testing.T) {
	a := newAdmission(2, 0)
	first, second := a.enter(t.Context()), a.enter(t.Context())
	if first == nil || second == nil || a.enter(t.Context()) != nil {
		t.Fatal("two may enter, a third may not")
	}
	first()
	first() // leaving twice makes no room for two
	if a.enter(t.Context()) == nil || a.enter(t.Context()) != nil {
		t.Error("one has left, so one may enter")
	}
}

func TestNodesWaitForAWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(1, helloPatience)
		leave := a.enter(t.Context())
		waited := make(chan func())
		go func() { waited <- a.enter(t.Context()) }()
		time.Sleep(helloPatience - time.Second)
		leave()
		second := <-waited
		if second == nil {
			t.Fatal("sent away although there was room in time")
		}
		began := time.Now()
		if a.enter(t.Context()) != nil || time.Since(began) != helloPatience {
			t.Errorf("let in, or sent away after %v", time.Since(began))
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if a.enter(gone) != nil {
			t.Error("whoever has left is let in")
		}
		second()
		if a.enter(t.Context()) == nil {
			t.Error("there is room, and nobody is let in")
		}
	})
}

func TestWhoeverIsTooManyIsAskedToComeBack(t *testing.T) {
	h, _, _ := start(t, newSet())
	l := &Listener{cfg: ListenerConfig{Hub: h, Log: slog.New(slog.DiscardHandler)}, hellos: newAdmission(0, 0), joins: newAdmission(0, 0)}
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
