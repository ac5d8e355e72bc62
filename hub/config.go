package hub

import (
	"context"
	"errors"

	"stile/feed"
	"stile/vpn"
	"stile/wire"
)

// compareConfigs wakes the streams whose node has not taken what is wanted of it. Configurations are in no hurry: this look each
// second is all that tells of them.
func (h *Hub) compareConfigs(ctx context.Context, streams map[int64]*stream) {
	pending, err := h.cfg.Store.PendingConfigs(ctx)
	if err != nil {
		if ctx.Err() == nil {
			h.cfg.Log.Error("what nodes should be configured to cannot be read", "error", err)
		}
		return
	}
	for _, p := range pending {
		if s := streams[p.NodeID]; s != nil && s.wantedConfig.Load() != p.Rev {
			poke(s.configWake)
		}
	}
}

// noteServing writes down what the node says that it serves.
func (s *stream) noteServing(ctx context.Context, serving *wire.Serving) feed.Event {
	if s.hub.cfg.NoteServing == nil {
		return feed.ConfigRead{}
	}
	n, err := s.hub.cfg.NoteServing(ctx, s.id, vpn.NodeServing{
		NodeConfig: vpn.NodeConfig{Rev: serving.Rev, NodePorts: nodePorts(serving.Ports)},
		RefusedRev: serving.RefusedRev, Refusal: printable(feed.WhyRefused(serving), wire.MaxText),
	})
	return s.configEvent(ctx, &n, err)
}

// readConfig reads what is wanted of the node.
func (s *stream) readConfig(ctx context.Context) feed.Event {
	if s.hub.cfg.NoteServing == nil {
		return feed.ConfigRead{}
	}
	n, err := s.hub.cfg.Store.ConfiguredNode(ctx, s.id)
	if errors.Is(err, vpn.ErrNotFound) { // its server was removed
		return feed.ConfigRead{}
	}
	return s.configEvent(ctx, &n, err)
}

func (s *stream) configEvent(ctx context.Context, n *vpn.ConfiguredNode, err error) feed.Event {
	if err != nil {
		if ctx.Err() == nil {
			s.tell(s.hub.cfg.Log.Error, "a node's configuration cannot be read or written down", "error", err)
		}
		return feed.ConfigFailed{}
	}
	w := &n.Wanted
	return feed.ConfigRead{Wanted: wire.Config{
		Rev: w.Rev, Ports: wire.Ports{Shadowsocks: int64(w.Shadowsocks), Count: int64(w.Count), Method: w.Method, HTTPS: int64(w.HTTPS)},
		KeepSeconds: int64(n.KeepOld.Seconds()),
	}}
}

func nodePorts(p wire.Ports) vpn.NodePorts {
	return vpn.NodePorts{Shadowsocks: int(p.Shadowsocks), Count: int(p.Count), Method: printable(p.Method, maxVersion), HTTPS: int(p.HTTPS)}
}
