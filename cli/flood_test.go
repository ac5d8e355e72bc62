package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Sign-ins flood in at 2,000 a second: memory stays bounded and other routes answer. `make soak` sets 20 seconds.
func TestSignInFlood(t *testing.T) {
	const perSecond = 2000
	length := 4 * time.Second
	if text := os.Getenv("STILE_TEST_FLOOD"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	// A limit so high that every try reaches the hasher: the worst case.
	m := newMachine(t, "", "--sign-in-failures", "1000000")
	m.addUser("user@example.com")
	d := m.signIn("user@example.com", "laptop")
	before := m.residentBytes()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	tries := make(chan int)
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	defer transport.CloseIdleConnections()
	statuses := make(map[int]int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for n := range tries {
				body := fmt.Sprintf(`{"email":"user%d@example.com","password":"wrong password","device_id":"d","device_name":"n"}`, n)
				req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, m.url+"/api/login", bytes.NewReader([]byte(body)))
				req.Header.Set("Content-Type", "application/json")
				status := 0
				if resp, err := (&http.Client{Transport: transport}).Do(req); err == nil {
					status = resp.StatusCode
					_ = resp.Body.Close()
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
			}
		})
	}
	var peak int64
	var waits []time.Duration
	var watch sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			start := time.Now()
			if status := d.get("/api/user", nil); status != http.StatusOK {
				t.Errorf("/api/user answers %d in the flood", status)
			}
			waits = append(waits, time.Since(start))
			peak = max(peak, m.residentBytes())
			time.Sleep(10 * time.Millisecond)
		}
	})
	sent := 0
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
flood:
	for {
		select {
		case <-ctx.Done():
			break flood
		case <-tick.C:
			select {
			case tries <- sent:
				sent++
			case <-ctx.Done():
			}
		}
	}
	close(tries)
	wg.Wait()
	watch.Wait()
	slices.Sort(waits)
	grown := peak - before
	t.Logf("%d tries in %v: %v; resident memory grew by %d MiB; /api/user p50 %v p99 %v", sent, length, statuses, grown>>20,
		waits[len(waits)/2], waits[len(waits)*99/100])
	if grown > 64<<20 {
		t.Errorf("resident memory grew by %d MiB", grown>>20)
	}
	for status := range statuses {
		if status != http.StatusUnauthorized && status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
			t.Errorf("%d tries were answered with %d", statuses[status], status)
		}
	}
}

// residentBytes is the memory that the process holds.
func (m *machine) residentBytes() int64 {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(m.process.Process.Pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw))
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
