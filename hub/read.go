package hub

import (
	"context"

	"stile/feed"
	"stile/vpn"
	"stile/wire"
)

func position(p vpn.NodePosition) feed.Position {
	return feed.Position{Epoch: p.Epoch, Rev: p.Rev, Count: int64(p.Count), Digest: p.Digest, Floor: p.Floor}
}

// wireKey is a key as it travels.
func wireKey(k *vpn.NodeKey) wire.Key {
	w := wire.Key{ID: k.ID, Seed: wire.Seed(k.Seed), UpBytesPerSecond: k.Limits.UpBytesPerSecond,
		DownBytesPerSecond: k.Limits.DownBytesPerSecond, MaxSessions: int64(k.Limits.MaxSessions)}
	if !k.NotAfter.IsZero() {
		w.NotAfter = k.NotAfter.UnixMilli()
	}
	return w
}

func (s *stream) failed(ctx context.Context, what string, err error) feed.Event {
	if ctx.Err() == nil {
		s.tell(s.hub.cfg.Log.Error, "a node's set cannot be read", "read", what, "error", err)
	}
	return feed.ReadFailed{}
}

func (s *stream) readPosition(ctx context.Context) feed.Event {
	p, err := s.hub.cfg.Store.NodePosition(ctx, s.id)
	if err != nil {
		return s.failed(ctx, "position", err)
	}
	cursors, err := s.hub.cfg.Store.UsageCursor(ctx, s.id)
	if err != nil {
		return s.failed(ctx, "usage cursors", err)
	}
	s.usageStreams = len(cursors)
	return feed.PositionRead{Position: position(p), Cursors: cursors}
}

func (s *stream) readChanges(ctx context.Context, f feed.ReadChanges) feed.Event {
	keys, p, err := s.hub.cfg.Store.NodeChanges(ctx, s.id, f.After, f.Limit)
	if err != nil {
		return s.failed(ctx, "changes", err)
	}
	read := feed.ChangesRead{Position: position(p), Rows: make([]feed.Row, len(keys))}
	for i := range keys {
		k := &keys[i]
		read.Rows[i] = feed.Row{Rev: k.Rev, IsRevoked: k.IsRemoved, Key: wire.Key{ID: k.ID}}
		if !k.IsRemoved {
			read.Rows[i].Key = wireKey(k)
		}
	}
	read.IsPartial = len(keys) >= f.Limit && keys[len(keys)-1].Rev < p.Rev
	return read
}

func (s *stream) readSnapshot(ctx context.Context) feed.Event {
	select {
	case s.hub.snapshots <- struct{}{}:
		defer func() { <-s.hub.snapshots }()
	case <-ctx.Done():
		return feed.ReadFailed{}
	}
	var read feed.SnapshotRead
	p, err := s.hub.cfg.Store.NodeSnapshot(ctx, s.id, func(k vpn.NodeKey) error {
		if k.IsRemoved {
			read.Revoked = append(read.Revoked, k.ID)
			return nil
		}
		read.Keys = append(read.Keys, wireKey(&k))
		return nil
	})
	if err != nil {
		return s.failed(ctx, "snapshot", err)
	}
	read.Position = position(p)
	return read
}
