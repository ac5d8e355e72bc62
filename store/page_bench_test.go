package store_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"stile/vpn"
)

// BenchmarkPages measures the pages of accounts that an operator opens, each at its worst: the last page of an order, a search
// that finds nothing, a filter that leaves few. With STILE_BENCH_LARGE there are 1,000,000 accounts.
func BenchmarkPages(b *testing.B) {
	for _, engine := range engines {
		for _, users := range sizes() {
			b.Run(engine.name+"/"+strconv.Itoa(users), func(b *testing.B) {
				dsn := engine.dsn(b)
				ok(b, open(b, dsn).Close())
				populatePages(b, dsn, users)
				s := open(b, dsn)
				b.Cleanup(func() { ok(b, s.Close()) })
				last := int64(users - 60)
				for _, c := range []struct {
					name string
					f    vpn.UserFilter
				}{
					{"first", vpn.UserFilter{}},
					{"last", vpn.UserFilter{After: last}},
					{"email", vpn.UserFilter{EmailPrefix: "user" + strconv.Itoa(users/2)}},
					{"email of all", vpn.UserFilter{EmailPrefix: "user"}},
					{"email of all, last", vpn.UserFilter{EmailPrefix: "user", After: last}},
					{"search nobody", vpn.UserFilter{Search: "zzz"}},
					{"blocked", vpn.UserFilter{Status: vpn.UserBlocked}},
					{"staff", vpn.UserFilter{IsStaff: true}},
					{"plan", vpn.UserFilter{PlanID: 2}},
					{"plan, last", vpn.UserFilter{PlanID: 1, After: last}},
					{"expires soon", vpn.UserFilter{ExpiresAfter: time.UnixMilli(5000), ExpiresBefore: time.UnixMilli(5000 + int64(users/100))}},
					{"expires, last", vpn.UserFilter{ExpiresBefore: time.UnixMilli(1 << 40), After: last}},
				} {
					c.f.Limit = 50
					b.Run(c.name, func(b *testing.B) {
						for b.Loop() {
							_, err := s.Users(b.Context(), c.f)
							ok(b, err)
						}
					})
				}
				b.Run("counts", func(b *testing.B) {
					for b.Loop() {
						_, err := s.Counts(b.Context(), time.Now())
						ok(b, err)
					}
				})
			})
		}
	}
}

// populatePages makes accounts with subscriptions: one in a thousand is blocked or has a role, one in a hundred has plan 2.
func populatePages(b *testing.B, dsn string, users int) {
	b.Helper()
	tx, err := raw(b, dsn).Begin()
	ok(b, err)
	for _, code := range []string{"one", "two"} {
		_, err := tx.Exec("INSERT INTO plan (code, name_ru, name_en, tier, period_days, grace_days, is_trial, device_limit, traffic_limit, speed_limit_mbps, created_at) VALUES ($1, '', '', 1, 30, 0, FALSE, 5, 0, 0, 1)", code)
		ok(b, err)
	}
	bulk(b, tx, users, "account (name, email, search_text, password_hash, email_verified_at, status, role, locale, devices, created_at, updated_at)",
		"'Name', $%[1]d, $%[1]d, 'x', 0, 'active', '', 'ru', 1, 1, 1", func(id int64) any { return fmt.Sprintf("user%07d@example.com", id) })
	for _, text := range []string{
		"UPDATE account SET status = 'blocked' WHERE id % 1000 = 1",
		"UPDATE account SET role = 'viewer' WHERE id % 1000 = 2",
		`INSERT INTO subscription (user_id, plan_id, starts_at, expires_at, used_bytes, traffic_resets_at, updated_at)
			SELECT id, CASE WHEN id % 100 = 0 THEN 2 ELSE 1 END, 1, id, 0, 0, 1 FROM account`,
	} {
		_, err := tx.Exec(text)
		ok(b, err)
	}
	ok(b, tx.Commit())
}
