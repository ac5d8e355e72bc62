package web

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // makes what the store would take hours for

	"stile/vpn"
)

// enlarge adds users with a subscription each and three devices, and as many entries of the audit log, in bulk. One user in a
// thousand is blocked, one in a hundred has another plan.
func (w *world) enlarge(users int) *world {
	w.t.Helper()
	db := must(sql.Open("sqlite", "file:"+w.file+"?_pragma=busy_timeout(60000)&_pragma=synchronous(0)&_pragma=cache_size(-400000)"))(w.t)
	defer db.Close()
	must(w.service.AddPlan(w.t.Context(), vpn.Shell(), vpn.Plan{Code: "other", Name: vpn.Text{RU: "Другой", EN: "Other"}, PeriodDays: 30, DeviceLimit: 5}))(w.t)
	tx := must(db.Begin())(w.t)
	now := w.now().UnixMilli()
	const each = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
	numbers := fmt.Sprintf(each, users)
	for _, text := range []string{
		`INSERT INTO account (id, name, email, search_text, password_hash, email_verified_at, status, role, locale, devices, created_at, updated_at) ` + numbers + `
			SELECT 1000 + i, 'Name ' || i, printf('user%07d@example.com', i), printf('user%07d@example.com name %d', i, i), 'x', 0,
				CASE WHEN i % 1000 = 0 THEN 'blocked' ELSE 'active' END, '', 'ru', 3, 1, 1 FROM n`,
		`INSERT INTO device (user_id, client_id, name, platform, last_seen_day, created_at) ` + fmt.Sprintf(each, 3*users) + `
			SELECT 1001 + (i - 1) / 3, 'c' || (i % 3), 'Pixel 8', 'android', 1, 1 FROM n`,
		`INSERT INTO subscription (user_id, plan_id, starts_at, expires_at, used_bytes, traffic_resets_at, updated_at) ` + numbers + `
			SELECT 1000 + i, CASE WHEN i % 100 = 0 THEN 2 ELSE 1 END, 1, ` + number(now) + ` + (i % 400 - 60) * 86400000, 0, 0, 1 FROM n`,
		`INSERT INTO audit (actor_id, action, subject_id, at) ` + numbers + ` SELECT 1000 + i, CASE WHEN i % 4 = 0 THEN 'user.add' ELSE 'key.issue' END, 1000 + i, 1 FROM n`,
		`INSERT INTO voucher (hash, plan_id, periods, uses, expires_at, note, created_at) ` + fmt.Sprintf(each, min(users, 10_000)) + ` SELECT randomblob(32), 1, 1, 1, 0, '', 1 FROM n`,
	} {
		if _, err := tx.Exec(text); err != nil {
			w.t.Fatalf("%.60s: %v", text, err)
		}
	}
	if err := tx.Commit(); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// cpuTime is what this process has used so far: unlike the time that passes, it says the same on a busy machine.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // can't fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLarge is the server's time for each page over 1,000 servers and, with STILE_BENCH_LARGE, 1,000,000 users and 3,000,000
// devices (else a thousandth of them): the median is reported. Each page is asked for anew, compressed as browsers want it.
func BenchmarkLarge(b *testing.B) {
	users := 1_000
	if os.Getenv("STILE_BENCH_LARGE") != "" {
		users = 1_000_000
	}
	w := setup(b).populate().addServers(1000 - 4).enlarge(users)
	device, _ := w.belongings(userEmail)
	w.use(w.user.ID, device)
	for range liveSamples {
		w.nodes.more.Add(7)
		if err := w.site.readLive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	user, operator := w.signedIn(userEmail, "ru"), w.signedIn(operatorEmail, "ru")
	last := number(int64(1000 + users - 60))
	for _, path := range []string{
		"/account", "/account/devices", "/account/servers", "/account/connect", "/account/tokens", "/account/settings",
		"/account/connect/" + number(device) + "/" + number(w.servers[0].ID), "/docs",
		"/admin", "/admin/users", "/admin/users?after=" + last, "/admin/users?q=user0000500", "/admin/users?q=nobody", "/admin/users?q=name+77",
		"/admin/users/1500", "/admin/servers", "/admin/servers/1", "/admin/config", "/admin/plans", "/admin/plans/1", "/admin/vouchers", "/admin/audit", "/admin/audit?before=100",
	} {
		visitor := user
		if isConsole(strings.SplitN(path, "?", 2)[0]) {
			visitor = operator
		}
		b.Run(path, func(b *testing.B) {
			cookies := visitor.client.Jar.Cookies(must(url.Parse(w.server.URL))(b))
			var took []time.Duration
			size, began := 0, cpuTime()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
				r.Header.Set("Accept-Encoding", "gzip")
				for _, c := range cookies {
					r.AddCookie(c)
				}
				answer := httptest.NewRecorder()
				asked := time.Now()
				w.site.ServeHTTP(answer, r)
				took = append(took, time.Since(asked))
				n, _ := io.Copy(io.Discard, answer.Body)
				if size = int(n); answer.Code != http.StatusOK || n == 0 {
					b.Fatalf("%s: %d %s", path, answer.Code, answer.Header().Get("Location"))
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
			b.ReportMetric(float64(cpuTime()-began)/1e6/float64(len(took)), "cpu-ms")
			b.ReportMetric(float64(size)/1e3, "kB")
		})
	}
	b.Run("counting for /admin", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.service.Glance(b.Context(), vpn.Shell()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
