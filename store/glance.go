package store

import (
	"context"
	"time"

	"stile/vpn"
)

// Glance implements vpn.SubscriptionStore.
func (s *Store) Glance(ctx context.Context, now, soon time.Time, limit int) (g vpn.Glance, err error) {
	r := s.scan(ctx)
	if err := r.row(`
		SELECT COUNT(*), COALESCE(SUM(CASE WHEN status = 'blocked' THEN 1 ELSE 0 END), 0)
		FROM account`).Scan(&g.Users, &g.Blocked); err != nil {
		return g, err
	}
	if err := r.row(`
		SELECT COALESCE(SUM(CASE WHEN s.expires_at = 0 OR s.expires_at > $1 THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN s.expires_at > 0 AND s.expires_at <= $1 AND s.expires_at + p.grace_days * 86400000 > $1 THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN s.expires_at > 0 AND s.expires_at + p.grace_days * 86400000 <= $1 THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN s.expires_at > $1 AND s.expires_at <= $2 THEN 1 ELSE 0 END), 0)
		FROM subscription s
		JOIN plan p ON p.id = s.plan_id`, millis(now), millis(soon)).Scan(&g.Active, &g.Grace, &g.Expired, &g.Ending); err != nil {
		return g, err
	}
	rows, err := r.rows(`
		SELECT s.user_id, a.email, s.expires_at
		FROM subscription s
		JOIN account a ON a.id = s.user_id
		WHERE s.expires_at > 0
			AND s.expires_at > $1
			AND s.expires_at <= $2
		ORDER BY s.expires_at, s.user_id
		LIMIT $3`, millis(now), millis(soon), limit)
	g.Next, err = list(rows, err, func(row scanner) (e vpn.EndingSubscription, err error) {
		err = row.Scan(&e.UserID, &e.Email, instant{&e.ExpiresAt})
		return e, err
	})
	return g, err
}
