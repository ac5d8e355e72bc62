package vpn

import (
	"context"
	"errors"
	"time"
)

// Bounds of a publication.
const (
	DefaultHold    = time.Minute
	maxHold        = 7 * day
	DefaultKeepOld = refreshAfter
	// minKeepOld outlives what this service and its replicas keep of a server's ports: a second.
	minKeepOld = time.Minute
	maxKeepOld = 30 * day
)

// PublishConfig publishes a configuration of nodes: the first stage of its roll-out begins at once. CodeRolloutState while another
// is not ended; CodeValidationFailed names the field.
func (s *Service) PublishConfig(ctx context.Context, a *Actor, p Publication) (Rollout, error) {
	if err := a.may(NounNodes, Write); err != nil {
		return Rollout{}, err
	}
	switch {
	case p.Change == ConfigChange{}:
		return Rollout{}, invalid("ports", "required")
	case p.Hold < 0 || p.Hold > maxHold:
		return Rollout{}, invalid("hold", "in")
	case p.KeepOld < minKeepOld || p.KeepOld > maxKeepOld:
		return Rollout{}, invalid("keep_old", "in")
	}
	live, err := s.lastLive(ctx)
	if err != nil {
		return Rollout{}, err
	}
	return s.changeRollout(ctx, a.audit("config.publish", 0), func(last *Rollout, nodes []ConfiguredNode, next int64, now time.Time) (RolloutChange, error) {
		return p.publish(last, nodes, next, live, now)
	})
}

// lastLive is how nodes are, or, in a process that has none at hand, how they were when the one that has last wrote it down.
func (s *Service) lastLive(ctx context.Context) (func(int64) NodeLive, error) {
	streams, err := s.store.NodeStreams(ctx)
	if err != nil {
		return nil, err
	}
	written := make(map[int64]NodeLive, len(streams))
	for _, n := range streams {
		if n.IsOnline && s.now().Sub(n.At) < statusHolds {
			written[n.NodeID] = NodeLive{IsOnline: true, ActiveDevices: n.ActiveDevices, At: n.At}
		}
	}
	return func(id int64) NodeLive {
		if l := s.nodes.Live(id); l.IsOnline {
			return l
		}
		return written[id]
	}, nil
}

// ResumeConfig goes on with a roll-out that is stopped, under another revision: nodes that refused are asked again. The servers to
// leave stay with what their nodes serve; a roll-out that runs is resumed only to leave some. CodeRolloutState.
func (s *Service) ResumeConfig(ctx context.Context, a *Actor, leave []int64) (Rollout, error) {
	if err := a.may(NounNodes, Write); err != nil {
		return Rollout{}, err
	}
	return s.changeRollout(ctx, a.audit("config.resume", 0), func(last *Rollout, nodes []ConfiguredNode, next int64, now time.Time) (RolloutChange, error) {
		return resume(last, nodes, next, leave, now)
	})
}

// AbortConfig ends a roll-out: nodes that serve it keep it, no other gets it. CodeRolloutState.
func (s *Service) AbortConfig(ctx context.Context, a *Actor) (Rollout, error) {
	if err := a.may(NounNodes, Write); err != nil {
		return Rollout{}, err
	}
	return s.changeRollout(ctx, a.audit("config.abort", 0), func(last *Rollout, nodes []ConfiguredNode, _ int64, now time.Time) (RolloutChange, error) {
		return abort(last, nodes, now)
	})
}

// RollBackConfig returns all nodes that the newest roll-out has reached to what they served before, at once. CodeRolloutState.
func (s *Service) RollBackConfig(ctx context.Context, a *Actor) (Rollout, error) {
	if err := a.may(NounNodes, Write); err != nil {
		return Rollout{}, err
	}
	return s.changeRollout(ctx, a.audit("config.rollback", 0), func(last *Rollout, nodes []ConfiguredNode, next int64, now time.Time) (RolloutChange, error) {
		return rollBack(last, nodes, next, now)
	})
}

// changeRollout asks a rule and returns the newest roll-out that it leaves.
func (s *Service) changeRollout(ctx context.Context, a Audit, rule RolloutRule) (Rollout, error) {
	var newest Rollout
	err := s.store.ChangeRollout(ctx, func(last *Rollout, nodes []ConfiguredNode, next int64, now time.Time) (RolloutChange, error) {
		c, err := rule(last, nodes, next, now)
		if n := len(c.Rollouts); n > 0 {
			newest = c.Rollouts[n-1]
		}
		return c, err
	}, a)
	return newest, err
}

// ConfigStatus is the newest roll-out with all nodes.
type ConfigStatus struct {
	// Rollout is nil before the first.
	Rollout *Rollout
	// Nodes are in the order of their servers' ids.
	Nodes []ConfigNode
	// WaitsFor is the node for which a running roll-out waits; 0 = none.
	WaitsFor int64
}

// ConfigNode is a server's node as an operator sees its configuration.
type ConfigNode struct {
	Server Server
	// IsAble: the node takes configurations. One that never linked, or runs a release from before there were any, does not.
	IsAble   bool
	IsOnline bool
	ConfiguredNode
}

