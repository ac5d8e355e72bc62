package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stile/wire"
)

func server(id int64, load int, score float64) wire.Server {
	return wire.Server{ID: id, Load: load, Score: score, Status: "online", Accessible: true}
}

func TestBestServer(t *testing.T) {
	locked, full := server(8, 0, 0), server(9, 0, 0)
	locked.Accessible = false
	full.Status = "full"
	ms := func(pings ...int) map[int64]time.Duration {
		m := make(map[int64]time.Duration)
		for i, ping := range pings {
			if ping > 0 {
				m[int64(i+1)] = time.Duration(ping) * time.Millisecond
			}
		}
		return m
	}
	for name, c := range map[string]struct {
		servers []wire.Server
		pings   map[int64]time.Duration
		want    int64
	}{
		"nearest":                  {[]wire.Server{server(1, 10, 1), server(2, 10, 1)}, ms(80, 20), 2},
		"far and idle beats full":  {[]wire.Server{server(1, 100, 1), server(2, 10, 1)}, ms(20, 80), 2},
		"half loaded stays near":   {[]wire.Server{server(1, 50, 1), server(2, 0, 1)}, ms(20, 60), 1},
		"silent ones last":         {[]wire.Server{server(1, 0, 0), server(2, 90, 9)}, ms(0, 300), 2},
		"no pings: by score":       {[]wire.Server{server(1, 0, 2), server(2, 0, 1)}, nil, 2},
		"locked and full are none": {[]wire.Server{locked, full, server(1, 90, 9)}, ms(500), 1},
	} {
		for _, chance := range []float64{0, 0.5, 0.999} {
			got, err := bestServer(c.servers, c.pings, func() float64 { return chance })
			if err != nil || got.ID != c.want {
				t.Errorf("%s: server %d, %v; want %d", name, got.ID, err, c.want)
			}
		}
	}
	for _, servers := range [][]wire.Server{nil, {locked, full}} {
		if _, err := BestServer(servers, ms(10)); !errors.Is(err, ErrNoServer) {
			t.Errorf("BestServer(%v) = %v, want ErrNoServer", servers, err)
		}
	}
}

// Servers within 10 % of each other share the clients; one that is further off gets none.
func TestBestServerSpreads(t *testing.T) {
	servers := []wire.Server{server(1, 0, 1), server(2, 0, 1), server(3, 0, 1)}
	pings := map[int64]time.Duration{1: 20 * time.Millisecond, 2: 20 * time.Millisecond, 3: 23 * time.Millisecond}
	chosen := map[int64]int{}
	for range 2000 {
		best, err := BestServer(servers, pings)
		if err != nil {
			t.Fatal(err)
		}
		chosen[best.ID]++
	}
	if chosen[1] < 800 || chosen[2] < 800 || chosen[3] != 0 {
		t.Errorf("of 2000 clients %v chose each server, want about half each of the first two and none the third", chosen)
	}
}

func TestPingTakesTheBestOfThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := pingThrough(t.Context(), &slow{200 * time.Millisecond, 30 * time.Millisecond, 40 * time.Millisecond}, "http://h")
		if err != nil || took != 30*time.Millisecond {
			t.Errorf("pingThrough = %v, %v; want the best", took, err)
		}
	})
	var tries, connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	server.Config.ConnState = countNew(&connections)
	server.Start()
	defer server.Close()
	took, err := Ping(timeout(t), server.URL)
	if err != nil || took <= 0 {
		t.Errorf("Ping = %v, %v", took, err)
	}
	if tries.Load() != 3 || connections.Load() != 1 {
		t.Errorf("%d requests on %d connections, want three on one", tries.Load(), connections.Load())
	}
}

// slow is a transport whose answers take a while each.
type slow []time.Duration

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	take := (*s)[0]
	*s = (*s)[1:]
	select {
	case <-time.After(take):
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func TestPingHasThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took, err := pingThrough(t.Context(), &slow{2 * time.Second, time.Second - 1, time.Second}, "http://h")
		if err != nil || took != time.Second-1 {
			t.Errorf("two answers in time, one not: %v, %v; want the better of the two", took, err)
		}
		if took, err = pingThrough(t.Context(), &slow{pingLimit + 1}, "http://h"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a first answer past the limit: %v, %v", took, err)
		}
	})
}

func TestPingSaysWhatIsWrong(t *testing.T) {
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, address := range []string{broken.URL, gone.URL, "", "://", "ftp://h/"} {
		if took, err := Ping(timeout(t), address); err == nil {
			t.Errorf("Ping(%q) = %v, want an error", address, took)
		}
	}
}

func TestPingsAtOnceAreBounded(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		if r.URL.Path == "/7" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer api.Close()
	var servers []wire.Server
	for id := range int64(40) {
		s := server(id, 0, 0)
		s.APIURL = api.URL
		if id == 7 {
			s.APIURL += "/7"
		}
		servers = append(servers, s)
	}
	pings := PingAll(timeout(t), servers)
	if _, there := pings[7]; there || len(pings) != 39 {
		t.Errorf("%d of 40 servers have a ping, the broken one among them: %v", len(pings), there)
	}
	if most > pingsAtOnce || most < 2 {
		t.Errorf("%d pings ran at once, want at most %d", most, pingsAtOnce)
	}
}

func countNew(n *atomic.Int64) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
}
