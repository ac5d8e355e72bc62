package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"stile/vpn"
)

var (
	entitlementOf = lookup{`
	SELECT` + subscriptionColumns + `,` + planColumns + `
	FROM subscription s
	JOIN plan p ON p.id = s.plan_id
	WHERE s.user_id IN (`, "?", ", ", ")"}

	standingOf = lookup{`
	SELECT` + userColumns + `,` + subscriptionColumns + `,` + planColumns + `
	FROM account a
	LEFT JOIN subscription s ON s.user_id = a.id
	LEFT JOIN plan p ON p.id = s.plan_id
	WHERE a.id IN (`, "?", ", ", ")"}
)

// Entitlement implements vpn.SubscriptionStore.
func (s *Store) Entitlement(_ context.Context, userID int64) (vpn.Entitlement, error) {
	var e vpn.Entitlement
	err := s.look(&entitlementOf, func(row scanner) error { return row.Scan(entitlementFields(&e)...) }, userID)
	return e, err
}

const subscriptionColumns = `
	s.user_id, s.plan_id, s.starts_at, s.expires_at, s.used_bytes, s.traffic_resets_at, s.updated_at, s.pending_days`

// entitlementFields are the places for subscriptionColumns and planColumns.
func entitlementFields(e *vpn.Entitlement) []any {
	return append(subscriptionFields(&e.Subscription), planFields(&e.Plan)...)
}

// subscriptionFields are the places for subscriptionColumns.
func subscriptionFields(u *vpn.Subscription) []any {
	return []any{
		&u.UserID, &u.PlanID, instant{&u.StartsAt}, instant{&u.ExpiresAt}, &u.UsedBytes, instant{&u.TrafficResetsAt}, instant{&u.UpdatedAt},
		&u.PendingDays,
	}
}

// Standing implements vpn.SubscriptionStore.
func (s *Store) Standing(_ context.Context, userID int64) (vpn.User, vpn.Entitlement, error) {
	var v vpn.User
	var e vpn.Entitlement
	err := s.lookRow(&standingOf, func(row scanner) error {
		return row.Scan(append(userFields(&v), entitlementFields(&e)...)...)
	}, userID)
	return v, e, err
}

// ChangeSubscription implements vpn.SubscriptionStore.
func (s *Store) ChangeSubscription(ctx context.Context, userID int64, rule vpn.SubscriptionRule, a vpn.Audit) (sub vpn.Subscription, err error) {
	err = s.write(ctx, "change subscription", func(t *tx) error {
		sub, err = t.changeSubscription(userID, rule, a)
		return err
	})
	return sub, err
}

// changeSubscription holds the account and the subscription, asks the rule, and writes what it says.
func (t *tx) changeSubscription(userID int64, rule vpn.SubscriptionRule, a vpn.Audit) (vpn.Subscription, error) {
	if err := t.keysDue(userID); err != nil {
		return vpn.Subscription{}, err
	}
	old, err := t.entitlement(userID)
	if err != nil {
		return vpn.Subscription{}, err
	}
	u, err := rule(&old)
	if err != nil {
		return vpn.Subscription{}, err
	}
	if err := t.holdPlan(u.PlanID); err != nil {
		return vpn.Subscription{}, err
	}
	u.UserID, u.UpdatedAt = userID, t.now
	if err := t.saveSubscription(&u); err != nil {
		return vpn.Subscription{}, err
	}
	a.UserID = userID
	return u, t.audit(a, userID)
}

// entitlement reads a user's subscription, which it holds, with its plan.
func (t *tx) entitlement(userID int64) (e vpn.Entitlement, err error) {
	err = t.row(`
		SELECT`+subscriptionColumns+`
		FROM subscription s
		WHERE s.user_id = $1
		{{lock}}`, userID).Scan(subscriptionFields(&e.Subscription)...)
	if isNone(err) {
		return vpn.Entitlement{}, nil
	}
	if err != nil {
		return e, err
	}
	e.Plan, err = t.plan(e.Subscription.PlanID)
	return e, err
}

