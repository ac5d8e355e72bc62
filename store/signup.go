package store

import (
	"context"
	"math"

	"stile/vpn"
)

// AddInvitation implements vpn.SignUpStore.
func (s *Store) AddInvitation(ctx context.Context, i vpn.Invitation, hash vpn.TokenHash, a vpn.Audit) (vpn.Invitation, error) {
	err := s.write(ctx, "add invitation", func(t *tx) error {
		if i.PlanID != 0 {
			if err := t.holdPlan(i.PlanID); err != nil {
				return err
			}
		}
		i.CreatedAt = t.now
		if err := t.row(`
			INSERT INTO invitation (hash, email, plan_id, periods, note, created_at, expires_at, used_at, user_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)
			RETURNING id`, hash[:], i.Email, i.PlanID, i.Periods, i.Note, millis(t.now), millis(i.ExpiresAt)).Scan(&i.ID); err != nil {
			return t.taken(err)
		}
		return t.audit(a, i.ID)
	})
	return i, err
}

const invitationColumns = `
	id, email, plan_id, periods, note, created_at, expires_at, used_at, user_id`

func scanInvitation(row scanner) (i vpn.Invitation, err error) {
	err = row.Scan(&i.ID, &i.Email, &i.PlanID, &i.Periods, &i.Note, instant{&i.CreatedAt}, instant{&i.ExpiresAt}, instant{&i.UsedAt}, &i.UserID)
	if isNone(err) {
		err = vpn.ErrNotFound
	}
	return i, err
}

// Invitations implements vpn.SignUpStore.
func (s *Store) Invitations(ctx context.Context, before int64, limit int) ([]vpn.Invitation, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.read(ctx).rows(`
		SELECT`+invitationColumns+`
		FROM invitation
		WHERE id < $1
		ORDER BY id DESC
		LIMIT $2`, before, limit)
	return list(rows, err, scanInvitation)
}

// Invitation implements vpn.SignUpStore.
func (s *Store) Invitation(ctx context.Context, hash vpn.TokenHash) (vpn.Invitation, error) {
	return scanInvitation(s.read(ctx).row(`
		SELECT`+invitationColumns+`
		FROM invitation
		WHERE hash = $1`, hash[:]))
}

// RemoveInvitation implements vpn.SignUpStore.
func (s *Store) RemoveInvitation(ctx context.Context, id int64, a vpn.Audit) error {
	return s.write(ctx, "remove invitation", func(t *tx) error {
		if err := t.change(`
			DELETE FROM invitation
			WHERE id = $1`, id); err != nil {
			return err
		}
		return t.audit(a, id)
	})
}

// HoldsVoucher implements vpn.SignUpStore.
func (s *Store) HoldsVoucher(ctx context.Context, hash vpn.TokenHash) (holds bool, err error) {
	err = s.read(ctx).row(`
		SELECT EXISTS (
			SELECT 1
			FROM voucher
			WHERE hash = $1
				AND used < uses
				AND (expires_at = 0 OR expires_at > $2)
		)`, hash[:], millis(s.now())).Scan(&holds)
	return holds, err
}

// maxLate is how many late sign-ups one that comes takes with it: after a flood of them, nobody waits for all to go.
const maxLate = 100

// AddSignUp implements vpn.SignUpStore.
func (s *Store) AddSignUp(ctx context.Context, p vpn.PendingSignUp, hash vpn.TokenHash, limit int) error {
	return s.write(ctx, "add sign-up", func(t *tx) error {
		if _, err := t.exec(`
			DELETE FROM pending_sign_up
			WHERE id IN (
				SELECT id
				FROM pending_sign_up
				WHERE expires_at <= $1
				ORDER BY expires_at
				LIMIT $2
				{{skip}}
			)`, millis(t.now), maxLate); err != nil {
			return err
		}
		if _, err := t.exec(`
			INSERT INTO pending_sign_up (hash, email, locale, invitation, voucher, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6)`,
			hash[:], p.Email, p.Locale, orEmpty(p.Invitation), orEmpty(p.Voucher), millis(p.ExpiresAt)); err != nil {
			return t.taken(err)
		}
		_, err := t.exec(`
			DELETE FROM pending_sign_up
			WHERE email = $1
				AND id <= (
					SELECT id
					FROM pending_sign_up
					WHERE email = $1
					ORDER BY id DESC
					LIMIT 1 OFFSET $2
				)`, p.Email, limit)
		return err
	})
}

// orEmpty is a hash as it is kept where there may be none.
func orEmpty(h vpn.TokenHash) []byte {
	if h == (vpn.TokenHash{}) {
		return []byte{}
	}
	return h[:]
}

// PendingSignUp implements vpn.SignUpStore.
func (s *Store) PendingSignUp(ctx context.Context, hash vpn.TokenHash) (p vpn.PendingSignUp, err error) {
	var invitation, voucher []byte
	err = one(s.read(ctx).row(`
		SELECT email, locale, invitation, voucher, expires_at
		FROM pending_sign_up
		WHERE hash = $1`, hash[:]), &p.Email, &p.Locale, &invitation, &voucher, instant{&p.ExpiresAt})
	copy(p.Invitation[:], invitation)
	copy(p.Voucher[:], voucher)
	return p, err
}

// SignUp implements vpn.SignUpStore.
func (s *Store) SignUp(ctx context.Context, n vpn.NewSignUp, rule vpn.GiftRule, a vpn.Audit) (made vpn.User, err error) {
	err = s.write(ctx, "sign up", func(t *tx) error {
		if n.Pending != (vpn.TokenHash{}) {
			if err := t.change(`
				DELETE FROM pending_sign_up
				WHERE hash = $1
					AND expires_at > $2`, n.Pending[:], millis(t.now)); err != nil {
				return err
			}
		}
		if made, err = t.addUser(n.User, a); err != nil {
			return err
		}
		if n.Invitation != (vpn.TokenHash{}) {
			if err := t.useInvitation(made, n.Invitation, rule); err != nil {
				return err
			}
		}
		if n.Voucher == (vpn.TokenHash{}) {
			return nil
		}
		_, err = t.redeemVoucher(made.ID, n.Voucher, rule, vpn.Audit{ActorID: made.ID, Action: "voucher.redeem"})
		if err == vpn.ErrNotFound { //nolint:errorlint // never wrapped inside a transaction
			return vpn.Refusal(vpn.CodeVoucherInvalid)
		}
		return err
	})
	if err != nil {
		return vpn.User{}, err
	}
	return made, nil
}

// useInvitation uses an invitation up for a new account, and gives it what it is for.
func (t *tx) useInvitation(u vpn.User, hash vpn.TokenHash, rule vpn.GiftRule) error {
	var planID int64
	var periods int
	err := one(t.row(`
		UPDATE invitation
		SET used_at = $2, user_id = $3
		WHERE hash = $1
			AND used_at = 0
			AND expires_at > $2
			AND (email = '' OR email = $4)
		RETURNING plan_id, periods`, hash[:], millis(t.now), u.ID, u.Email), &planID, &periods)
	if err == vpn.ErrNotFound { //nolint:errorlint // never wrapped inside a transaction
		return vpn.Refusal(vpn.CodeInvitationInvalid)
	}
	if err != nil || planID == 0 {
		return err
	}
	plan, err := t.plan(planID)
	if err != nil {
		return err
	}
	_, err = t.changeSubscription(u.ID, func(old *vpn.Entitlement) (vpn.Subscription, error) { return rule(&plan, periods, old) },
		vpn.Audit{ActorID: u.ID, Action: "subscription.invited"})
	return err
}
