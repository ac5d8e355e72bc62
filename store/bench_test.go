package store_test

import (
	"context"
	"encoding/binary"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/accesskey"
	"stile/store"
	"stile/vpn"
)

// callers is the number of parallel callers, as many as a load generator's connections.
const callers = 64

// crowd is a store with many users of one device each, made in bulk.
type crowd struct {
	*store.Store
	users   int // ids 1 to users; device and token ids are the same
	servers []int64
	issued  atomic.Int64
}

// sizes are 1,000, and 1,000,000 when STILE_BENCH_LARGE is set: those take a minute to make.
func sizes() []int {
	if os.Getenv("STILE_BENCH_LARGE") != "" {
		return []int{1_000, 1_000_000}
	}
	return []int{1_000}
}

func tokenOf(user int64) (h vpn.TokenHash) {
	// Spread as hashes are.
	binary.BigEndian.PutUint64(h[:], uint64(user)*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(h[8:], uint64(user))
	return h
}

// gather fills a database with users and gives each a key on the first of ten servers.
func gather(b *testing.B, dsn string, users int) *crowd {
	b.Helper()
	c := &crowd{users: users}
	ok(b, open(b, dsn).Close())
	db := raw(b, dsn)
	tx, err := db.Begin()
	ok(b, err)
	account, err := tx.Prepare(`INSERT INTO account (name, email, search_text, password_hash, email_verified_at, status, role, locale, devices,
		created_at, updated_at) VALUES ($1, $1, $1, 'x', 0, 'active', '', 'ru', 1, 1, 1)`)
	ok(b, err)
	device, err := tx.Prepare(`INSERT INTO device (user_id, client_id, name, platform, last_seen_day, created_at) VALUES ($1, 'c', 'Pixel 8', 'android', 1, 1)`)
	ok(b, err)
	token, err := tx.Prepare(`INSERT INTO token (user_id, device_id, hash, name, last_used_day, created_at, expires_at) VALUES ($1, $1, $2, 'x', 1, 1, 0)`)
	ok(b, err)
	for id := int64(1); id <= int64(users); id++ {
		_, err = account.Exec("user" + strconv.FormatInt(id, 10) + "@example.com")
		ok(b, err)
		_, err = device.Exec(id)
		ok(b, err)
		hash := tokenOf(id)
		_, err = token.Exec(id, hash[:])
		ok(b, err)
	}
	ok(b, tx.Commit())
	c.Store = open(b, dsn)
	b.Cleanup(func() { ok(b, c.Close()) })
	for i := range 10 {
		server, err := c.AddServer(b.Context(), vpn.Server{Name: strconv.Itoa(i)}, vpn.Audit{})
		ok(b, err)
		c.servers = append(c.servers, server.ID)
	}
	c.crowd(b, users, func(i int) error { return c.issue(b.Context(), i, c.servers[0]) })
	return c
}

// crowd spreads n calls over the callers.
func (c *crowd) crowd(b *testing.B, n int, call func(i int) error) {
	var next atomic.Int64
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := call(int(i) - 1); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
}

// issue asks for the key of a user's device, with a seed of its own.
func (c *crowd) issue(ctx context.Context, user int, server int64) error {
	var seed accesskey.Seed
	binary.BigEndian.PutUint64(seed[:], uint64(c.issued.Add(1)))
	id := int64(user%c.users) + 1
	_, err := c.IssueKey(ctx, vpn.NewKey{UserID: id, DeviceID: id, ServerID: server, Seed: seed}, vpn.Audit{ActorID: id, Action: "key.issue"})
	return err
}

// onCrowds runs a benchmark on both engines with each size.
func onCrowds(b *testing.B, run func(b *testing.B, c *crowd)) {
	for _, engine := range engines {
		for _, users := range sizes() {
			b.Run(engine.name+"/"+strconv.Itoa(users), func(b *testing.B) {
				c := gather(b, engine.dsn(b), users)
				b.ReportAllocs()
				b.ResetTimer()
				run(b, c)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			})
		}
	}
}

// BenchmarkSession looks tokens up, each time another: no cache is before the database.
func BenchmarkSession(b *testing.B) {
	onCrowds(b, func(b *testing.B, c *crowd) {
		ctx, cancel := context.WithCancel(b.Context()) // as a request's
		defer cancel()
		c.crowd(b, b.N, func(i int) error {
			_, err := c.Session(ctx, tokenOf(int64(i*7919%c.users)+1))
			return err
		})
	})
}

// BenchmarkIssueNew makes keys: every call a durable one, by rotation once every device has one on every server.
func BenchmarkIssueNew(b *testing.B) {
	onCrowds(b, func(b *testing.B, c *crowd) {
		made := 0
		for n := 0; n < b.N; {
			server := c.servers[1+made%9]
			made++
			todo := min(b.N-n, c.users)
			c.crowd(b, todo, func(i int) error { return c.issue(b.Context(), i, server) })
			n += todo
			if made%9 == 0 {
				b.StopTimer()
				c.clear(b)
				b.StartTimer()
			}
		}
	})
}

// clear makes room for new keys on all servers but the first.
func (c *crowd) clear(b *testing.B) {
	b.Helper()
	for i, server := range c.servers[1:] {
		_, err := c.RemoveServer(b.Context(), server, vpn.Audit{})
		ok(b, err)
		again, err := c.AddServer(b.Context(), vpn.Server{Name: strconv.Itoa(i + 1)}, vpn.Audit{})
		ok(b, err)
		c.servers[i+1] = again.ID
	}
}

// BenchmarkIssueExisting asks for keys that there are.
func BenchmarkIssueExisting(b *testing.B) {
	onCrowds(b, func(b *testing.B, c *crowd) {
		c.crowd(b, b.N, func(i int) error { return c.issue(b.Context(), i*7919, c.servers[0]) })
	})
}

// BenchmarkApplyUsage books reports of 1,000 keys; a call is one entry.
func BenchmarkApplyUsage(b *testing.B) {
	onCrowds(b, func(b *testing.B, c *crowd) {
		var keys []int64
		_, err := c.NodeSnapshot(b.Context(), c.servers[0], func(k vpn.NodeKey) error {
			keys = append(keys, k.ID)
			return nil
		})
		ok(b, err)
		day := time.Now()
		b.ResetTimer()
		for seq := uint64(1); int(seq-1)*1000 < b.N; seq++ {
			r := vpn.UsageReport{NodeID: c.servers[0], Stream: 1, Seq: seq}
			for i := range 1000 {
				r.Entries = append(r.Entries, vpn.UsageEntry{KeyID: keys[(int(seq)*104_729+i*7919)%len(keys)], Up: 1, Down: 10})
			}
			_, _, _, err := c.Store.ApplyUsage(b.Context(), r, day)
			ok(b, err)
		}
	})
}
