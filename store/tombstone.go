package store

import (
	"context"
	"time"

	"stile/vpn"
	"stile/wire"
)

// compactAtOnce bounds how many tombstones one transaction removes. Of those of one revision, which may be all keys of a removed
// server, some can be left under the floor for the next one: it says only what may be missing.
const compactAtOnce = 5000

var liveSums = batch{1, `
	SELECT id, sum
	FROM access_key
	WHERE server_id + 0 = $1
		AND removed_at = 0
		AND id IN (`, "?", `)`}

// EntombRemoved implements vpn.NodeStore.
func (s *Store) EntombRemoved(ctx context.Context) ([]vpn.NodeRev, error) {
	var id int64
	err := one(s.read(ctx).row(`
		SELECT node_id
		FROM node_sync
		WHERE removed_at > 0
			AND count > 0
		ORDER BY node_id
		LIMIT 1`), &id)
	if err == vpn.ErrNotFound { //nolint:errorlint // never wrapped by one
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.entombSome(ctx, id)
}

// entombAtOnce is how many keys of a removed server become tombstones in one transaction.
const entombAtOnce = 2000

// entombSome makes some of the keys of a node, whose server is removed, tombstones, as one revision; nil when there are none left.
func (s *Store) entombSome(ctx context.Context, nodeID int64) (changed []vpn.NodeRev, err error) {
	err = s.write(ctx, "entomb some", func(t *tx) error {
		changed = nil
		nodes, err := t.lockNodes([]int64{nodeID})
		if err != nil {
			return err
		}
		n := nodes[nodeID]
		rows, err := t.rows(`
			SELECT id, sum
			FROM access_key
			WHERE server_id = $1
				AND removed_at = 0
			ORDER BY rev
			LIMIT $2`, nodeID, entombAtOnce)
		var ids []any
		err = each(rows, err, func(row scanner) error {
			var id int64
			var sum wire.Sum
			err := row.Scan(&id, sum32{&sum})
			n.remove(sum)
			ids = append(ids, id)
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := t.entomb(n.advance(), ids); err != nil {
			return err
		}
		changed = changedNodes(nodes)
		return t.saveNodes(nodes)
	})
	return changed, err
}

// EntombKeys implements vpn.NodeStore.
func (s *Store) EntombKeys(ctx context.Context, nodeID int64, ids []int64, a vpn.Audit) (count int, err error) {
	err = s.write(ctx, "entomb keys", func(t *tx) error {
		count = 0
		nodes, err := t.lockNodes([]int64{nodeID})
		if err != nil {
			return err
		}
		n := nodes[nodeID]
		if n == nil {
			return vpn.ErrNotFound
		}
		var live []any
		err = t.eachOf(&liveSums, []any{nodeID}, anys(ids), func(row scanner) error {
			var id int64
			var sum wire.Sum
			err := row.Scan(&id, sum32{&sum})
			n.remove(sum)
			live = append(live, id)
			return err
		})
		if err != nil || len(live) == 0 {
			return err
		}
		count = len(live)
		if err := t.entomb(n.advance(), live); err != nil {
			return err
		}
		if err := t.saveNodes(nodes); err != nil {
			return err
		}
		return t.audit(a, nodeID)
	})
	return count, err
}

// CompactTombstones implements vpn.NodeStore.
func (s *Store) CompactTombstones(ctx context.Context, nodeID, acked int64, before time.Time) (removed int, err error) {
	err = s.write(ctx, "compact tombstones", func(t *tx) error {
		removed = 0
		if _, err := t.lockNodes([]int64{nodeID}); err != nil {
			return err
		}
		var floor int64
		if err := t.row(`
			SELECT COALESCE(MAX(rev), 0)
			FROM (
				SELECT rev
				FROM access_key
				WHERE server_id = $1
					AND removed_at > 0
					AND rev <= $2
					AND rev < (
						SELECT COALESCE(MIN(rev), $2 + 1)
						FROM access_key
						WHERE server_id = $1
							AND removed_at > 0
							AND removed_at > $3
					)
				ORDER BY rev
				LIMIT $4
			) AS old`, nodeID, acked, millis(before), compactAtOnce).Scan(&floor); err != nil || floor == 0 {
			return err
		}
		n, err := t.exec(`
			DELETE FROM access_key
			WHERE id IN (
				SELECT id
				FROM access_key
				WHERE server_id = $1
					AND removed_at > 0
					AND rev <= $2
				ORDER BY rev
				LIMIT $3
			)`, nodeID, floor, compactAtOnce)
		if err != nil {
			return err
		}
		removed = int(n)
		_, err = t.exec(`
			UPDATE node_sync
			SET floor = $2
			WHERE node_id = $1
				AND floor < $2`, nodeID, floor)
		return err
	})
	return removed, err
}
