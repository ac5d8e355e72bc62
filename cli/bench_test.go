package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"stile/client"
)

// BenchmarkRevocation signs a device out in the middle of a download and takes the time from the API's answer to the
// download's last byte; 0 when the download ended first.
func BenchmarkRevocation(b *testing.B) {
	m := newMachine(b, "", "--sign-in-failures", "1000000")
	site := endless(b)
	const users = 20 // the key throttle counts per user
	for i := range users {
		m.addUser(fmt.Sprintf("user%d@example.com", i))
	}
	var late []time.Duration
	for i := 0; b.Loop(); i++ {
		d := m.signIn(fmt.Sprintf("user%d@example.com", i%users), "laptop")
		running := startDownload(b, d.key().Key, site.URL)
		if !running.flows() {
			b.Fatal("nothing flows")
		}
		ended := make(chan time.Time, 1)
		go func() {
			<-running.ended
			ended <- time.Now()
		}()
		if status := d.post("/api/logout", nil, nil); status != http.StatusOK {
			b.Fatalf("logout: %d", status)
		}
		answered := time.Now()
		late = append(late, max(0, (<-ended).Sub(answered)))
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(late[len(late)-1].Microseconds())/1000, "max-ms")
}

// BenchmarkKeyReady issues keys whose answer says ready and uses each at once: every one must carry traffic.
func BenchmarkKeyReady(b *testing.B) {
	m := newMachine(b, "")
	site := endless(b)
	const users = 20
	devices := make([]*device, users)
	for i := range devices {
		m.addUser(fmt.Sprintf("user%d@example.com", i))
		devices[i] = m.signIn(fmt.Sprintf("user%d@example.com", i), "laptop")
	}
	server := devices[0].key().ServerID
	for i := 0; b.Loop(); i++ {
		key := devices[i%users].rotated(server)
		tunnel, err := client.NewTunnel(key.Key)
		if err != nil {
			b.Fatal(err)
		}
		transport := &http.Transport{DialContext: tunnel.DialContext, DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(site.URL)
		if err != nil {
			b.Fatalf("a ready key carries nothing: %v", err)
		}
		_ = resp.Body.Close()
	}
}

// BenchmarkSignIn signs devices in over HTTP, from eight clients at once, and compares the rate with that of the bare
// hash on as many cores as the hasher uses, one run before and one after.
func BenchmarkSignIn(b *testing.B) {
	m := newMachine(b, "", "--sign-in-failures", "1000000")
	m.addUser("user@example.com")
	m.signIn("user@example.com", "warm")
	bare := bareHash()
	var next atomic.Int64
	start := time.Now()
	b.SetParallelism(8 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.signIn("user@example.com", fmt.Sprintf("device-%d", next.Add(1)%900))
		}
	})
	each := time.Since(start) / time.Duration(b.N)
	bare = (bare + bareHash()) / 2
	b.ReportMetric(float64(bare)/float64(each), "of-bare-hash")
}

// bareHash is how long one argon2id hash of the service's cost takes when cores − 1 of them run at once.
func bareHash() time.Duration {
	const rounds = 20
	workers := max(1, runtime.GOMAXPROCS(0)-1)
	start := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				argon2.IDKey([]byte("password123"), []byte("0123456789abcdef"), 2, 19*1024, 1, 32)
			}
		})
	}
	wg.Wait()
	return time.Since(start) / time.Duration(rounds*workers)
}

// BenchmarkActive has b.N imported users ask a service for a key, which makes it, then who they are, and then for the servers, as fast
// as it answers; it reports the memory that the service holds at the most, its embedded node and all keys on it included.
func BenchmarkActive(b *testing.B) {
	path := filepath.Join(b.TempDir(), "dump.sql")
	writeDump(b, path, b.N)
	m := &machine{t: b, data: b.TempDir(), log: new(lockedBuffer)}
	m.stile("plan", "add", "standard", "--tier", "1")
	m.stile("import", "laravel", "--from", path, "--plan", "standard", "--apply")
	m.start()
	idle, most := m.residentBytes(), int64(0)
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			most = max(most, m.residentBytes())
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
	}()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	caller := &http.Client{Transport: transport, Timeout: time.Minute}
	for _, call := range []struct{ method, path, body string }{
		{http.MethodPost, "/api/key", `{"server_id":1,"device_id":"phone"}`},
		{http.MethodGet, "/api/user", ""},
		{http.MethodPost, "/api/servers", `{"device_id":"phone"}`},
	} {
		var next atomic.Int64
		var callers sync.WaitGroup
		for range 64 {
			callers.Go(func() {
				for user := int(next.Add(1)); user <= b.N && !b.Failed(); user = int(next.Add(1)) {
					req, _ := http.NewRequestWithContext(b.Context(), call.method, m.url+call.path, strings.NewReader(call.body))
					req.Header.Set("Authorization", fmt.Sprintf("Bearer %d|%s", user, dumpedSecret(user)))
					req.Header.Set("Content-Type", "application/json")
					resp, err := caller.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
						b.Errorf("%s %s: %d", call.method, call.path, resp.StatusCode)
					}
				}
			})
		}
		callers.Wait()
	}
	close(ended)
	<-watched
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(idle)/1e6, "MB-idle")
	b.ReportMetric(float64(most)/1e6, "MB-most")
}
