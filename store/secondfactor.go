package store

import (
	"context"
	"fmt"
	"time"

	"stile/vpn"
)

// SecondFactor implements vpn.FactorStore.
func (s *Store) SecondFactor(ctx context.Context, userID int64) (vpn.SecondFactor, error) {
	f := vpn.SecondFactor{UserID: userID}
	var sealed []byte
	err := one(s.read(ctx).row(`
		SELECT f.id, f.secret, f.confirmed_at, (SELECT COUNT(*) FROM recovery_code c WHERE c.factor_id = f.id)
		FROM second_factor f
		WHERE f.user_id = $1`, userID), &f.ID, &sealed, instant{&f.ConfirmedAt}, &f.RecoveryCodes)
	if err != nil {
		return vpn.SecondFactor{}, err
	}
	plain, err := s.unseal(sealed, purposeOTP, userID)
	if err != nil {
		return vpn.SecondFactor{}, fmt.Errorf("store: second factor of user %d: %w", userID, err)
	}
	copy(f.Secret[:], plain)
	return f, nil
}

// BeginSecondFactor implements vpn.FactorStore.
func (s *Store) BeginSecondFactor(ctx context.Context, userID int64, secret vpn.OTPSecret, a vpn.Audit) error {
	sealed := s.seal(secret[:], purposeOTP, userID)
	return s.write(ctx, "begin second factor", func(t *tx) error {
		if err := t.lockUser(userID); err != nil {
			return err
		}
		if _, err := t.exec(`
			DELETE FROM second_factor
			WHERE user_id = $1
				AND confirmed_at = 0`, userID); err != nil {
			return err
		}
		if _, err := t.exec(`
			INSERT INTO second_factor (user_id, secret, step, confirmed_at)
			VALUES ($1, $2, 0, 0)`, userID, sealed); err != nil {
			return t.taken(err)
		}
		return t.audit(a, userID)
	})
}

// ConfirmSecondFactor implements vpn.FactorStore.
func (s *Store) ConfirmSecondFactor(ctx context.Context, id, step int64, codes []vpn.TokenHash, a vpn.Audit) error {
	return s.write(ctx, "confirm second factor", func(t *tx) error {
		if err := t.change(`
			UPDATE second_factor
			SET confirmed_at = $2, step = $3
			WHERE id = $1
				AND confirmed_at = 0`, id, millis(t.now), step); err != nil {
			return err
		}
		if err := t.addRecoveryCodes(id, codes); err != nil {
			return err
		}
		return t.audit(a, id)
	})
}

func (t *tx) addRecoveryCodes(factorID int64, codes []vpn.TokenHash) error {
	for _, hash := range codes {
		if _, err := t.exec(`
			INSERT INTO recovery_code (factor_id, hash)
			VALUES ($1, $2)`, factorID, hash[:]); err != nil {
			return err
		}
	}
	return nil
}

// CountCode implements vpn.FactorStore.
func (s *Store) CountCode(ctx context.Context, id int64, burst int, interval time.Duration) (wait time.Duration, err error) {
	ahead := time.Duration(burst-1) * interval
	err = s.write(ctx, "count code", func(t *tx) error {
		wait = 0
		counted, err := t.exec(`
			UPDATE second_factor
			SET tries_until = CASE WHEN tries_until > $2 THEN tries_until ELSE $2 END + $3
			WHERE id = $1
				AND confirmed_at > 0
				AND tries_until <= $4`, id, millis(t.now), interval.Milliseconds(), millis(t.now.Add(ahead)))
		if err != nil || counted > 0 {
			return err
		}
		var until time.Time
		err = one(t.row(`
			SELECT tries_until
			FROM second_factor
			WHERE id = $1
				AND confirmed_at > 0`, id), instant{&until})
		wait = until.Sub(t.now) - ahead
		return err
	})
	return wait, err
}

// TakeCode implements vpn.FactorStore.
func (s *Store) TakeCode(ctx context.Context, code vpn.CodeUse) error {
	return s.write(ctx, "take code", func(t *tx) error { return t.takeCode(code) })
}

// takeCode takes a code, if there is one to take. The account's row is held before, or not at all.
func (t *tx) takeCode(c vpn.CodeUse) (err error) {
	switch {
	case c.FactorID == 0:
		return nil
	case c.Recovery != vpn.TokenHash{}:
		err = t.change(`
			DELETE FROM recovery_code
			WHERE factor_id = $1
				AND hash = $2`, c.FactorID, c.Recovery[:])
		if err == nil {
			err = t.audit(vpn.Audit{ActorID: c.UserID, Action: "second_factor.recover"}, c.UserID)
		}
	default:
		err = t.change(`
			UPDATE second_factor
			SET step = $2
			WHERE id = $1
				AND confirmed_at > 0
				AND step < $2`, c.FactorID, c.Step)
	}
	if err == vpn.ErrNotFound { //nolint:errorlint // never wrapped inside a transaction
		return vpn.ErrCodeTaken
	}
	return err
}

// ReplaceRecoveryCodes implements vpn.FactorStore.
func (s *Store) ReplaceRecoveryCodes(ctx context.Context, id int64, codes []vpn.TokenHash, a vpn.Audit) error {
	return s.write(ctx, "replace recovery codes", func(t *tx) error {
		if err := t.change(`
			UPDATE second_factor
			SET step = step
			WHERE id = $1
				AND confirmed_at > 0`, id); err != nil { // holds the row: of two calls at once the later one's codes hold
			return err
		}
		if _, err := t.exec(`
			DELETE FROM recovery_code
			WHERE factor_id = $1`, id); err != nil {
			return err
		}
		if err := t.addRecoveryCodes(id, codes); err != nil {
			return err
		}
		return t.audit(a, id)
	})
}

// RemoveSecondFactor implements vpn.FactorStore.
func (s *Store) RemoveSecondFactor(ctx context.Context, userID int64, a vpn.Audit) error {
	return s.write(ctx, "remove second factor", func(t *tx) error {
		if err := t.change(`
			DELETE FROM second_factor
			WHERE user_id = $1`, userID); err != nil {
			return err
		}
		return t.audit(a, userID)
	})
}
