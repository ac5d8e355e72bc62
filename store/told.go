package store

import (
	"context"
	"time"

	"stile/vpn"
)

// TellNode implements vpn.OutboxStore. A node that never came counts as told to be offline.
func (s *Store) TellNode(ctx context.Context, nodeID int64, isOnline bool) error {
	return s.write(ctx, "tell node", func(t *tx) error {
		n, err := t.exec(`
			INSERT INTO node_told (node_id, is_online)
			SELECT CAST($1 AS BIGINT), CAST($2 AS BOOLEAN)
			WHERE CAST($2 AS BOOLEAN)
				OR EXISTS (SELECT 1 FROM node_told WHERE node_id = $1)
			ON CONFLICT (node_id) DO UPDATE
			SET is_online = excluded.is_online
			WHERE node_told.is_online <> excluded.is_online`, nodeID, isOnline)
		if err != nil || n == 0 {
			return err
		}
		name := vpn.EventOffline
		if isOnline {
			name = vpn.EventOnline
		}
		return t.tell(name, 0, nodeID)
	})
}

// NodesTold implements vpn.OutboxStore.
func (s *Store) NodesTold(ctx context.Context) (map[int64]bool, error) {
	told := map[int64]bool{}
	rows, err := s.read(ctx).rows(`
		SELECT node_id
		FROM node_told
		WHERE is_online`)
	err = each(rows, err, func(row scanner) error {
		id, err := scanID(row)
		told[id] = true
		return err
	})
	return told, err
}

// maxExpiries is the most subscriptions whose notices are written in one transaction, but for those of one millisecond.
const maxExpiries = 1000

// maxIdle is how far the instant of a notice may lie behind while there is nothing to tell: a look alone writes nothing.
const maxIdle = time.Hour

// TellExpiries implements vpn.OutboxStore. What was told ends at an instant: whose expiry is moved over it is told again, and
// nothing is kept for each user.
func (s *Store) TellExpiries(ctx context.Context, name string, until time.Time, least time.Duration) (more bool, err error) {
	var begin int64
	var isAny bool
	err = one(s.read(ctx).row(`
		SELECT n.until, EXISTS (
			SELECT 1
			FROM subscription s
			WHERE s.expires_at > n.until
				AND s.expires_at <= $2
		)
		FROM expiry_notice n
		WHERE n.event = $1`, name, millis(until)), &begin, &isAny)
	if err == nil && !isAny && millis(until)-begin < maxIdle.Milliseconds() {
		return false, nil
	}
	err = s.write(ctx, "tell expiries", func(t *tx) error {
		more = false
		isNew, err := t.exec(`
			INSERT INTO expiry_notice (event, until)
			VALUES ($1, $2)
			ON CONFLICT (event) DO NOTHING`, name, millis(until))
		if err != nil || isNew > 0 {
			return err
		}
		var from int64
		if err := t.row(`
			SELECT until
			FROM expiry_notice
			WHERE event = $1
			{{lock}}`, name).Scan(&from); err != nil || from >= millis(until) {
			return err
		}
		users, to, err := t.expiring(from, millis(until), least)
		if err != nil {
			return err
		}
		more = to < millis(until)
		if _, err := t.exec(`
			UPDATE expiry_notice
			SET until = $2
			WHERE event = $1`, name, to); err != nil {
			return err
		}
		events := make([]statement, len(users))
		for i, id := range users {
			events[i] = event(name, id, id, t.now)
		}
		return t.together(events...)
	})
	return more, err
}

// expiring lists whose subscriptions end after from, up to the instant that it returns: until, or one before it when there
// are too many.
func (t *tx) expiring(from, until int64, least time.Duration) (users []int64, to int64, err error) {
	to = until
	err = t.row(`
		SELECT expires_at
		FROM subscription
		WHERE expires_at > $1
			AND expires_at <= $2
		ORDER BY expires_at
		LIMIT 1
		OFFSET $3`, from, until, maxExpiries).Scan(&to)
	if err != nil && !isNone(err) {
		return nil, 0, err
	}
	rows, err := t.rows(`
		SELECT user_id
		FROM subscription
		WHERE expires_at > $1
			AND expires_at <= $2
			AND expires_at - starts_at >= $3
		ORDER BY user_id`, from, to, least.Milliseconds())
	users, err = list(rows, err, scanID)
	return users, to, err
}

// quotaNotices are the parts of a quota that are told of, and their events, the largest first.
var quotaNotices = []struct { //nolint:gochecknoglobals // a table
	percent int
	event   string
}{
	{100, vpn.EventTraffic100}, {leastQuotaNotice, vpn.EventTraffic80},
}

const leastQuotaNotice = 80

// tellQuota tells of a user's traffic that it passed a part of the limit, once in a traffic period.
func (t *tx) tellQuota(userID, before, used, limit, resetsAt int64) error {
	for _, n := range quotaNotices {
		if !vpn.QuotaReached(used, limit, n.percent) {
			continue
		}
		if vpn.QuotaReached(before, limit, n.percent) {
			return nil
		}
		isNew, err := t.exec(`
			INSERT INTO quota_notice (user_id, resets_at, percent)
			VALUES ($1, $2, $3)
			ON CONFLICT (user_id) DO UPDATE
			SET resets_at = excluded.resets_at, percent = excluded.percent
			WHERE quota_notice.resets_at <> excluded.resets_at
				OR quota_notice.percent < excluded.percent`, userID, resetsAt, n.percent)
		if err != nil || isNew == 0 {
			return err
		}
		return t.tell(n.event, userID, userID)
	}
	return nil
}
