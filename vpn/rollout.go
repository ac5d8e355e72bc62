package vpn

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// RolloutState says how a roll-out is.
type RolloutState string

// The states. A running roll-out goes on by itself; a stopped one waits for an operator; the others have ended.
const (
	RolloutRunning RolloutState = "running"
	RolloutStopped RolloutState = "stopped"
	RolloutDone    RolloutState = "done"
	RolloutAborted RolloutState = "aborted"
	// RolloutResumed: it goes on under another revision. RolloutUndone: another revision takes it back.
	RolloutResumed RolloutState = "resumed"
	RolloutUndone  RolloutState = "undone"
)

// The stages of a roll-out: one node, 1 % of the nodes, 10 %, all.
const (
	StageOne = 1 + iota
	StagePercent
	StageTenth
	StageAll
)

// StageName is what a stage is called.
func StageName(stage int) string {
	switch stage {
	case StageOne:
		return "one"
	case StagePercent:
		return "1%"
	case StageTenth:
		return "10%"
	case StageAll:
		return "all"
	}
	return ""
}

// stageShare is how many of n nodes a stage and those before it reach.
func stageShare(stage, n int) int {
	switch stage {
	case StageOne:
		return 1
	case StagePercent:
		return (n + 99) / 100
	case StageTenth:
		return (n + 9) / 10
	}
	return n
}

// ConfigChange is what a published configuration changes; what it does not name stays as it is on each node.
type ConfigChange struct {
	// ShadowsocksPort is the first of ShadowsocksPorts ports; 0 = as it is.
	ShadowsocksPort  int
	ShadowsocksPorts int
	// Method is what Shadowsocks speaks; "" = as it is.
	Method string
	// HTTPSPort is 0 for no HTTPS proxy, nil = as it is.
	HTTPSPort *int
}

// over is what ports become by the change.
func (c *ConfigChange) over(p NodePorts) NodePorts {
	if c.ShadowsocksPort != 0 {
		p.Shadowsocks, p.Count = c.ShadowsocksPort, c.ShadowsocksPorts
	}
	if c.Method != "" {
		p.Method = c.Method
	}
	if c.HTTPSPort != nil {
		p.HTTPS = *c.HTTPSPort
	}
	return p
}

// Rollout is a published configuration on its way to the nodes. Its revision is never given out again, and only the newest
// roll-out can be under way.
type Rollout struct {
	Rev   int64
	State RolloutState
	// Stage is the one that it has reached.
	Stage  int
	Change ConfigChange
	// Undoes is the revision that this one takes back; 0 = none. Each node returns to its own ports of before.
	Undoes int64
	// Hold is how long every node of a stage must have served it before the next stage begins.
	Hold time.Duration
	// KeepOld is as in ConfiguredNode.
	KeepOld time.Duration
	// Why says why it is stopped.
	Why       string
	CreatedAt time.Time
	// ChangedAt is when State or Stage last changed.
	ChangedAt time.Time
}

// RolloutRule says what becomes of the newest roll-out (nil = there is none), and of the nodes. It is asked within the writing
// transaction, perhaps more than once: nobody else changes either meanwhile. next is the revision for another roll-out.
// It returns the roll-outs and nodes that changed; of those, what the nodes said of themselves stays as it is.
type RolloutRule func(last *Rollout, nodes []ConfiguredNode, next int64, now time.Time) (RolloutChange, error)

// RolloutChange is what a RolloutRule changes.
type RolloutChange struct {
	Rollouts []Rollout
	Nodes    []ConfiguredNode
}

// target is what a node that the roll-out has reached should serve.
func (r *Rollout) target(n *ConfiguredNode) NodePorts { return r.Change.over(n.Before) }

// Has reports whether the roll-out has reached a node.
func (r *Rollout) Has(n *ConfiguredNode) bool { return n.Stage > 0 && n.Stage <= r.Stage }

// IsServed reports whether a node serves what the roll-out wants of it.
func (r *Rollout) IsServed(n *ConfiguredNode) bool {
	return r.Has(n) && n.Rev == r.Rev && n.NodePorts == r.target(n)
}

// IsRefused reports whether a node refused it, or a later one, of a history that was lost: nodes never go back.
func (r *Rollout) IsRefused(n *ConfiguredNode) bool {
	return r.Has(n) && n.RefusedRev >= r.Rev && n.Rev < r.Rev
}

// refusal returns the first node that refused the roll-out.
func (r *Rollout) refusal(nodes []ConfiguredNode) *ConfiguredNode {
	for i := range nodes {
		if n := &nodes[i]; r.IsRefused(n) {
			return n
		}
	}
	return nil
}

