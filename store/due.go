package store

import (
	"context"
	"time"

	"stile/vpn"
)

// keysDue notes that a user's keys may carry a wrong deadline until RefreshKeys.
func (t *tx) keysDue(userID int64) error {
	return t.change(`
		UPDATE account
		SET keys_due = TRUE
		WHERE id = $1`, userID)
}

var markDue = batch{0, `
	UPDATE account
	SET keys_due = TRUE
	WHERE id IN (
		SELECT id
		FROM account
		WHERE id IN (`, "?", `)
		ORDER BY id
		{{lock}}
	)`}

// usersDue ends each half at the limit: after an import all traffic periods may end at one instant.
const usersDue = `
	SELECT user_id
	FROM (
		SELECT user_id
		FROM (
			SELECT id AS user_id
			FROM account
			WHERE keys_due
			ORDER BY id
			LIMIT $2
		) AS noted
		UNION
		SELECT user_id
		FROM (
			SELECT user_id
			FROM subscription
			WHERE traffic_resets_at > 0
				AND traffic_resets_at <= $1
			ORDER BY traffic_resets_at
			LIMIT $2
		) AS over
	) AS due
	ORDER BY user_id
	LIMIT $2`

// UsersDue implements vpn.SubscriptionStore. Every change that can make deadlines stale notes it with the account, also
// for a caller who does not come to refresh the keys; that of a plan or of a server's tier by SpreadDue.
func (s *Store) UsersDue(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	rows, err := s.scan(ctx).rows(usersDue, millis(now), limit)
	return list(rows, err, scanID)
}

// spreading is a change that concerns the keys of so many that they are noted as due some at a time, each page with how far
// that came.
type spreading struct {
	table string
	// users are the next accounts that the row $1 concerns behind $2, at most $3.
	users string
	// isHeldFirst: the row is held before accounts, as issued keys hold it, and not behind them, as changes of subscriptions do.
	isHeldFirst bool
}

var spreadings = []*spreading{
	{table: "plan", users: `
		SELECT user_id
		FROM subscription
		WHERE plan_id = $1
			AND user_id > $2
		ORDER BY user_id
		LIMIT $3`},
	{table: "server", isHeldFirst: true, users: `
		SELECT DISTINCT d.user_id
		FROM device d
		CROSS JOIN access_key k
		WHERE d.user_id > $2
			AND k.device_id = d.id
			AND k.server_id = $1
			AND k.removed_at = 0
		ORDER BY d.user_id
		LIMIT $3`},
}

// SpreadDue implements vpn.SubscriptionStore. Whoever comes by such a plan or a key after the change, has them by what is new.
func (s *Store) SpreadDue(ctx context.Context, limit int) (more bool, err error) {
	for _, of := range spreadings {
		var id, after int64
		err := one(s.read(ctx).row(`
			SELECT id, due_after
			FROM `+of.table+`
			WHERE due_after >= 0
			ORDER BY id
			LIMIT 1`), &id, &after)
		if err == vpn.ErrNotFound { //nolint:errorlint // never wrapped by one
			continue
		}
		if err != nil {
			return false, err
		}
		return true, s.spread(ctx, of, id, after, limit)
	}
	return false, nil
}

// spread notes the accounts behind after that a changed row concerns.
func (s *Store) spread(ctx context.Context, of *spreading, id, after int64, limit int) error {
	rows, err := s.scan(ctx).rows(of.users, id, after, limit)
	users, err := list(rows, err, scanID)
	if err != nil {
		return err
	}
	last := int64(-1)
	if len(users) == limit {
		last = users[limit-1]
	}
	return s.write(ctx, "spread due", func(t *tx) error {
		advance := func() error { // unless it was changed again, or another process is ahead
			_, err := t.exec(`
				UPDATE `+of.table+`
				SET due_after = $3
				WHERE id = $1
					AND due_after = $2`, id, after, last)
			return err
		}
		if of.isHeldFirst {
			if err := advance(); err != nil {
				return err
			}
			return t.execOf(&markDue, nil, anys(users))
		}
		if err := t.execOf(&markDue, nil, anys(users)); err != nil {
			return err
		}
		return advance()
	})
}
