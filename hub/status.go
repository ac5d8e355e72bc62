package hub

import (
	"context"
	"time"

	"stile/vpn"
	"stile/wire"
)

// noteInterval is how often what nodes said of themselves is written down, for operators.
const noteInterval = 3 * time.Second

// status is what a node said of itself over its present link.
type status struct {
	link      *memberLink
	said      vpn.NodeStatus
	isChanged bool // since it was written down
}

// hear notes what a frame tells of its node.
func (l *Listener) hear(m *memberLink, f wire.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.statuses[m.by.id]
	if s == nil || s.link != m {
		return
	}
	switch f := f.(type) {
	case *wire.Hello:
		s.said.Version, s.said.Rev = f.Version, f.Rev
	case *wire.Ack:
		s.said.Rev = f.Rev
	case *wire.NodeBeat:
		s.said.Rev, s.said.Load, s.said.Sessions, s.said.ActiveKeys = f.Rev, int(f.Load), int(f.Sessions), int(f.ActiveKeys)
	default:
		return
	}
	s.said.SeenAt = l.cfg.Hub.cfg.Now()
	s.isChanged = true
}

func (l *Listener) noteStatuses(ctx context.Context) {
	ticker := time.NewTicker(noteInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		changed := l.changedStatuses()
		if len(changed) == 0 {
			continue
		}
		if err := l.cfg.Members.NoteNodes(ctx, changed); err != nil && ctx.Err() == nil {
			l.cfg.Log.Error("how the nodes are cannot be written down", "error", err)
		}
	}
}

// changedStatuses takes what is new. Of nodes that are gone nothing stays in memory.
func (l *Listener) changedStatuses() []vpn.NodeStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	var changed []vpn.NodeStatus
	for id, s := range l.statuses {
		if !s.isChanged {
			continue
		}
		s.isChanged = false
		s.said.NodeID, s.said.IsOnline = id, l.cfg.Hub.Live(id).IsOnline
		changed = append(changed, s.said)
		if l.links[s.link.name] != s.link {
			delete(l.statuses, id)
		}
	}
	return changed
}
