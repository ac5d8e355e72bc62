package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"stile/vpn"
)

const (
	// maxEntryBytes bounds what one entry of a report can count: 1 PiB, more than any node carries between two reports.
	maxEntryBytes = 1 << 50
	// maxDayBytes is what neither a key nor a node carries in a day: the day's sum stops growing there, and sums of days stay within
	// 64 bits. A node in foreign hands may report as often as it likes.
	maxDayBytes = 1 << 52
	// maxSumBytes is the same for what a user has used.
	maxSumBytes = 1 << 60

	// maxDayText is the same in SQL.
	maxDayText = "4503599627370496"
)

// UserUsage implements vpn.KeyStore.
func (s *Store) UserUsage(ctx context.Context, userID int64, days int) ([]vpn.DayUsage, error) {
	rows, err := s.read(ctx).rows(`
		SELECT day, CAST(SUM(up) AS BIGINT), CAST(SUM(down) AS BIGINT)
		FROM usage_day
		WHERE user_id = $1
		GROUP BY day
		ORDER BY day DESC
		LIMIT $2`, userID, days)
	return list(rows, err, func(row scanner) (d vpn.DayUsage, err error) {
		err = row.Scan(instant{&d.Day}, &d.Up, &d.Down)
		return d, err
	})
}

// ApplyUsage implements vpn.NodeStore. Entries are dropped that name a key of another node or of a removed user, or that
// count less than nothing. Traffic of a removed key still counts for its user.
func (s *Store) ApplyUsage(ctx context.Context, r vpn.UsageReport, today time.Time) (cursor uint64, applied bool, exceeded []int64, err error) {
	err = s.write(ctx, "apply usage", func(t *tx) error {
		exceeded = nil
		day := millis(midnight(today))
		if applied, err = t.advanceCursor(r, day); err != nil {
			return err
		}
		if !applied {
			cursor, err = t.cursor(r)
			return err
		}
		cursor = r.Seq
		exceeded, err = t.bookUsage(r, day)
		return err
	})
	if err != nil {
		return 0, false, nil, err
	}
	return cursor, applied, exceeded, nil
}

// traffic is what a report counts for one key.
type traffic struct{ up, down int64 }

// keyTraffic is a row of usage_day to be.
type keyTraffic struct {
	id int64
	traffic
}

// userTraffic is what a report counts for one user.
type userTraffic struct {
	bytes   int64
	keys    []keyTraffic
	devices []any // ids of those that are still signed in and have no traffic of the day yet
	isKnown bool
	// hasLiveKey tells that a key goes on which is neither removed nor past its deadline.
	hasLiveKey bool
}

var (
	keyOwners = batch{1, `
	SELECT id, user_id, device_id, not_after, removed_at
	FROM access_key
	WHERE server_id + 0 = $1
		AND id IN (`, "?", ")"}

	// bookedToday names its rows by the beginning of the primary key, for all keys of the users.
	bookedToday = batch{1, `
	SELECT user_id, key_id
	FROM usage_day
	WHERE day = $1
		AND user_id IN (`, "?", ")"}

	knownUsers = batch{0, `
	SELECT id
	FROM account
	WHERE id IN (`, "?", ")"}

	addUsage = batch{0, `
	INSERT INTO usage_day (user_id, day, key_id, up, down)
	VALUES `, "(?, ?, ?, ?, ?)", `
	ON CONFLICT (user_id, day, key_id) DO UPDATE
	SET up = usage_day.up + CASE WHEN usage_day.up < ` + maxDayText + ` THEN excluded.up ELSE 0 END,
		down = usage_day.down + CASE WHEN usage_day.down < ` + maxDayText + ` THEN excluded.down ELSE 0 END`}

	holdSubscriptions = batch{0, `
	SELECT user_id, plan_id, starts_at, expires_at, used_bytes, traffic_resets_at, updated_at
	FROM subscription
	WHERE user_id IN (`, "?", `)
	ORDER BY user_id
	{{lock}}`}

	saveUsed = batch{0, `
	INSERT INTO subscription (user_id, plan_id, starts_at, expires_at, used_bytes, traffic_resets_at, updated_at)
	VALUES `, "(?, ?, ?, ?, ?, ?, ?)", `
	ON CONFLICT (user_id) DO UPDATE
	SET used_bytes = excluded.used_bytes`}

	seeDevices = batch{1, `
	UPDATE device
	SET last_seen_day = $1
	WHERE last_seen_day < $1
		AND id IN (`, "?", `)`}

	seeTokens = batch{1, `
	UPDATE token
	SET last_used_day = $1
	WHERE last_used_day < $1
		AND device_id IN (`, "?", `)`}
)

// bookUsage writes the entries of a report down and returns the users it took over their quota.
func (t *tx) bookUsage(r vpn.UsageReport, day int64) (exceeded []int64, err error) {
	users, err := t.usersOf(r.NodeID, day, sumEntries(r.Entries))
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(maps.Keys(users))
	var rows, devices []any
	for _, id := range ids {
		u := users[id]
		for _, k := range u.keys {
			rows = append(rows, id, day, k.id, k.up, k.down)
		}
		devices = append(devices, u.devices...)
	}
	if err := t.execBatch(&addUsage, 5, rows); err != nil {
		return nil, err
	}
	if err := t.countNode(r.NodeID, day, users); err != nil {
		return nil, err
	}
	if exceeded, err = t.countUsed(ids, users); err != nil {
		return nil, err
	}
	if err := t.execOf(&seeDevices, []any{day}, devices); err != nil {
		return nil, err
	}
	return exceeded, t.execOf(&seeTokens, []any{day}, devices)
}