// give wants the roll-out of a node that it has reached.
func (r *Rollout) give(n *ConfiguredNode) {
	n.Wanted, n.KeepOld = NodeConfig{Rev: r.Rev, NodePorts: r.target(n)}, r.KeepOld
}

// due is what a node serves, or will when it has taken what was wanted of it before: it then gets both at once.
func (n *ConfiguredNode) due() NodePorts {
	if n.IsPending() {
		return n.Wanted.NodePorts
	}
	return n.NodePorts
}

// begin reaches the nodes of the present stage.
func (r *Rollout) begin(nodes []ConfiguredNode) (changed []ConfiguredNode) {
	for _, n := range nodes {
		if n.Stage == r.Stage {
			n.Before = n.due()
			r.give(&n)
			changed = append(changed, n)
		}
	}
	return changed
}

// next is the stage after the present one that has nodes; 0 = there is none.
func (r *Rollout) next(nodes []ConfiguredNode) int {
	next := 0
	for i := range nodes {
		if s := nodes[i].Stage; s > r.Stage && (next == 0 || s < next) {
			next = s
		}
	}
	return next
}

// waitsFor returns the first node for which the roll-out waits. Every node that it has reached must serve it since Hold, and
// have given a sign of life since. In the last stage, nodes that are away get it when they are back.
func (r *Rollout) waitsFor(nodes []ConfiguredNode, live func(int64) NodeLive, now time.Time) (id int64, isWaiting bool) {
	isLast := r.next(nodes) == 0
	for i := range nodes {
		n := &nodes[i]
		if !r.Has(n) {
			continue
		}
		l := live(n.NodeID)
		isWell := r.IsServed(n) && l.IsOnline && !l.At.Before(n.ServedAt) && now.Sub(n.ServedAt) >= r.Hold
		if !isWell && (l.IsOnline || !isLast) {
			return n.NodeID, true
		}
	}
	return 0, false
}

// advance takes a running roll-out one step on, if it can go on: to the next stage, or to its end. It reports whether
// anything changed.
func (r *Rollout) advance(nodes []ConfiguredNode, live func(int64) NodeLive, now time.Time) (changed []ConfiguredNode, isChanged bool) {
	if r.State != RolloutRunning {
		return nil, false
	}
	if n := r.refusal(nodes); n != nil {
		r.State, r.Why, r.ChangedAt = RolloutStopped, RefusalText(n.NodeID, n.Refusal), now
		return nil, true
	}
	if _, isWaiting := r.waitsFor(nodes, live, now); isWaiting {
		return nil, false
	}
	r.ChangedAt = now
	next := r.next(nodes)
	if next == 0 {
		r.State = RolloutDone
		return nil, true
	}
	r.Stage = next
	return r.begin(nodes), true
}

// RefusalText is what a stopped roll-out says of the node that stopped it.
func RefusalText(nodeID int64, why string) string {
	return fmt.Sprintf("node %d refuses it: %s", nodeID, why)
}

// Publication is a configuration to be published.
type Publication struct {
	Change ConfigChange
	// ServerIDs are those that it is for; none = all.
	ServerIDs []int64
	// First is the server that gets it first; 0 = the one that is online with the fewest devices.
	First int64
	Hold  time.Duration
	// KeepOld is as in ConfiguredNode; DefaultKeepOld where nobody says another.
	KeepOld time.Duration
}

// publish makes a roll-out and begins its first stage.
func (p *Publication) publish(last *Rollout, nodes []ConfiguredNode, next int64, live func(int64) NodeLive, now time.Time) (RolloutChange, error) {
	if last != nil && (last.State == RolloutRunning || last.State == RolloutStopped) {
		return RolloutChange{}, Refusal(CodeRolloutState)
	}
	r := Rollout{Rev: next, State: RolloutRunning, Change: p.Change, Hold: p.Hold, KeepOld: p.KeepOld, CreatedAt: now, ChangedAt: now}
	members, err := p.members(nodes)
	if err != nil {
		return RolloutChange{}, err
	}
	p.arrange(members, live)
	for stage, i := StageOne, 0; i < len(members); stage++ {
		for ; i < stageShare(stage, len(members)); i++ {
			n := members[i]
			n.Stage = stage
			if err := p.Change.over(n.due()).check(); err != nil {
				return RolloutChange{}, err
			}
		}
	}
	r.Stage = StageOne
	begun := r.begin(nodes)
	for _, n := range begun {
		nodes[slices.IndexFunc(nodes, func(m ConfiguredNode) bool { return m.NodeID == n.NodeID })] = n
	}
	return RolloutChange{Rollouts: []Rollout{r}, Nodes: nodes}, nil
}

