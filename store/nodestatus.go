package store

import (
	"context"

	"stile/vpn"
)

// SetNodeStatuses implements vpn.MembershipStore.
func (s *Store) SetNodeStatuses(ctx context.Context, statuses []vpn.NodeStatus) error {
	return s.write(ctx, "set node statuses", func(t *tx) error {
		for i := range statuses {
			n := &statuses[i]
			if _, err := t.exec(`
				INSERT INTO node_status (node_id, is_online, seen_at, rev, version, load, sessions, active_keys)
				SELECT node_id, $2, $3, $4, $5, $6, $7, $8
				FROM node_identity
				WHERE node_id = $1
				ON CONFLICT (node_id) DO UPDATE
				SET is_online = excluded.is_online, seen_at = excluded.seen_at, rev = excluded.rev, version = excluded.version,
					load = excluded.load, sessions = excluded.sessions, active_keys = excluded.active_keys`,
				n.NodeID, n.IsOnline, millis(n.SeenAt), n.Rev, n.Version, n.Load, n.Sessions, n.ActiveKeys); err != nil {
				return err
			}
		}
		return nil
	})
}

// NodeStatuses implements vpn.MembershipStore.
func (s *Store) NodeStatuses(ctx context.Context) ([]vpn.NodeStatus, error) {
	rows, err := s.scan(ctx).rows(`
		SELECT node_id, is_online, seen_at, rev, version, load, sessions, active_keys
		FROM node_status
		ORDER BY node_id`)
	return list(rows, err, func(row scanner) (n vpn.NodeStatus, err error) {
		err = row.Scan(&n.NodeID, &n.IsOnline, instant{&n.SeenAt}, &n.Rev, &n.Version, &n.Load, &n.Sessions, &n.ActiveKeys)
		return n, err
	})
}
