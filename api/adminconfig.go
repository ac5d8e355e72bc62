package api

import (
	"context"
	"time"

	"stile/vpn"
	"stile/wire"
)

func adminRolloutOf(r *vpn.Rollout) *wire.AdminRollout {
	return &wire.AdminRollout{
		Rev: r.Rev, State: string(r.State), Stage: vpn.StageName(r.Stage), ShadowsocksPort: orNull(r.Change.ShadowsocksPort),
		ShadowsocksPorts: orNull(r.Change.ShadowsocksPorts), HTTPSPort: r.Change.HTTPSPort, ShadowsocksMethod: orNull(r.Change.Method), Undoes: orNull(r.Undoes),
		HoldSeconds: int64(r.Hold.Seconds()), KeepOldSeconds: int64(r.KeepOld.Seconds()), Why: orNull(r.Why),
		CreatedAt: wire.Seconds(r.CreatedAt), ChangedAt: wire.Seconds(r.ChangedAt),
	}
}

// configStatus returns the newest roll-out with all nodes.
func (a *API) configStatus(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.AdminConfig, error) {
	st, err := a.service.ConfigStatus(ctx, actor)
	if err != nil {
		return nil, err
	}
	out := &wire.AdminConfig{WaitsFor: orNull(st.WaitsFor), Nodes: make([]wire.AdminConfigNode, len(st.Nodes))}
	if st.Rollout != nil {
		out.Rollout = adminRolloutOf(st.Rollout)
	}
	for i := range st.Nodes {
		n := &st.Nodes[i]
		out.Nodes[i] = wire.AdminConfigNode{
			ID: n.Server.ID, Name: n.Server.Name, IsAble: n.IsAble, IsOnline: n.IsOnline, State: orNull(st.ConfigState(n)), Stage: orNull(vpn.StageName(n.Stage)),
			Rev: n.Rev, ShadowsocksPort: n.Server.ShadowsocksPort, ShadowsocksPorts: n.Server.ShadowsocksPorts, HTTPSPort: n.Server.HTTPSPort,
			ShadowsocksMethod: n.Server.ShadowsocksMethod, Refusal: orNull(n.Refusal),
		}
	}
	return out, nil
}

// rollouts returns a page of what was published.
func (a *API) rollouts(ctx context.Context, actor *vpn.Actor, in backInput) (*wire.Page[*wire.AdminRollout, int64], error) {
	all, err := a.service.Rollouts(ctx, actor, in.before, in.limit+1)
	return pageOf(all, in.limit, adminRolloutOf, func(r *vpn.Rollout) int64 { return r.Rev }), err
}

// publicationInput is the input of POST /api/admin/config.
type publicationInput struct{ vpn.Publication }

func (p *publicationInput) read(in *input) {
	c := &p.Change
	c.ShadowsocksPort, c.ShadowsocksPorts = in.count("shadowsocks_port", false), in.count("shadowsocks_ports", false)
	if c.ShadowsocksPort != 0 && c.ShadowsocksPorts == 0 {
		c.ShadowsocksPorts = 1
	}
	c.Method = in.text("shadowsocks_method", false)
	if in.isGiven("https_port") {
		port := in.count("https_port", false)
		c.HTTPSPort = &port
	}
	switch v := in.field("servers", false); {
	case v.kind != kindAbsent:
		p.ServerIDs = in.ids("servers")
	case v.text != "": // an empty list, of which all servers would come
		in.fault("servers", "exists", 0)
	}
	p.First, p.Hold, p.KeepOld = in.integer("first", false), vpn.DefaultHold, vpn.DefaultKeepOld
	if in.isGiven("hold_seconds") {
		p.Hold = time.Duration(in.count("hold_seconds", false)) * time.Second
	}
	if in.isGiven("keep_old_seconds") {
		p.KeepOld = time.Duration(in.count("keep_old_seconds", false)) * time.Second
	}
}

// publishConfig gives nodes other ports and protocols, in stages.
func (a *API) publishConfig(ctx context.Context, actor *vpn.Actor, in publicationInput) (*wire.AdminRollout, error) {
	r, err := a.service.PublishConfig(ctx, actor, in.Publication)
	return adminRolloutOf(&r), spelled(err, configFields)
}

// resumeInput is the input of POST /api/admin/config/resume.
type resumeInput struct{ leave []int64 }

func (r *resumeInput) read(in *input) {
	if in.isGiven("leave") {
		r.leave = in.ids("leave")
	}
}

// resumeConfig goes on with a roll-out that is stopped.
func (a *API) resumeConfig(ctx context.Context, actor *vpn.Actor, in resumeInput) (*wire.AdminRollout, error) {
	r, err := a.service.ResumeConfig(ctx, actor, in.leave)
	return adminRolloutOf(&r), err
}

// abortConfig ends a roll-out where it is.
func (a *API) abortConfig(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.AdminRollout, error) {
	r, err := a.service.AbortConfig(ctx, actor)
	return adminRolloutOf(&r), err
}

// rollBackConfig returns all nodes that the newest roll-out has reached to what they served before.
func (a *API) rollBackConfig(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.AdminRollout, error) {
	r, err := a.service.RollBackConfig(ctx, actor)
	return adminRolloutOf(&r), err
}