// members returns the nodes that the publication is for, and takes all others out of the roll-out before.
func (p *Publication) members(nodes []ConfiguredNode) ([]*ConfiguredNode, error) {
	var members []*ConfiguredNode
	for i := range nodes {
		nodes[i].Stage = 0
		if len(p.ServerIDs) == 0 || slices.Contains(p.ServerIDs, nodes[i].NodeID) {
			members = append(members, &nodes[i])
		}
	}
	isMember := func(id int64) bool {
		return slices.ContainsFunc(members, func(n *ConfiguredNode) bool { return n.NodeID == id })
	}
	for _, id := range p.ServerIDs {
		if !isMember(id) {
			return nil, invalid("servers", "exists")
		}
	}
	switch {
	case len(members) == 0:
		return nil, invalid("servers", "exists")
	case p.First != 0 && !isMember(p.First):
		return nil, invalid("first", "exists")
	}
	return members, nil
}

// arrange puts the nodes into the order in which they are reached: those online with the fewest devices first.
func (p *Publication) arrange(members []*ConfiguredNode, live func(int64) NodeLive) {
	rank := func(n *ConfiguredNode) int {
		switch {
		case n.NodeID == p.First:
			return 0
		case live(n.NodeID).IsOnline:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(members, func(a, b *ConfiguredNode) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(live(a.NodeID).ActiveDevices, live(b.NodeID).ActiveDevices),
			cmp.Compare(a.NodeID, b.NodeID))
	})
}

// resume goes on with a stopped roll-out under another revision, so that those who refused are asked again; without the
// nodes that are left, which stay with what they serve. One that runs can be resumed to leave nodes.
func resume(last *Rollout, nodes []ConfiguredNode, next int64, leave []int64, now time.Time) (RolloutChange, error) {
	if last == nil || last.State != RolloutStopped && (last.State != RolloutRunning || len(leave) == 0) {
		return RolloutChange{}, Refusal(CodeRolloutState)
	}
	for _, id := range leave {
		if !slices.ContainsFunc(nodes, func(n ConfiguredNode) bool { return n.NodeID == id && n.Stage > 0 }) {
			return RolloutChange{}, invalid("leave", "exists")
		}
	}
	r := *last
	r.Rev, r.State, r.Why, r.CreatedAt, r.ChangedAt = next, RolloutRunning, "", now, now
	last.State, last.ChangedAt = RolloutResumed, now
	var changed []ConfiguredNode
	for _, n := range nodes {
		switch isLeft := slices.Contains(leave, n.NodeID); {
		case isLeft:
			last.takeBack(&n)
			n.Stage = 0
		case r.Has(&n):
			r.give(&n)
		default:
			continue
		}
		changed = append(changed, n)
	}
	return RolloutChange{Rollouts: []Rollout{*last, r}, Nodes: changed}, nil
}

// takeBack wants of a node what it serves, if it does not serve the roll-out yet.
func (r *Rollout) takeBack(n *ConfiguredNode) {
	if n.Wanted.Rev == r.Rev && n.Rev != r.Rev {
		n.Wanted = n.NodeConfig
	}
}

// abort ends a roll-out where it is.
func abort(last *Rollout, nodes []ConfiguredNode, now time.Time) (RolloutChange, error) {
	if last == nil || last.State != RolloutRunning && last.State != RolloutStopped {
		return RolloutChange{}, Refusal(CodeRolloutState)
	}
	last.State, last.ChangedAt = RolloutAborted, now
	var changed []ConfiguredNode
	for _, n := range nodes {
		if last.Has(&n) {
			last.takeBack(&n)
			changed = append(changed, n)
		}
	}
	return RolloutChange{Rollouts: []Rollout{*last}, Nodes: changed}, nil
}

// rollBack makes a revision by which all nodes that the newest roll-out has reached return to what they served before, at once.
func rollBack(last *Rollout, nodes []ConfiguredNode, next int64, now time.Time) (RolloutChange, error) {
	if last == nil || last.Undoes != 0 || last.State == RolloutUndone {
		return RolloutChange{}, Refusal(CodeRolloutState)
	}
	r := Rollout{
		Rev: next, State: RolloutRunning, Stage: StageAll, Undoes: last.Rev, Hold: last.Hold, KeepOld: last.KeepOld, CreatedAt: now, ChangedAt: now,
	}
	var changed []ConfiguredNode
	for _, n := range nodes {
		if isReached := last.Has(&n); isReached {
			n.Stage = StageAll
			r.give(&n)
		} else {
			n.Stage = 0
		}
		changed = append(changed, n)
	}
	last.State, last.ChangedAt = RolloutUndone, now
	return RolloutChange{Rollouts: []Rollout{*last, r}, Nodes: changed}, nil
}
