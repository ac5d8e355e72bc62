package store

import (
	"context"
	"time"

	"stile/vpn"
)

// UserKeys implements vpn.KeyStore. Seeds are not read.
func (s *Store) UserKeys(ctx context.Context, userID int64) ([]vpn.Key, error) {
	rows, err := s.read(ctx).rows(`
		SELECT k.id, k.user_id, k.device_id, k.server_id, k.up_limit, k.down_limit, k.max_sessions, k.not_after, k.rev, k.created_at
		FROM device d
		JOIN access_key k ON k.device_id = d.id
		WHERE d.user_id = $1
			AND k.removed_at = 0
		ORDER BY k.device_id, k.server_id`, userID)
	return list(rows, err, func(row scanner) (k vpn.Key, err error) {
		err = row.Scan(&k.ID, &k.UserID, &k.DeviceID, &k.ServerID, &k.Limits.UpBytesPerSecond, &k.Limits.DownBytesPerSecond,
			&k.Limits.MaxSessions, instant{&k.NotAfter}, &k.Rev, instant{&k.CreatedAt})
		return k, err
	})
}

// Payments implements vpn.SubscriptionStore.
func (s *Store) Payments(ctx context.Context, f vpn.PaymentFilter) ([]vpn.Payment, error) {
	q := userQuery{where: []string{"TRUE"}}
	if f.UserID != 0 {
		q.add("user_id = " + q.arg(f.UserID))
	}
	if f.Before != "" {
		before := q.arg(f.Before)
		q.add("(created_at, id) < ((SELECT created_at FROM payment WHERE id = " + before + "), " + before + ")")
	}
	text := `
		SELECT id, user_id, plan_id, periods, amount, currency, created_at
		FROM payment
		WHERE `
	for i, w := range q.where {
		if i > 0 {
			text += `
			AND `
		}
		text += w
	}
	rows, err := s.read(ctx).rows(text+`
		ORDER BY created_at DESC, id DESC
		LIMIT `+q.arg(f.Limit), q.args...)
	return list(rows, err, func(row scanner) (p vpn.Payment, err error) {
		err = row.Scan(&p.ID, &p.UserID, &p.PlanID, &p.Periods, &p.Amount, &p.Currency, instant{&p.CreatedAt})
		return p, err
	})
}

// Counts implements vpn.StatsStore.
func (s *Store) Counts(ctx context.Context, now time.Time) (c vpn.Counts, err error) {
	r := s.scan(ctx)
	for _, count := range []struct {
		to   *int64
		text string
		args []any
	}{
		{&c.Users, "SELECT COUNT(*) FROM account", nil},
		{&c.Blocked, "SELECT COUNT(*) FROM account WHERE status = 'blocked'", nil},
		{&c.Subscribed, "SELECT COUNT(*) FROM subscription", nil},
		{&c.Expired, "SELECT COUNT(*) FROM subscription WHERE expires_at > 0 AND expires_at <= $1", []any{millis(now)}},
		{&c.Devices, "SELECT COUNT(*) FROM device", nil},
	} {
		if err := r.row(count.text, count.args...).Scan(count.to); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Traffic implements vpn.StatsStore.
func (s *Store) Traffic(ctx context.Context, since time.Time) ([]vpn.NodeDay, error) {
	rows, err := s.read(ctx).rows(`
		SELECT day, node_id, up, down
		FROM node_day
		WHERE day >= $1
		ORDER BY day, node_id`, millis(midnight(since)))
	return list(rows, err, func(row scanner) (d vpn.NodeDay, err error) {
		err = row.Scan(instant{&d.Day}, &d.NodeID, &d.Up, &d.Down)
		return d, err
	})
}

// countNode adds a report's traffic to the day of its node.
func (t *tx) countNode(nodeID, day int64, users map[int64]*userTraffic) error {
	var sum traffic
	for _, u := range users {
		for _, k := range u.keys {
			sum.up = min(sum.up+k.up, maxDayBytes)
			sum.down = min(sum.down+k.down, maxDayBytes)
		}
	}
	if sum == (traffic{}) {
		return nil
	}
	_, err := t.exec(`
		INSERT INTO node_day (day, node_id, up, down)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (day, node_id) DO UPDATE
		SET up = node_day.up + CASE WHEN node_day.up < `+maxDayText+` THEN excluded.up ELSE 0 END,
			down = node_day.down + CASE WHEN node_day.down < `+maxDayText+` THEN excluded.down ELSE 0 END`, day, nodeID, sum.up, sum.down)
	return err
}
