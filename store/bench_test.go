package store_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	// benchIssue is at this server, and so many devices have a key on it.
	next, taken int
}

// sizes are 1,000 users, and 1,000,000 too when STILE_BENCH_LARGE is set: those take minutes to make.
func sizes() []int {
	if os.Getenv("STILE_BENCH_LARGE") != "" {
		return []int{1_000, 1_000_000}
	}
	return []int{1_000}
}

// tokenOf is the hash of a user's token, spread as hashes are.
func tokenOf(user int64) (h vpn.TokenHash) {
	binary.BigEndian.PutUint64(h[:], uint64(user)*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(h[8:], uint64(user))
	return h
}

// gather fills a database with users and gives each a key on the first of ten servers.
func gather(b *testing.B, dsn string, users int) *crowd {
	b.Helper()
	c := &crowd{users: users}
	ok(b, open(b, dsn).Close())
	tx, err := raw(b, dsn).Begin()
	ok(b, err)
	bulk(b, tx, users, "account (name, email, search_text, password_hash, email_verified_at, status, role, locale, devices, created_at, updated_at)",
		"'Name', $%d, '', 'x', 0, 'active', '', 'ru', 1, 1, 1", func(id int64) any { return "user" + strconv.FormatInt(id, 10) + "@example.com" })
	bulk(b, tx, users, "device (user_id, client_id, name, platform, last_seen_day, created_at)",
		"$%d, 'c', 'Pixel 8', 'android', 1, 1", func(id int64) any { return id })
	bulk(b, tx, users, "token (hash, user_id, device_id, name, last_used_day, created_at, expires_at)",
		"$%d, id, id, 'x', 1, 1, 0", func(id int64) any { h := tokenOf(id); return h[:] })
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

// bulk inserts n rows: row has one parameter, which value gives for each id, and may name the id.
func bulk(b *testing.B, tx *sql.Tx, n int, into, row string, value func(id int64) any) {
	b.Helper()
	for first := 1; first <= n; first += 500 {
		var rows []string
		var args []any
		for id := first; id < first+500 && id <= n; id++ {
			args = append(args, value(int64(id)))
			rows = append(rows, "("+strings.ReplaceAll(fmt.Sprintf(row, len(args)), "id, id", fmt.Sprintf("%d, %d", id, id))+")")
		}
		_, err := tx.Exec("INSERT INTO "+into+" VALUES "+strings.Join(rows, ", "), args...)
		ok(b, err)
	}
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

// Benchmark measures what is hot, with many callers at once.
//
//   - session looks tokens up, each time another: no cache is before the database.
//   - issue makes keys, every call a durable one.
//   - reissue asks for keys that there are.
//   - usage books reports of 1,000 keys, from many nodes at once; a call is one entry.
func Benchmark(b *testing.B) {
	for _, engine := range engines {
		for _, users := range sizes() {
			b.Run(engine.name+"/"+strconv.Itoa(users), func(b *testing.B) {
				c := gather(b, engine.dsn(b), users)
				for name, run := range map[string]func(*testing.B){
					"session": c.benchSession, "issue": c.benchIssue, "reissue": c.benchReissue, "usage": c.benchUsage,
				} {
					b.Run(name, func(b *testing.B) {
						b.ReportAllocs()
						run(b)
						b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
					})
				}
			})
		}
	}
}

func (c *crowd) benchSession(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context()) // as a request's
	defer cancel()
	c.crowd(b, b.N, func(i int) error {
		id := int64(i*7919%c.users) + 1
		_, err := c.Session(ctx, id, tokenOf(id))
		return err
	})
}

func (c *crowd) benchIssue(b *testing.B) {
	for n := 0; n < b.N; {
		if c.next == 0 || c.taken == c.users {
			if c.next++; c.next == len(c.servers) {
				b.StopTimer()
				c.clear(b)
				b.StartTimer()
			}
			c.taken = 0
		}
		server, from := c.servers[c.next], c.taken
		todo := min(b.N-n, c.users-from)
		c.crowd(b, todo, func(i int) error { return c.issue(b.Context(), from+i, server) })
		c.taken += todo
		n += todo
	}
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
	c.next = 1
}

func (c *crowd) benchReissue(b *testing.B) {
	c.crowd(b, b.N, func(i int) error { return c.issue(b.Context(), i*7919, c.servers[0]) })
}

// benchUsage has as many nodes report at once as there are callers, each its own 1,000 keys again and again, as nodes do: of
// a million users those are spread over the whole file, of a thousand they are the same. All keys have been in use on the day.
func (c *crowd) benchUsage(b *testing.B) {
	const perReport = 1000
	var keys []int64
	_, err := c.NodeSnapshot(b.Context(), c.servers[0], func(k vpn.NodeKey) error {
		keys = append(keys, k.ID)
		return nil
	})
	ok(b, err)
	day := time.Now()
	reports := make([]vpn.UsageReport, callers)
	for n := range reports {
		r := &reports[n]
		*r = vpn.UsageReport{NodeID: c.servers[0], Stream: uint64(c.issued.Add(1))} // another start of the node
		for i := range perReport {
			r.Entries = append(r.Entries, vpn.UsageEntry{KeyID: keys[(n*perReport+i)*7919%len(keys)], Up: 1, Down: 10})
		}
	}
	report := func(n int) error {
		r := &reports[n%callers]
		r.Seq++
		_, _, _, err := c.ApplyUsage(b.Context(), *r, day)
		return err
	}
	for n := range reports {
		ok(b, report(n))
	}
	b.ResetTimer()
	var next atomic.Int64
	var done sync.WaitGroup
	for n := range callers {
		done.Go(func() {
			for next.Add(perReport) <= int64(max(b.N, perReport)) {
				if err := report(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
}
