package vpn_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
)

// BenchmarkJob extends the subscriptions of 10,000 accounts (100,000 with STILE_BENCH_LARGE) while one device asks for its servers and an operator blocks and
// unblocks a user, as fast as they are answered: how many accounts a second, and how long the others wait meanwhile, as ratios
// to how long they wait beside no job.
func BenchmarkJob(b *testing.B) {
	accounts := 10_000
	if os.Getenv("STILE_BENCH_LARGE") != "" {
		accounts = 100_000
	}
	for _, engine := range []struct {
		name string
		dsn  func() string
	}{
		{"SQLite", func() string { return filepath.Join(b.TempDir(), "stile.db") }},
		{"PostgreSQL", func() string { return storetest.Postgres(b) }},
	} {
		b.Run(engine.name, func(b *testing.B) {
			ctx := b.Context()
			st, err := store.Open(ctx, store.Config{DSN: engine.dsn()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = st.Close() })
			s := vpn.NewService(st, &nodes{}, plainPasswords{}, vpn.Config{})
			plan, err := s.AddPlan(ctx, shell, vpn.Plan{Code: "standard", Name: vpn.Text{EN: "Standard"}, PeriodDays: 30, DeviceLimit: 5})
			if err != nil {
				b.Fatal(err)
			}
			for id := int64(1); id <= int64(accounts); id += 250 {
				users := make([]vpn.ImportedUser, 250)
				for i := range users {
					users[i] = vpn.ImportedUser{ID: id + int64(i), Email: "user" + strconv.FormatInt(id+int64(i), 10) + "@example.com", CreatedAt: time.Now(), UpdatedAt: time.Now()}
				}
				if _, err := st.ImportUsers(ctx, users, false, vpn.Audit{Action: "user.import"}); err != nil {
					b.Fatal(err)
				}
			}
			for last, isMore := int64(0), true; isMore; isMore = last > 0 {
				if _, last, err = st.SubscribeImported(ctx, vpn.Subscription{PlanID: plan.ID, StartsAt: time.Now(), ExpiresAt: time.Now().AddDate(0, 1, 0)}, last, vpn.Audit{Action: "subscription.import"}); err != nil {
					b.Fatal(err)
				}
			}
			victim, err := s.AddUser(ctx, shell, vpn.NewAccount{Email: "victim@example.com", Password: "password123"})
			if err != nil {
				b.Fatal(err)
			}
			wait := func(until func() bool) (read, write time.Duration) {
				var reads, writes []time.Duration
				for i := 0; !until(); i++ {
					began := time.Now()
					if _, err := s.Overview(ctx, &vpn.Actor{User: victim}); err != nil {
						b.Fatal(err)
					}
					reads = append(reads, time.Since(began))
					began = time.Now()
					if err := s.SetUserStatus(ctx, shell, victim.ID, []vpn.UserStatus{vpn.UserBlocked, vpn.UserActive}[i%2]); err != nil {
						b.Fatal(err)
					}
					writes = append(writes, time.Since(began))
				}
				slices.Sort(reads)
				slices.Sort(writes)
				return reads[len(reads)*99/100], writes[len(writes)*99/100]
			}
			begun := time.Now()
			quietRead, quietWrite := wait(func() bool { return time.Since(begun) > 3*time.Second })
			for b.Loop() {
				j, err := s.StartJob(ctx, shell, vpn.Bulk{Action: vpn.BulkExtend, Days: 1}, &vpn.UserFilter{Search: "user"})
				if err != nil {
					b.Fatal(err)
				}
				began, done := time.Now(), make(chan error, 1)
				go func() { done <- s.WorkOff(ctx, 1) }()
				isOver := false
				read, write := wait(func() bool {
					select {
					case err = <-done:
						isOver = true
					default:
					}
					return isOver
				})
				if j, err := s.Job(ctx, shell, j.ID); err != nil || j.Done != int64(accounts) {
					b.Fatalf("%+v, %v", j, err)
				}
				b.ReportMetric(float64(accounts)/time.Since(began).Seconds(), "accounts/s")
				b.ReportMetric(float64(read)/float64(quietRead), "read-p99/quiet")
				b.ReportMetric(float64(write)/float64(quietWrite), "write-p99/quiet")
				b.Logf("read p99 %v beside %v, write p99 %v beside %v", read, quietRead, write, quietWrite)
			}
		})
	}
}
