package store

import (
	"context"
	"time"

	"stile/accesskey"
	"stile/vpn"
	"stile/wire"
)

const keyColumns = `
	k.device_id, k.server_id, k.id, k.user_id, k.seed, k.up_limit, k.down_limit, k.max_sessions, k.not_after, k.rev, k.created_at`

// scanKey reads keyColumns of a live key, and what comes behind them.
func (s *Store) scanKey(row scanner, more ...any) (vpn.Key, error) {
	var k vpn.Key
	var sealed []byte
	err := row.Scan(append([]any{
		&k.DeviceID, &k.ServerID, &k.ID, &k.UserID, &sealed, &k.Limits.UpBytesPerSecond, &k.Limits.DownBytesPerSecond,
		&k.Limits.MaxSessions, instant{&k.NotAfter}, &k.Rev, instant{&k.CreatedAt},
	}, more...)...)
	if err != nil {
		if isNone(err) {
			err = vpn.ErrNotFound
		}
		return vpn.Key{}, err
	}
	opened, err := s.aead.Open(k.Seed[:0], nil, sealed, associated(purposeSeed, k.ID))
	if err != nil || len(opened) != len(k.Seed) {
		return vpn.Key{}, errSealed
	}
	return k, nil
}

// sumOf is what a live key adds to its node's digest.
func sumOf(id int64, seed accesskey.Seed, l vpn.KeyLimits, notAfter time.Time) wire.Sum {
	return wire.Key{
		ID: id, Seed: wire.Seed(seed), NotAfter: millis(notAfter),
		UpBytesPerSecond: l.UpBytesPerSecond, DownBytesPerSecond: l.DownBytesPerSecond, MaxSessions: int64(l.MaxSessions),
	}.Sum()
}

var (
	// keyOfPair joins each pair to its live key by the index that is made for it, as the engines must be told in different words.
	keyOfPair = lookup{`
	SELECT` + keyColumns + `
	FROM (VALUES `, "(CAST(? AS BIGINT), CAST(? AS BIGINT))", ", ", ") AS pair CROSS JOIN {{live_key}}"}

	keysOfDevice = lookup{`
	SELECT` + keyColumns + `
	FROM access_key k
	WHERE k.removed_at = 0
		AND k.device_id IN (`, "?", ", ", ")"}

	serversOfDevice = lookup{`
	SELECT device_id, server_id
	FROM access_key
	WHERE removed_at = 0
		AND device_id IN (`, "?", ", ", `)
	ORDER BY device_id, server_id`}
)

// DeviceKey implements vpn.KeyStore.
func (s *Store) DeviceKey(_ context.Context, deviceID, serverID int64) (vpn.Key, error) {
	var k vpn.Key
	err := s.lookRow(&keyOfPair, func(row scanner) (err error) {
		k, err = s.scanKey(row)
		return err
	}, deviceID, serverID)
	return k, err
}

// DeviceKeys implements vpn.KeyStore.
func (s *Store) DeviceKeys(_ context.Context, deviceID int64) ([]vpn.Key, error) {
	var keys []vpn.Key
	err := s.look(&keysOfDevice, func(row scanner) error {
		k, err := s.scanKey(row)
		keys = append(keys, k)
		return err
	}, deviceID)
	return keys, err
}

// Key implements vpn.KeyStore.
func (s *Store) Key(ctx context.Context, id int64) (vpn.Key, error) {
	return s.scanKey(s.read(ctx).row(`
		SELECT`+keyColumns+`
		FROM access_key k
		WHERE k.id = $1
			AND k.removed_at = 0`, id))
}

// DeviceServers implements vpn.KeyStore.
func (s *Store) DeviceServers(_ context.Context, deviceID int64) ([]int64, error) {
	var servers []int64
	err := s.look(&serversOfDevice, func(row scanner) error {
		var id int64
		err := row.Scan(nil, &id)
		servers = append(servers, id)
		return err
	}, deviceID)
	return servers, err
}

var (
	deviceNodes = batch{0, `
	SELECT DISTINCT server_id
	FROM access_key
	WHERE device_id IN (`, "?", `)
		AND removed_at = 0`}
	deviceKeySums = batch{0, `
	SELECT id, server_id, sum
	FROM access_key
	WHERE device_id IN (`, "?", `)
		AND removed_at = 0`}
)

