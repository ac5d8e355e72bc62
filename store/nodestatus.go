package store

import (
	"context"

	"stile/vpn"
)

// NoteStreams implements vpn.NodeStore. Where there are replicas, theirs is the way to write the same rows: Publish.
func (s *Store) NoteStreams(ctx context.Context, streams []vpn.NodeStream) error {
	return s.write(ctx, "note streams", func(t *tx) error {
		for i := range streams {
			n := &streams[i]
			if _, err := t.exec(`
				INSERT INTO node_stream (node_id, session, replica, is_online, epoch, applied_rev, version, load, active, sessions, seen_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
				ON CONFLICT (node_id) DO UPDATE
				SET session = excluded.session, replica = excluded.replica, is_online = excluded.is_online, epoch = excluded.epoch,
					applied_rev = excluded.applied_rev, version = excluded.version, load = excluded.load, active = excluded.active,
					sessions = excluded.sessions, seen_at = excluded.seen_at`,
				n.NodeID, n.Session, n.Replica, n.IsOnline, n.Epoch, n.Applied, n.Version, n.Load, n.ActiveDevices, n.Sessions, millis(n.At)); err != nil {
				return err
			}
		}
		return nil
	})
}

// NodeStatuses implements vpn.MembershipStore.
func (s *Store) NodeStatuses(ctx context.Context) ([]vpn.NodeStatus, error) {
	rows, err := s.scan(ctx).rows(`
		SELECT node_id, is_online, seen_at, applied_rev, version, load, sessions, active
		FROM node_stream
		ORDER BY node_id`)
	return list(rows, err, func(row scanner) (n vpn.NodeStatus, err error) {
		err = row.Scan(&n.NodeID, &n.IsOnline, instant{&n.SeenAt}, &n.Rev, &n.Version, &n.Load, &n.Sessions, &n.ActiveKeys)
		return n, err
	})
}
