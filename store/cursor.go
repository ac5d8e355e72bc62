package store

import (
	"context"
	"slices"
	"time"

	"stile/vpn"
)

// UsageCursor implements vpn.NodeStore.
func (s *Store) UsageCursor(ctx context.Context, nodeID int64) (map[uint64]uint64, error) {
	cursors := map[uint64]uint64{}
	rows, err := s.read(ctx).rows(`
		SELECT stream, seq
		FROM usage_cursor
		WHERE node_id = $1`, nodeID)
	err = each(rows, err, func(row scanner) error {
		var stream, seq int64
		err := row.Scan(&stream, &seq)
		cursors[uint64(stream)] = uint64(seq)
		return err
	})
	return cursors, err
}

// advanceCursor moves a stream's cursor iff the report is the next one.
func (t *tx) advanceCursor(r vpn.UsageReport, day int64) (moved bool, err error) {
	var n int64
	if r.Seq == 1 {
		n, err = t.exec(`
			INSERT INTO usage_cursor (node_id, stream, seq, day)
			VALUES ($1, $2, 1, $3)
			ON CONFLICT (node_id, stream) DO NOTHING`, r.NodeID, int64(r.Stream), day)
	} else {
		n, err = t.exec(`
			UPDATE usage_cursor
			SET seq = seq + 1, day = $4
			WHERE node_id = $1
				AND stream = $2
				AND seq = $3`, r.NodeID, int64(r.Stream), int64(r.Seq-1), day)
	}
	return n > 0, err
}

// cursor is where a stream stands, 0 for a new one.
func (t *tx) cursor(r vpn.UsageReport) (uint64, error) {
	var seq int64
	err := t.row(`
		SELECT seq
		FROM usage_cursor
		WHERE node_id = $1
			AND stream = $2`, r.NodeID, int64(r.Stream)).Scan(&seq)
	if isNone(err) {
		err = nil
	}
	return uint64(seq), err
}

// CompactCursors implements vpn.NodeStore.
func (s *Store) CompactCursors(ctx context.Context, nodeID int64, held []uint64, before time.Time) (removed int, err error) {
	err = s.write(ctx, "compact cursors", func(t *tx) error {
		removed = 0
		if _, err := t.exec(`
			UPDATE usage_cursor
			SET day = $2
			WHERE node_id = $1
				AND day = 0`, nodeID, millis(midnight(t.now))); err != nil {
			return err
		}
		rows, err := t.rows(`
			SELECT stream
			FROM usage_cursor
			WHERE node_id = $1
				AND day < $2`, nodeID, millis(before))
		old, err := list(rows, err, scanID)
		if err != nil {
			return err
		}
		for _, stream := range old {
			if slices.Contains(held, uint64(stream)) {
				continue
			}
			n, err := t.exec(`
				DELETE FROM usage_cursor
				WHERE node_id = $1
					AND stream = $2
					AND day < $3`, nodeID, stream, millis(before))
			if err != nil {
				return err
			}
			removed += int(n)
		}
		return nil
	})
	return removed, err
}

// ForgetCursors implements vpn.NodeStore.
func (s *Store) ForgetCursors(ctx context.Context, before time.Time) error {
	return s.write(ctx, "forget cursors", func(t *tx) error {
		_, err := t.exec(`
			DELETE FROM usage_cursor
			WHERE node_id IN (
				SELECT node_id
				FROM node_sync
				WHERE removed_at > 0
					AND removed_at < $1
			)`, millis(before))
		return err
	})
}