// removeDeviceKeys makes all keys of devices tombstones. The transaction holds the devices, so that no key is added; each
// node's change is one revision.
func (t *tx) removeDeviceKeys(devices []int64) ([]vpn.NodeRev, error) {
	nodes, err := t.lockNodesOf(&deviceNodes, anys(devices))
	if err != nil {
		return nil, err
	}
	removed := map[*node][]any{}
	err = t.eachOf(&deviceKeySums, nil, anys(devices), func(row scanner) error {
		var id, serverID int64
		var sum wire.Sum
		if err := row.Scan(&id, &serverID, sum32{&sum}); err != nil {
			return err
		}
		n := nodes[serverID]
		n.remove(sum)
		removed[n] = append(removed[n], id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for n, ids := range removed {
		if err := t.entomb(n.advance(), ids); err != nil {
			return nil, err
		}
	}
	return changedNodes(nodes), t.saveNodes(nodes)
}

// lockNodesOf holds the nodes whose ids a query finds.
func (t *tx) lockNodesOf(query *batch, args []any) (map[int64]*node, error) {
	seen := map[int64]bool{}
	var ids []int64
	err := t.eachOf(query, nil, args, func(row scanner) error {
		id, err := scanID(row)
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return t.lockNodes(ids)
}

var entomb = batch{3, `
	UPDATE access_key
	SET removed_at = $1, rev = $2, seed = $3, sum = $3
	WHERE id IN (`, "?", `)`}

// entomb makes keys tombstones with a revision: their seeds are wiped.
func (t *tx) entomb(rev int64, ids []any) error {
	return t.execOf(&entomb, []any{millis(t.now), rev, []byte{}}, ids)
}

// RefreshKeys implements vpn.KeyStore.
func (s *Store) RefreshKeys(ctx context.Context, userID int64, terms vpn.KeyTerms) (changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "refresh keys", func(t *tx) error {
		changed = nil
		if _, err := t.exec(`
			UPDATE account
			SET keys_due = FALSE
			WHERE id = $1
				AND keys_due`, userID); err != nil {
			return err
		}
		devices, err := t.devicesOf(userID)
		if err != nil {
			return err
		}
		nodes, err := t.lockNodesOf(&deviceNodes, devices)
		if err != nil {
			return err
		}
		stale, err := t.staleKeys(devices, &terms)
		if err != nil {
			return err
		}
		for _, k := range stale {
			n := nodes[k.ServerID]
			if n == nil {
				continue // issued since the nodes were held, with values as new as these
			}
			if !n.isChanged {
				n.advance()
			}
			if err := t.updateKey(n, &k.Key, n.rev, k.wanted, terms.Limits); err != nil {
				return err
			}
		}
		changed = changedNodes(nodes)
		return t.saveNodes(nodes)
	})
	return changed, err
}

// devicesOf lists a user's devices, as arguments.
func (t *tx) devicesOf(userID int64) (ids []any, err error) {
	rows, err := t.rows(`
		SELECT id
		FROM device
		WHERE user_id = $1
		ORDER BY id`, userID)
	err = each(rows, err, func(row scanner) error {
		id, err := scanID(row)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// staleKey is a live key that has another deadline than it should, or other limits.
type staleKey struct {
	vpn.Key
	wanted time.Time // the deadline
}

// wantedDeadline is $3 on servers above the tier $1, and $2 on others.
const wantedDeadline = `
	CASE
		WHEN (SELECT tier FROM server WHERE id = k.server_id) > $1 THEN CAST($3 AS BIGINT)
		ELSE CAST($2 AS BIGINT)
	END`

var staleKeys = batch{6, `
	SELECT` + keyColumns + `,` + wantedDeadline + `
	FROM access_key k
	WHERE (k.not_after <> ` + wantedDeadline + ` OR k.up_limit <> $4 OR k.down_limit <> $5 OR k.max_sessions <> $6)
		AND k.removed_at = 0
		AND k.device_id IN (`, "?", `)`}

// staleKeys returns the stale keys of devices.
func (t *tx) staleKeys(devices []any, terms *vpn.KeyTerms) (stale []staleKey, err error) {
	l := terms.Limits
	values := []any{
		int64(terms.Tier), millis(terms.NotAfter), millis(terms.NotAfterAbove), l.UpBytesPerSecond, l.DownBytesPerSecond, int64(l.MaxSessions),
	}
	err = t.eachOf(&staleKeys, values, devices, func(row scanner) error {
		var k staleKey
		var err error
		k.Key, err = t.store.scanKey(row, instant{&k.wanted})
		stale = append(stale, k)
		return err
	})
	return stale, err
}

// updateKey gives a live key of a held node a revision, a deadline and limits.
func (t *tx) updateKey(n *node, k *vpn.Key, rev int64, notAfter time.Time, l vpn.KeyLimits) error {
	n.remove(sumOf(k.ID, k.Seed, k.Limits, k.NotAfter))
	k.Rev, k.NotAfter, k.Limits = rev, notAfter, l
	sum := sumOf(k.ID, k.Seed, l, notAfter)
	n.add(sum)
	_, err := t.exec(`
		UPDATE access_key
		SET rev = $2, not_after = $3, up_limit = $4, down_limit = $5, max_sessions = $6, sum = $7
		WHERE id = $1`, k.ID, rev, millis(notAfter), l.UpBytesPerSecond, l.DownBytesPerSecond, l.MaxSessions, sum[:])
	return err
}
