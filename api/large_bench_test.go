package api

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite" // makes what the store would take hours for

	"stile/accesskey"
	"stile/vpn"
)

// firstMember is before the id of the first account, device and token of enlarge.
const firstMember = 1000

// bearerOf is the token of a member.
func bearerOf(member int) string { return fmt.Sprintf("%d|secret%d", firstMember+1+member, member) }

// enlarge adds members, who each have a subscription, a device, a token and a key on the first server.
func (w *world) enlarge(file string, members int) {
	w.t.Helper()
	db := must(sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(60000)&_pragma=synchronous(0)"))(w.t)
	defer db.Close()
	tx := must(db.Begin())(w.t)
	fill := func(text string, values func(i int) []any) {
		statement := must(tx.Prepare(text))(w.t)
		defer statement.Close()
		for i := range members {
			must(statement.Exec(values(i)...))(w.t)
		}
	}
	now, today := time.Now().UnixMilli(), time.Now().UTC().Truncate(24*time.Hour).UnixMilli()
	fill(`INSERT INTO account (id, name, email, search_text, password_hash, email_verified_at, status, role, locale, devices, created_at, updated_at)
		VALUES ($1, 'Name', $2, $2, 'x', 0, 'active', '', 'ru', 1, 1, 1)`, func(i int) []any {
		return []any{firstMember + 1 + i, "member" + strconv.Itoa(i) + "@example.com"}
	})
	fill(`INSERT INTO subscription (user_id, plan_id, starts_at, expires_at, used_bytes, traffic_resets_at, updated_at)
		VALUES ($1, $2, 1, $3, 0, 0, 1)`, func(i int) []any { return []any{firstMember + 1 + i, w.plan.ID, now + 365*86_400_000} })
	fill(`INSERT INTO device (id, user_id, client_id, name, platform, last_seen_day, created_at)
		VALUES ($1, $1, 'c', 'Pixel 8', 'android', $2, 1)`, func(i int) []any { return []any{firstMember + 1 + i, today} })
	fill(`INSERT INTO token (id, hash, user_id, device_id, name, last_used_day, created_at, expires_at)
		VALUES ($1, $2, $1, $1, 'x', $3, 1, 0)`, func(i int) []any {
		hash := sha256.Sum256([]byte("secret" + strconv.Itoa(i)))
		return []any{firstMember + 1 + i, hash[:], today}
	})
	if err := tx.Commit(); err != nil {
		w.t.Fatal(err)
	}
	w.giveKeys(members)
}

// giveKeys makes the members' keys by the store, which seals their seeds.
func (w *world) giveKeys(members int) {
	w.t.Helper()
	var group sync.WaitGroup
	var next atomic.Int64
	for range benchConns {
		group.Go(func() {
			for i := next.Add(1); i <= int64(members); i = next.Add(1) {
				id := firstMember + i
				_, err := w.store.IssueKey(w.t.Context(), vpn.NewKey{
					UserID: id, DeviceID: id, ServerID: w.servers[0].ID, Seed: accesskey.Seed(sha256.Sum256(strconv.AppendInt(nil, id, 10))),
				}, vpn.Audit{ActorID: id, Action: "key.issue"})
				if err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// addServers adds servers and returns their ids.
func (w *world) addServers(n int) (ids []int64) {
	w.t.Helper()
	for i := range n {
		ids = append(ids, must(w.service.AddServer(w.t.Context(), vpn.Shell(), vpn.Server{
			Name: strconv.Itoa(i), CountryCode: "DE", Host: "h.example.net", ShadowsocksPort: 8388, ShadowsocksPorts: 1,
		}))(w.t).ID)
	}
	return ids
}

// BenchmarkMembers is POST /api/key with 1,000,000 users and keys to the same with 1,000 (10,000 without STILE_BENCH_LARGE), in
// turns within one run, on SQLite: keys that exist and new ones, each asked for by members all over the database, whom no cache knows;
// the same by 1,000 of them, as those who have an app open are a few; new ones by the 1,000 who came last, as mostly new devices need
// new keys; and GET /api/user by all.
func BenchmarkMembers(b *testing.B) {
	sizes := [2]int{1_000, 10_000}
	if os.Getenv("STILE_BENCH_LARGE") != "" {
		sizes[1] = 1_000_000
	}
	var worlds [2]*world
	var more []int64 // servers on which nobody has a key: the same in both worlds
	members := map[string]int{}
	for i, n := range sizes {
		file := filepath.Join(b.TempDir(), "stile.db")
		worlds[i] = benchWorldOn(b, file)
		worlds[i].enlarge(file, n)
		more = worlds[i].addServers(300)
		members[worlds[i].server.Listener.Addr().String()] = n
	}
	addresses := [2]string{worlds[0].server.Listener.Addr().String(), worlds[1].server.Listener.Addr().String()}
	later := func() { // everybody may ask again, and nothing is known of anybody
		for _, w := range worlds {
			w.pass(time.Minute)
		}
	}
	run := func(name string, ask func(address string, conn, n int) []byte) {
		b.Run(name, func(b *testing.B) {
			t := takeTurns(b, addresses, func(address string) requests {
				return func(conn, n int) []byte { return ask(address, conn, n) }
			}, later)
			b.ReportMetric(t.rate(0), "few-req/s")
			b.ReportMetric(t.rate(1), "many-req/s")
			b.ReportMetric(t.ratio(), "many-to-few")
			b.ReportMetric(t.costs[0].processor.Seconds()/t.costs[1].processor.Seconds(), "cpu-many-to-few")
		})
	}
	spread := func(conn, n, among int) int { return (conn + benchConns*n) * 7919 % among }
	existing := fmt.Sprintf(`{"server_id":%d}`, worlds[0].servers[0].ID)
	run("existing", func(address string, conn, n int) []byte {
		return benchRequest(http.MethodPost, "/api/key", bearerOf(spread(conn, n, members[address])), existing)
	})
	run("existing of 1,000", func(address string, conn, n int) []byte {
		return benchRequest(http.MethodPost, "/api/key", bearerOf(spread(conn, n, 1_000)*(members[address]/1_000)), existing)
	})
	run("user", func(address string, conn, n int) []byte {
		return benchRequest(http.MethodGet, "/api/user", bearerOf(spread(conn, n, members[address])), "")
	})
	first := 0 // of more that nobody has a key on
	for _, who := range []struct {
		name   string
		among  int // 0 = all
		isLast bool
	}{{name: "new"}, {name: "new of 1,000", among: 1_000}, {name: "new of the last 1,000", among: 1_000, isLast: true}} {
		var made [2]atomic.Int64
		from := first
		run(who.name, func(address string, _, _ int) []byte {
			i, all := 0, members[address]
			if address == addresses[1] {
				i = 1
			}
			active, apart := all, 1
			if who.among > 0 {
				active, apart = who.among, all/who.among
			}
			n := int(made[i].Add(1)) - 1
			member := n * 7919 % active * apart
			if who.isLast {
				member = all - active + n*7919%active
			}
			return benchRequest(http.MethodPost, "/api/key", bearerOf(member), fmt.Sprintf(`{"server_id":%d}`, more[from+n/active]))
		})
		first += len(more) / 3
	}
}
