package courier_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/courier"
	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
)

// BenchmarkChanges measures changes that are events while a courier sends them to so many webhooks: as fast as 64 callers can
// make them, and a thousand a second, with how long one takes.
func BenchmarkChanges(b *testing.B) {
	engines := []struct {
		name string
		dsn  func(testing.TB) string
	}{
		{"SQLite", func(t testing.TB) string { return filepath.Join(t.TempDir(), "stile.db") }},
		{"PostgreSQL", storetest.Postgres},
	}
	for _, engine := range engines {
		for _, hooks := range []int{0, 1, 3} {
			name := engine.name + "/webhooks=" + string(rune('0'+hooks))
			b.Run(name+"/full", func(b *testing.B) { benchChanges(b, engine.dsn(b), hooks, 0) })
			b.Run(name+"/paced", func(b *testing.B) { benchChanges(b, engine.dsn(b), hooks, time.Millisecond) })
		}
	}
}

func benchChanges(b *testing.B, dsn string, hooks int, pause time.Duration) {
	const callers = 64
	ctx, cancel := context.WithCancel(context.Background())
	s, err := store.Open(ctx, store.Config{DSN: dsn, Secret: [32]byte{7}})
	ok(b, err)
	service := vpn.NewService(s, awayNodes{}, plainPasswords{}, vpn.Config{})
	c, err := courier.New(courier.Config{Store: s, Event: service.Event, Settings: service.Settings, Log: slog.New(slog.DiscardHandler)})
	ok(b, err)
	var arrived atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	for range hooks {
		_, _, err := service.AddWebhook(ctx, shell, receiver.URL, []string{"user.blocked"})
		ok(b, err)
	}
	users := make([]int64, callers)
	for i := range users {
		u, err := s.AddUser(ctx, vpn.NewUser{Email: string(rune('a'+i)) + "@example.com"}, vpn.Audit{Action: "user.add"})
		ok(b, err)
		users[i] = u.ID
	}
	running := make(chan error, 1)
	go func() { running <- c.Run(ctx) }()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var working sync.WaitGroup
	began := time.Now()
	b.ResetTimer()
	for i := range callers {
		working.Go(func() {
			for n := next.Add(1) - 1; n < int64(b.N); n = next.Add(1) - 1 {
				if pause > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(n) * pause)))
				}
				at := time.Now()
				if err := s.SetUserStatus(ctx, users[i], vpn.UserBlocked, vpn.Audit{Action: "user.blocked", SubjectID: users[i]}); err != nil {
					b.Error(err)
				}
				took[n] = time.Since(at)
			}
		})
	}
	working.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
	until(b, "all arrive", func() bool { return arrived.Load() >= int64(hooks*b.N) })
	b.ReportMetric(float64(hooks*b.N)/time.Since(began).Seconds(), "delivered/s")
	cancel()
	ok(b, <-running)
	receiver.Close()
	ok(b, s.Close())
}