// ConfigState is where a node stands in a roll-out: "" when it has no part, else waiting, asked, away (the node is, and gets it when
// it is back, also of a roll-out that is done), serving or refused.
func (s *ConfigStatus) ConfigState(n *ConfigNode) string {
	r := s.Rollout
	switch {
	case r == nil || n.Stage == 0:
		return ""
	case r.IsServed(&n.ConfiguredNode):
		return "serving"
	case r.IsRefused(&n.ConfiguredNode):
		return "refused"
	case r.Has(&n.ConfiguredNode) && n.Wanted.Rev == r.Rev:
		if !n.IsOnline {
			return "away"
		}
		return "asked"
	case r.State == RolloutRunning || r.State == RolloutStopped:
		return "waiting"
	}
	return ""
}

// ConfigStatus returns how the newest roll-out is.
func (s *Service) ConfigStatus(ctx context.Context, a *Actor) (*ConfigStatus, error) {
	if err := a.may(NounNodes, Read); err != nil {
		return nil, err
	}
	servers, err := s.store.Servers(ctx)
	if err != nil {
		return nil, err
	}
	nodes, err := s.store.ConfiguredNodes(ctx)
	if err != nil {
		return nil, err
	}
	last, err := s.newestRollout(ctx)
	if err != nil {
		return nil, err
	}
	live, err := s.lastLive(ctx)
	if err != nil {
		return nil, err
	}
	out := &ConfigStatus{Rollout: last, Nodes: make([]ConfigNode, len(servers))}
	byID := make(map[int64]*ConfigNode, len(servers))
	for i := range servers {
		out.Nodes[i] = ConfigNode{Server: servers[i], IsOnline: live(servers[i].ID).IsOnline}
		byID[servers[i].ID] = &out.Nodes[i]
	}
	for i := range nodes {
		if n := byID[nodes[i].NodeID]; n != nil {
			n.IsAble, n.ConfiguredNode = true, nodes[i]
		}
	}
	if last != nil && last.State == RolloutRunning {
		out.WaitsFor, _ = last.waitsFor(nodes, live, s.now())
	}
	return out, nil
}

// newestRollout is nil when there was never one.
func (s *Service) newestRollout(ctx context.Context) (*Rollout, error) {
	newest, err := s.store.Rollouts(ctx, 0, 1)
	if err != nil || len(newest) == 0 {
		return nil, err
	}
	return &newest[0], nil
}

// Rollouts returns roll-outs with a revision below before (0 = the newest), the newest first, at most limit.
func (s *Service) Rollouts(ctx context.Context, a *Actor, before int64, limit int) ([]Rollout, error) {
	if err := a.may(NounNodes, Read); err != nil {
		return nil, err
	}
	return s.store.Rollouts(ctx, before, limit)
}

// NoteServing writes down what a node says that it serves: from now on keys name these ports. It returns what is wanted of
// the node; nothing is of one whose server was removed. CodeValidationFailed for what no node of a release can serve.
func (s *Service) NoteServing(ctx context.Context, nodeID int64, serving NodeServing) (ConfiguredNode, error) {
	if err := serving.check(); err != nil {
		return ConfiguredNode{}, err
	}
	node, stopped, err := s.store.NoteServing(ctx, nodeID, serving, Audit{Action: "config.stop", SubjectID: nodeID})
	if errors.Is(err, ErrNotFound) {
		return ConfiguredNode{}, nil
	}
	if err != nil {
		return ConfiguredNode{}, err
	}
	s.directory.drop()
	if stopped != 0 {
		s.log.ErrorContext(ctx, "a node refuses its configuration: the roll-out is stopped", "rev", stopped, "node", nodeID, "reason", serving.Refusal)
	}
	return node, nil
}

// AdvanceConfig takes the running roll-out on, if every node that it has reached is well. It is called every second, by every
// replica; each step is taken once.
func (s *Service) AdvanceConfig(ctx context.Context) error {
	last, err := s.newestRollout(ctx)
	if err != nil || last == nil {
		return err
	}
	seen := *last
	s.rollout.Store(&seen)
	if last.State != RolloutRunning {
		return nil
	}
	nodes, err := s.store.ConfiguredNodes(ctx)
	if err != nil {
		return err
	}
	if _, isWaiting := last.waitsFor(nodes, s.nodes.Live, s.now()); isWaiting && last.refusal(nodes) == nil {
		return nil
	}
	step, isTaken := "", false
	err = s.store.ChangeRollout(ctx, func(now *Rollout, nodes []ConfiguredNode, _ int64, at time.Time) (RolloutChange, error) {
		if isTaken = now != nil && now.Rev == last.Rev && now.Stage == last.Stage; !isTaken {
			return RolloutChange{}, nil
		}
		changed, isChanged := now.advance(nodes, s.nodes.Live, at)
		if isTaken = isChanged; !isChanged {
			return RolloutChange{}, nil
		}
		step, *last = StageName(now.Stage), *now
		return RolloutChange{Rollouts: []Rollout{*now}, Nodes: changed}, nil
	}, Audit{})
	switch {
	case err != nil || !isTaken:
	case last.State == RolloutStopped:
		s.log.ErrorContext(ctx, "the roll-out of a configuration is stopped", "rev", last.Rev, "stage", step, "reason", last.Why)
	default:
		s.log.InfoContext(ctx, "the roll-out of a configuration goes on", "rev", last.Rev, "state", string(last.State), "stage", step)
	}
	return err
}

// Rollout is the newest roll-out as AdvanceConfig last saw it; nil = there is none.
func (s *Service) Rollout() *Rollout { return s.rollout.Load() }

// AdvanceConfigEvery runs AdvanceConfig until ctx ends.
func (s *Service) AdvanceConfigEvery(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := s.AdvanceConfig(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "the roll-out of a configuration cannot go on", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
