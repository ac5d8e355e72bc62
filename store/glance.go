package store

import (
	"context"
	"time"

	"stile/vpn"
)

// Glance implements vpn.SubscriptionStore. Each count follows one index and reads no row: a million takes a moment.
func (s *Store) Glance(ctx context.Context, now, soon time.Time, limit int) (g vpn.Glance, err error) {
	r := s.scan(ctx)
	if err := r.row(`
		SELECT (SELECT COUNT(*) FROM account), (SELECT COUNT(*) FROM account WHERE status = 'blocked')`).Scan(&g.Users, &g.Blocked); err != nil {
		return g, err
	}
	const dayMillis = "86400000"
	if err := r.row(`
		SELECT COALESCE(SUM((SELECT COUNT(*) FROM subscription s WHERE s.plan_id = p.id)), 0),
			COALESCE(SUM((SELECT COUNT(*) FROM subscription s WHERE s.plan_id = p.id AND s.expires_at > 0 AND s.expires_at <= $1)), 0),
			COALESCE(SUM((SELECT COUNT(*) FROM subscription s WHERE s.plan_id = p.id AND s.expires_at > 0 AND s.expires_at <= $1 - p.grace_days * `+dayMillis+`)), 0),
			COALESCE(SUM((SELECT COUNT(*) FROM subscription s WHERE s.plan_id = p.id AND s.expires_at > $1 AND s.expires_at <= $2)), 0)
		FROM plan p`, millis(now), millis(soon)).Scan(&g.Active, &g.Grace, &g.Expired, &g.Ending); err != nil {
		return g, err
	}
	g.Active, g.Grace = g.Active-g.Grace, g.Grace-g.Expired // so far all, and all that are over or in grace
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
