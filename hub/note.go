package hub

import (
	"context"
	"sync"
	"time"

	"stile/vpn"
)

const (
	// noteInterval is how often how the nodes are is written down for operators, where no replicas are told of it anyway.
	noteInterval = 3 * time.Second
	// noteGather is how late it is written that a node came or went: those of that time share the write.
	noteGather = 100 * time.Millisecond
)

// notes are the nodes whose state changed since it was written down.
type notes struct {
	mu      sync.Mutex
	changed map[int64]bool
	// soon has one slot: a node came or went.
	soon chan struct{}
}

func newNotes() notes { return notes{changed: make(map[int64]bool), soon: make(chan struct{}, 1)} }

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

// noteEvery writes what changed until ctx ends, and then that no node is linked any more. What fails is written when it has changed
// again, at the next beat.
func (h *Hub) noteEvery(ctx context.Context) {
	ticker := time.NewTicker(noteInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			h.noteEnd(ctx)
			return
		case <-h.notes.soon:
			select {
			case <-ctx.Done():
			case <-time.After(noteGather):
			}
		case <-ticker.C:
		}
		ids := h.notes.take()
		streams := make([]vpn.NodeStream, len(ids))
		for i, id := range ids {
			streams[i] = h.node(id).now()
		}
		h.note(ctx, streams)
	}
}

// noteEnd writes that the nodes of this process are offline: it ends, and no other has their streams.
func (h *Hub) noteEnd(ctx context.Context) {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	var streams []vpn.NodeStream
	h.mu.Lock()
	for _, n := range h.nodes {
		if s := n.now(); s.Session > 0 {
			s.IsOnline, s.Load, s.ActiveDevices, s.Sessions = false, 0, 0, 0
			streams = append(streams, s)
		}
	}
	h.mu.Unlock()
	h.note(ending, streams)
}

func (h *Hub) note(ctx context.Context, streams []vpn.NodeStream) {
	if len(streams) == 0 {
		return
	}
	if err := h.cfg.Store.NoteStreams(ctx, streams); err != nil && ctx.Err() == nil {
		h.cfg.Log.Error("how the nodes are cannot be written down", "error", err)
	}
}
