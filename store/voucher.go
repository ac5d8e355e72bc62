package store

import (
	"context"
	"math"

	"stile/vpn"
)

var insertVouchers = batch{0, `
	INSERT INTO voucher (hash, plan_id, periods, uses, note, created_at, expires_at)
	VALUES `, "(?, ?, ?, ?, ?, ?, ?)", ""}

// AddVouchers implements vpn.SubscriptionStore.
func (s *Store) AddVouchers(ctx context.Context, v vpn.Voucher, hashes []vpn.TokenHash, a vpn.Audit) error {
	return s.write(ctx, "add vouchers", func(t *tx) error {
		if err := t.holdPlan(v.PlanID); err != nil {
			return err
		}
		rows := make([]any, 0, 7*len(hashes))
		for i := range hashes {
			rows = append(rows, hashes[i][:], v.PlanID, v.Periods, v.Uses, v.Note, millis(t.now), millis(v.ExpiresAt))
		}
		if err := t.execBatch(&insertVouchers, 7, rows); err != nil {
			return t.taken(err)
		}
		return t.audit(a, v.PlanID)
	})
}

// Vouchers implements vpn.SubscriptionStore.
func (s *Store) Vouchers(ctx context.Context, before int64, limit int) ([]vpn.Voucher, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.read(ctx).rows(`
		SELECT id, plan_id, periods, uses, used, note, created_at, expires_at
		FROM voucher
		WHERE id < $1
		ORDER BY id DESC
		LIMIT $2`, before, limit)
	return list(rows, err, func(row scanner) (v vpn.Voucher, err error) {
		err = row.Scan(&v.ID, &v.PlanID, &v.Periods, &v.Uses, &v.Used, &v.Note, instant{&v.CreatedAt}, instant{&v.ExpiresAt})
		return v, err
	})
}

// RemoveVoucher implements vpn.SubscriptionStore.
func (s *Store) RemoveVoucher(ctx context.Context, id int64, a vpn.Audit) error {
	return s.write(ctx, "remove voucher", func(t *tx) error {
		if err := t.change(`
			DELETE FROM voucher
			WHERE id = $1`, id); err != nil {
			return err
		}
		return t.audit(a, id)
	})
}

// RedeemVoucher implements vpn.SubscriptionStore.
func (s *Store) RedeemVoucher(ctx context.Context, userID int64, hash vpn.TokenHash, rule vpn.GiftRule, a vpn.Audit) (sub vpn.Subscription, err error) {
	err = s.write(ctx, "redeem voucher", func(t *tx) error {
		sub, err = t.redeemVoucher(userID, hash, rule, a)
		return err
	})
	return sub, err
}

func (t *tx) redeemVoucher(userID int64, hash vpn.TokenHash, rule vpn.GiftRule, a vpn.Audit) (vpn.Subscription, error) {
	if err := t.keysDue(userID); err != nil { // holds the account, before anything else
		return vpn.Subscription{}, err
	}
	var id, planID int64
	var periods int
	if err := one(t.row(`
		UPDATE voucher
		SET used = used + 1
		WHERE hash = $1
			AND used < uses
			AND (expires_at = 0 OR expires_at > $2)
		RETURNING id, plan_id, periods`, hash[:], millis(t.now)), &id, &planID, &periods); err != nil {
		return vpn.Subscription{}, err
	}
	if err := t.change(`
		INSERT INTO voucher_use (voucher_id, user_id, used_at)
		VALUES ($1, $2, $3)
		ON CONFLICT (voucher_id, user_id) DO NOTHING`, id, userID, millis(midnight(t.now))); err != nil {
		return vpn.Subscription{}, err // redeemed already
	}
	plan, err := t.plan(planID)
	if err != nil {
		return vpn.Subscription{}, err
	}
	if a.SubjectID == 0 {
		a.SubjectID = id
	}
	return t.changeSubscription(userID, func(old *vpn.Entitlement) (vpn.Subscription, error) { return rule(&plan, periods, old) }, a)
}