// sumEntries adds up what a report says of each key.
func sumEntries(entries []vpn.UsageEntry) map[int64]traffic {
	keys := make(map[int64]traffic, len(entries))
	for _, e := range entries {
		if e.Up < 0 || e.Down < 0 || e.Up > maxEntryBytes || e.Down > maxEntryBytes || e.Up+e.Down == 0 {
			continue
		}
		sum := keys[e.KeyID]
		keys[e.KeyID] = traffic{up: min(sum.up+e.Up, maxEntryBytes), down: min(sum.down+e.Down, maxEntryBytes)}
	}
	return keys
}

// usersOf finds whose traffic it is. Users who are gone are left out. Whoever has traffic of the day is there; only for the
// others, and for keys that are the first time in use on that day, are more rows read: most reports are about the same keys.
func (t *tx) usersOf(nodeID, day int64, keys map[int64]traffic) (map[int64]*userTraffic, error) {
	found := map[int64]*userTraffic{}
	devices := map[int64]int64{} // of the keys that are not removed
	err := t.eachOf(&keyOwners, []any{nodeID}, anys(slices.Sorted(maps.Keys(keys))), func(row scanner) error {
		var id, userID, deviceID, notAfter, removedAt int64
		if err := row.Scan(&id, &userID, &deviceID, &notAfter, &removedAt); err != nil {
			return err
		}
		u := found[userID]
		if u == nil {
			u = &userTraffic{}
			found[userID] = u
		}
		u.bytes = min(u.bytes, maxSumBytes) + keys[id].up + keys[id].down
		u.keys = append(u.keys, keyTraffic{id, keys[id]})
		if removedAt == 0 {
			devices[id] = deviceID
			u.hasLiveKey = u.hasLiveKey || notAfter == 0 || notAfter > millis(t.now)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids := anys(slices.Sorted(maps.Keys(found)))
	err = t.eachOf(&bookedToday, []any{day}, ids, func(row scanner) error {
		var userID, keyID int64
		err := row.Scan(&userID, &keyID)
		found[userID].isKnown = true
		delete(devices, keyID)
		return err
	})
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(ids, func(id any) bool { return found[id.(int64)].isKnown }) //nolint:forcetypeassert // anys made them
	err = t.eachOf(&knownUsers, nil, ids, func(row scanner) error {
		id, err := scanID(row)
		found[id].isKnown = true
		return err
	})
	maps.DeleteFunc(found, func(_ int64, u *userTraffic) bool { return !u.isKnown })
	for _, u := range found {
		for _, k := range u.keys {
			if device, isFirst := devices[k.id]; isFirst {
				u.devices = append(u.devices, device)
			}
		}
	}
	return found, err
}

// countUsed adds to the traffic of the running periods and returns whom that took over the quota. Whoever is over it
// with a key that goes on is noted as due.
func (t *tx) countUsed(ids []int64, users map[int64]*userTraffic) (exceeded []int64, err error) {
	limits, err := t.trafficLimits()
	if err != nil {
		return nil, err
	}
	var rows, due []any
	var counted []func() error // what is told of, after the rows were read
	err = t.eachOf(&holdSubscriptions, nil, anys(ids), func(row scanner) error {
		var userID, planID, startsAt, expiresAt, before, resetsAt, updatedAt int64
		if err := row.Scan(&userID, &planID, &startsAt, &expiresAt, &before, &resetsAt, &updatedAt); err != nil {
			return err
		}
		used := min(before, maxSumBytes) + min(users[userID].bytes, maxSumBytes)
		rows = append(rows, userID, planID, startsAt, expiresAt, used, resetsAt, updatedAt)
		limit := limits[planID]
		if resetsAt > 0 && resetsAt <= millis(t.now) {
			return nil
		}
		if vpn.QuotaReached(used, limit, leastQuotaNotice) {
			counted = append(counted, func() error { return t.tellQuota(userID, before, used, limit, resetsAt) })
		}
		if limit == 0 || used < limit {
			return nil
		}
		if before < limit {
			exceeded = append(exceeded, userID)
		}
		if users[userID].hasLiveKey {
			due = append(due, userID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := t.execBatch(&saveUsed, 7, rows); err != nil {
		return nil, err
	}
	for _, tell := range counted {
		if err := tell(); err != nil {
			return nil, err
		}
	}
	return exceeded, t.execOf(&markDue, nil, due)
}

// trafficLimits are the limits of all plans, by plan.
func (t *tx) trafficLimits() (map[int64]int64, error) {
	limits := map[int64]int64{}
	rows, err := t.rows(`
		SELECT id, traffic_limit
		FROM plan`)
	err = each(rows, err, func(row scanner) error {
		var id, limit int64
		err := row.Scan(&id, &limit)
		limits[id] = limit
		return err
	})
	return limits, err
}
