package hub

import (
	"context"
	"time"

	"stile/feed"
	"stile/vpn"
	"stile/wire"
)

const (
	// keepTombstones is how old a backup may be that is put back: nodes and database remember for so long which keys were
	// revoked.
	keepTombstones = 30 * 24 * time.Hour
	// compactInterval is how often old tombstones are looked for.
	compactInterval = time.Hour
)

// entomb makes keys tombstones that the node knows to be revoked.
func (s *stream) entomb(ctx context.Context, ids []int64) feed.Event {
	count, err := s.hub.cfg.Store.EntombKeys(ctx, s.id, ids, vpn.Audit{Action: "node.revoke_again"})
	if err != nil {
		return s.failed(ctx, "revoked keys", err)
	}
	return feed.Entombed{Count: count}
}

// raiseEpoch begins an epoch, and has every other stream look at it.
func (s *stream) raiseEpoch(ctx context.Context, above int64) feed.Event {
	epoch, err := s.hub.cfg.Store.RaiseEpoch(ctx, above, vpn.Audit{Action: "database.restored"})
	if err != nil {
		return s.failed(ctx, "epoch", err)
	}
	s.hub.cfg.Log.Warn("the epoch rises: all nodes compare their keys with the database", "epoch", epoch, "node", s.id)
	for id, other := range s.hub.streams() {
		if id != s.id {
			other.poke()
		}
	}
	return s.readPosition(ctx)
}

func (h *Hub) compactEvery(ctx context.Context) {
	ticker := time.NewTicker(compactInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.compact(ctx)
		}
	}
}

// compact removes what no node and no backup needs: tombstones, and where usage streams stood.
func (h *Hub) compact(ctx context.Context) {
	before := h.cfg.Now().Add(-keepTombstones)
	failed := func(id int64, err error) bool {
		if err != nil && ctx.Err() == nil {
			h.cfg.Log.Error("what is old cannot be removed", "node", id, "error", err)
		}
		return err != nil
	}
	for id, s := range h.streams() {
		applied, held := s.compactable()
		if applied == 0 { // the node is not in step yet
			continue
		}
		for removed := 1; removed > 0 && ctx.Err() == nil; {
			var err error
			if removed, err = h.cfg.Store.CompactTombstones(ctx, id, applied, before); failed(id, err) {
				return
			}
		}
		if _, err := h.cfg.Store.CompactCursors(ctx, id, held, before); failed(id, err) {
			return
		}
	}
	failed(0, h.cfg.Store.ForgetCursors(ctx, before))
}

// compactable is what the node has applied, and its usage streams; nothing of a node that has more of those than are noted.
func (s *stream) compactable() (applied int64, held []uint64) {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	if s.node.state.Session != s.session || len(s.held) == wire.MaxItems {
		return 0, nil
	}
	return s.node.state.Applied, s.held
}
