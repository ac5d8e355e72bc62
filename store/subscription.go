package store

import (
	"context"
	"time"

	"stile/vpn"
)

// Entitlement implements vpn.SubscriptionStore.
func (s *Store) Entitlement(ctx context.Context, userID int64) (vpn.Entitlement, error) {
	var e vpn.Entitlement
	u := &e.Subscription
	err := s.hot(ctx, `
		SELECT s.user_id, s.plan_id, s.starts_at, s.expires_at, s.used_bytes, s.traffic_resets_at, s.updated_at,`+planColumns+`
		FROM subscription s
		JOIN plan p ON p.id = s.plan_id
		WHERE s.user_id = $1`, func(row scanner) error {
		return row.Scan(append(subscriptionFields(u), planFields(&e.Plan)...)...)
	}, userID)
	return e, err
}

// subscriptionFields are the places for the columns of a subscription, in the order of its table.
func subscriptionFields(u *vpn.Subscription) []any {
	return []any{
		&u.UserID, &u.PlanID, instant{&u.StartsAt}, instant{&u.ExpiresAt}, &u.UsedBytes, instant{&u.TrafficResetsAt}, instant{&u.UpdatedAt},
	}
}

// Standing implements vpn.SubscriptionStore.
func (s *Store) Standing(ctx context.Context, userID int64) (vpn.User, vpn.Entitlement, error) {
	var v vpn.User
	var e vpn.Entitlement
	u := &e.Subscription
	err := s.hotRow(ctx, `
		SELECT`+userColumns+`,
			COALESCE(s.user_id, 0), COALESCE(s.plan_id, 0), COALESCE(s.starts_at, 0), COALESCE(s.expires_at, 0), COALESCE(s.used_bytes, 0),
			COALESCE(s.traffic_resets_at, 0), COALESCE(s.updated_at, 0),
			COALESCE(p.id, 0), COALESCE(p.code, ''), COALESCE(p.name_ru, ''), COALESCE(p.name_en, ''), COALESCE(p.tier, 0),
			COALESCE(p.period_days, 0), COALESCE(p.grace_days, 0), COALESCE(p.is_trial, FALSE), COALESCE(p.device_limit, 0),
			COALESCE(p.traffic_limit, 0), COALESCE(p.speed_limit_mbps, 0), COALESCE(p.created_at, 0)
		FROM account a
		LEFT JOIN subscription s ON s.user_id = a.id
		LEFT JOIN plan p ON p.id = s.plan_id
		WHERE a.id = $1`, func(row scanner) error {
		fields := []any{
			&v.ID, &v.Name, &v.Email, instant{&v.EmailVerifiedAt}, &v.Status, &v.Role, &v.Locale, instant{&v.CreatedAt}, instant{&v.UpdatedAt},
		}
		return row.Scan(append(append(fields, subscriptionFields(u)...), planFields(&e.Plan)...)...)
	}, userID)
	return v, e, err
}

// SetSubscription implements vpn.SubscriptionStore. vpn.ErrNotFound when there is no such user or plan.
func (s *Store) SetSubscription(ctx context.Context, u vpn.Subscription, a vpn.Audit) error {
	return s.write(ctx, "set subscription", func(t *tx) error {
		if err := t.keysDue(u.UserID); err != nil {
			return err
		}
		if err := one(t.row(`
			SELECT id
			FROM plan
			WHERE id = $1
			{{share}}`, u.PlanID), new(int64)); err != nil {
			return err
		}
		if _, err := t.exec(`
			INSERT INTO subscription (user_id, plan_id, starts_at, expires_at, used_bytes, traffic_resets_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (user_id) DO UPDATE
			SET plan_id = excluded.plan_id, starts_at = excluded.starts_at, expires_at = excluded.expires_at,
				used_bytes = CASE
					WHEN subscription.plan_id = excluded.plan_id AND subscription.starts_at = excluded.starts_at
					THEN subscription.used_bytes
					ELSE excluded.used_bytes
				END,
				traffic_resets_at = CASE
					WHEN subscription.plan_id = excluded.plan_id AND subscription.starts_at = excluded.starts_at
					THEN subscription.traffic_resets_at
					ELSE excluded.traffic_resets_at
				END,
				updated_at = excluded.updated_at`,
			u.UserID, u.PlanID, millis(u.StartsAt), millis(u.ExpiresAt), u.UsedBytes, millis(u.TrafficResetsAt), millis(t.now),
		); err != nil {
			return err
		}
		return t.audit(a, u.UserID)
	})
}

// keysDue notes that a user's keys may carry a wrong deadline until RefreshKeys.
func (t *tx) keysDue(userID int64) error {
	return t.change(`
		UPDATE account
		SET keys_due = TRUE
		WHERE id = $1`, userID)
}

// ResetTraffic implements vpn.SubscriptionStore.
func (s *Store) ResetTraffic(ctx context.Context, userID int64, now, nextResetAt time.Time) error {
	return s.write(ctx, "reset traffic", func(t *tx) error {
		n, err := t.exec(`
			UPDATE subscription
			SET used_bytes = 0, traffic_resets_at = $3, updated_at = $4
			WHERE user_id = $1
				AND traffic_resets_at <= $2`, userID, millis(now), millis(nextResetAt), millis(t.now))
		if err != nil || n == 0 {
			return err
		}
		return t.keysDue(userID)
	})
}

// UsersDue implements vpn.SubscriptionStore. Every change that can make deadlines stale notes it with the account, also
// for a caller who does not come to refresh the keys.
func (s *Store) UsersDue(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	rows, err := s.scan(ctx).rows(`
		SELECT user_id
		FROM (
			SELECT id AS user_id
			FROM account
			WHERE keys_due
			UNION
			SELECT user_id
			FROM subscription
			WHERE traffic_resets_at > 0
				AND traffic_resets_at <= $1
		) AS due
		ORDER BY user_id
		LIMIT $2`, millis(now), limit)
	return list(rows, err, scanID)
}
