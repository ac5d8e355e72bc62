package store

import (
	"context"

	"stile/vpn"
)

// TakePayment implements vpn.SubscriptionStore.
func (s *Store) TakePayment(ctx context.Context, p vpn.Payment, rule vpn.SubscriptionRule, a vpn.Audit) (taken vpn.Payment, sub vpn.Subscription, isNew bool, err error) {
	err = s.write(ctx, "take payment", func(t *tx) error {
		taken, isNew = p, false
		taken.CreatedAt = t.now
		n, err := t.exec(`
			INSERT INTO payment (id, user_id, plan_id, periods, amount, currency, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (id) DO NOTHING`, p.ID, p.UserID, p.PlanID, p.Periods, p.Amount, p.Currency, millis(t.now))
		if err != nil {
			return err
		}
		if isNew = n > 0; isNew {
			sub, err = t.changeSubscription(p.UserID, rule, a)
			return err
		}
		if err := t.row(`
			SELECT user_id, plan_id, periods, amount, currency, created_at
			FROM payment
			WHERE id = $1`, p.ID).Scan(&taken.UserID, &taken.PlanID, &taken.Periods, &taken.Amount, &taken.Currency, instant{&taken.CreatedAt}); err != nil {
			return err
		}
		e, err := t.entitlement(taken.UserID)
		sub = e.Subscription
		return err
	})
	return taken, sub, isNew, err
}
