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
				INSERT INTO node_stream (node_id, session, replica, is_online, epoch, applied_rev, version, load, active, sessions,
					seen_at, refused)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
				ON CONFLICT (node_id) DO UPDATE
				SET session = excluded.session, replica = excluded.replica, is_online = excluded.is_online, epoch = excluded.epoch,
					applied_rev = excluded.applied_rev, version = excluded.version, load = excluded.load, active = excluded.active,
					sessions = excluded.sessions, seen_at = excluded.seen_at, refused = excluded.refused`,
				n.NodeID, n.Session, n.Replica, n.IsOnline, n.Epoch, n.Applied, n.Version, n.Load, n.ActiveDevices, n.Sessions,
				millis(n.At), string(n.Refused)); err != nil {
				return err
			}
		}
		return nil
	})
}

// NodeStreams implements vpn.MembershipStore.
func (s *Store) NodeStreams(ctx context.Context) ([]vpn.NodeStream, error) {
	rows, err := s.scan(ctx).rows(`
		SELECT node_id, session, replica, is_online, epoch, applied_rev, version, load, active, sessions, seen_at, refused
		FROM node_stream
		ORDER BY node_id`)
	return list(rows, err, scanStream)
}

// scanStream scans a row of node_stream.
func scanStream(row scanner) (s vpn.NodeStream, err error) {
	err = row.Scan(&s.NodeID, &s.Session, &s.Replica, &s.IsOnline, &s.Epoch, &s.Applied, &s.Version, &s.Load, &s.ActiveDevices,
		&s.Sessions, instant{&s.At}, &s.Refused)
	return s, err
}
