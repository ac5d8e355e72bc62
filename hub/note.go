package hub

import (
	"context"
	"sync"
	"time"

	"stile/vpn"
)

// noteInterval is how often how the nodes are is written down for operators, where no replicas are told of it anyway.
const noteInterval = 3 * time.Second

// notes are the nodes whose state changed since it was written down.
type notes struct {
	mu      sync.Mutex
	changed map[int64]bool
}

func (n *notes) add(id int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changed[id] = true
}

func (n *notes) take() []int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return empty(n.changed)
}

// noteEvery writes what changed until ctx ends. What fails is written when it has changed again, at the next beat.
func (h *Hub) noteEvery(ctx context.Context) {
	ticker := time.NewTicker(noteInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		ids := h.notes.take()
		if len(ids) == 0 {
			continue
		}
		streams := make([]vpn.NodeStream, len(ids))
		for i, id := range ids {
			streams[i] = h.node(id).now()
		}
		if err := h.cfg.Store.NoteStreams(ctx, streams); err != nil && ctx.Err() == nil {
			h.cfg.Log.Error("how the nodes are cannot be written down", "error", err)
		}
	}
}