func (t *tx) plan(id int64) (vpn.Plan, error) {
	return scanPlan(t.row(`
		SELECT`+planColumns+`
		FROM plan p
		WHERE p.id = $1`, id))
}

// holdPlan makes sure that a plan stays as it is until the commit; vpn.ErrNotFound when there is none.
func (t *tx) holdPlan(id int64) error {
	return one(t.row(`
		SELECT id
		FROM plan
		WHERE id = $1
		{{share}}`, id), &id)
}

func (t *tx) saveSubscription(u *vpn.Subscription) error {
	_, err := t.exec(`
		INSERT INTO subscription (user_id, plan_id, starts_at, expires_at, used_bytes, traffic_resets_at, updated_at, pending_days)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (user_id) DO UPDATE
		SET plan_id = excluded.plan_id, starts_at = excluded.starts_at, expires_at = excluded.expires_at,
			used_bytes = excluded.used_bytes, traffic_resets_at = excluded.traffic_resets_at, updated_at = excluded.updated_at,
			pending_days = excluded.pending_days`,
		u.UserID, u.PlanID, millis(u.StartsAt), millis(u.ExpiresAt), u.UsedBytes, millis(u.TrafficResetsAt), millis(u.UpdatedAt),
		u.PendingDays)
	return err
}

// ended lists some of those whose plan another one follows now. It asks plan by plan, by the index of each one's expiries: what the
// sweeper asks every few seconds must not read all subscriptions, and those who are found first will do.
func (s *Store) ended(ctx context.Context, now time.Time, limit int) (users []int64, err error) {
	plans, err := s.Plans(ctx)
	if err != nil {
		return nil, err
	}
	for i := range plans {
		p := &plans[i]
		if !slices.ContainsFunc(plans, func(next vpn.Plan) bool { return next.ID == p.NextPlanID }) || len(users) == limit {
			continue
		}
		rows, err := s.scan(ctx).rows(`
			SELECT user_id
			FROM subscription
			WHERE plan_id = $1
				AND expires_at > 0
				AND expires_at <= $2
			LIMIT $3`, p.ID, millis(now.AddDate(0, 0, -p.GraceDays)), limit-len(users))
		of, err := list(rows, err, scanID)
		if err != nil {
			return nil, err
		}
		users = append(users, of...)
	}
	return users, nil
}

// AdvancePlans implements vpn.SubscriptionStore. Each user has a transaction of its own: rows are held in one order.
func (s *Store) AdvancePlans(ctx context.Context, now time.Time, rule func(next *vpn.Plan) vpn.Subscription, limit int, a vpn.Audit) ([]int64, error) {
	users, err := s.ended(ctx, now, limit)
	if err != nil {
		return nil, err
	}
	slices.Sort(users)
	var advanced []int64
	for _, id := range users {
		isDone := false
		if err := s.write(ctx, "advance plan", func(t *tx) error {
			isDone, err = t.advancePlan(id, now, rule, a)
			return err
		}); err != nil && !errors.Is(err, vpn.ErrNotFound) { // removed meanwhile
			return advanced, err
		}
		if isDone {
			advanced = append(advanced, id)
		}
	}
	return advanced, nil
}

// advancePlan gives a user the plan that follows, unless somebody changed the subscription meanwhile.
func (t *tx) advancePlan(userID int64, now time.Time, rule func(next *vpn.Plan) vpn.Subscription, a vpn.Audit) (bool, error) {
	if err := t.keysDue(userID); err != nil {
		return false, err
	}
	e, err := t.entitlement(userID)
	if err != nil || e.Plan.NextPlanID == 0 || e.Status(now) != vpn.SubscriptionExpired {
		return false, err
	}
	next, err := t.plan(e.Plan.NextPlanID)
	if isNone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = t.changeSubscription(userID, func(*vpn.Entitlement) (vpn.Subscription, error) { return rule(&next), nil }, a)
	return err == nil, err
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
