package storetest

import (
	"errors"
	"slices"
	"time"

	"stile/accesskey"
	"stile/vpn"
)

// ports are a node's.
func ports(shadowsocks, https int) vpn.NodePorts {
	return vpn.NodePorts{Shadowsocks: shadowsocks, Count: 4, Method: accesskey.MethodAES256GCM, HTTPS: https}
}

// serving is a node's word.
func serving(rev int64, p vpn.NodePorts) vpn.NodeServing {
	return vpn.NodeServing{NodeConfig: vpn.NodeConfig{Rev: rev, NodePorts: p}}
}

// serverPorts are those that keys of a server name.
func (w *world) serverPorts(id int64) vpn.NodePorts {
	w.Helper()
	all, err := w.store.Servers(w.ctx)
	w.ok(err)
	i := slices.IndexFunc(all, func(s vpn.Server) bool { return s.ID == id })
	return all[i].Ports()
}

// give wants a revision of nodes, as a roll-out that has reached them does.
func (w *world) give(p vpn.NodePorts, ids ...int64) (rev int64) {
	w.Helper()
	w.ok(w.store.ChangeRollout(w.ctx, func(_ *vpn.Rollout, nodes []vpn.ConfiguredNode, next int64, now time.Time) (c vpn.RolloutChange, err error) {
		rev = next
		c.Rollouts = []vpn.Rollout{{Rev: next, State: vpn.RolloutRunning, Stage: vpn.StageOne, Hold: time.Second, KeepOld: time.Minute, CreatedAt: now, ChangedAt: now}}
		for _, n := range nodes {
			if slices.Contains(ids, n.NodeID) {
				n.Stage, n.Before, n.KeepOld, n.Wanted = vpn.StageOne, n.NodePorts, time.Minute, vpn.NodeConfig{Rev: next, NodePorts: p}
				c.Nodes = append(c.Nodes, n)
			}
		}
		return c, nil
	}, by("config.publish")))
	return rev
}

func configuredNodes(w *world) {
	server, other := w.server(), w.server()
	note := func(id int64, s vpn.NodeServing) (vpn.ConfiguredNode, int64) {
		w.Helper()
		n, stopped, err := w.store.NoteServing(w.ctx, id, s, by("config.stop"))
		w.ok(err)
		return n, stopped
	}
	_, _, err := w.store.NoteServing(w.ctx, server.ID+1000, serving(0, ports(8388, 0)), by("config.stop"))
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.ConfiguredNode(w.ctx, server.ID)
	w.is(err, vpn.ErrNotFound)

	// Keys name what the node serves from its first word on, and what an operator writes changes nothing of that.
	n, _ := note(server.ID, serving(0, ports(8388, 443)))
	is(w, "wanted", n.Wanted, vpn.NodeConfig{NodePorts: ports(8388, 443)})
	is(w, "ports of the server", w.serverPorts(server.ID), ports(8388, 443))
	server.Name, server.ShadowsocksPort, server.ShadowsocksPorts, server.ShadowsocksMethod = "renamed", 1, 1, accesskey.Method2022AES128
	server.Protocols = []vpn.Protocol{vpn.Shadowsocks}
	w.ok(w.store.UpdateServer(w.ctx, server, by("server.update")))
	is(w, "ports after an update", w.serverPorts(server.ID), ports(8388, 443))
	all, err := w.store.Servers(w.ctx)
	w.ok(err)
	is(w, "name after an update", all[0].Name, "renamed")
	is(w, "protocols after an update", all[0].Offers(vpn.HTTPS), true)
	other.ShadowsocksPort, other.ShadowsocksPorts, other.ShadowsocksMethod = 7, 4, accesskey.MethodAES256GCM
	w.ok(w.store.UpdateServer(w.ctx, other, by("server.update")))
	is(w, "ports of a node that takes no configuration", w.serverPorts(other.ID), ports(7, 0))

	// What is wanted is pending until it is served or refused, and changes no port before.
	note(other.ID, serving(0, ports(7, 0)))
	rev := w.give(ports(9000, 0), server.ID, other.ID)
	pending, err := w.store.PendingConfigs(w.ctx)
	w.ok(err)
	if !slices.Equal(pending, []vpn.NodeRev{{NodeID: server.ID, Rev: rev}, {NodeID: other.ID, Rev: rev}}) {
		w.Fatalf("pending: %v", pending)
	}
	is(w, "ports while another is wanted", w.serverPorts(server.ID), ports(8388, 443))
	n, _ = note(server.ID, serving(rev, ports(9000, 0)))
	is(w, "pending", n.IsPending(), false)
	is(w, "ports when served", w.serverPorts(server.ID), ports(9000, 0))
	same, stopped := note(server.ID, serving(rev, ports(9000, 0)))
	is(w, "said again", same, n)
	is(w, "stopped by what is served", stopped, 0)

	refusal := vpn.NodeServing{NodeConfig: vpn.NodeConfig{NodePorts: ports(7, 0)}, RefusedRev: rev, Refusal: "port 9001 is in use"}
	n, stopped = note(other.ID, refusal)
	is(w, "stopped", stopped, rev)
	is(w, "pending when refused", n.IsPending(), false)
	is(w, "ports when refused", w.serverPorts(other.ID), ports(7, 0))
	_, stopped = note(other.ID, refusal)
	is(w, "stopped again", stopped, 0)
	newest, err := w.store.Rollouts(w.ctx, 0, 10)
	w.ok(err)
	is(w, "state", newest[0].State, vpn.RolloutStopped)
	is(w, "why", newest[0].Why, vpn.RefusalText(other.ID, "port 9001 is in use"))

	// A node stops no roll-out that it was not asked to take.
	rev = w.give(ports(9100, 0), server.ID)
	refusal.RefusedRev = rev
	_, stopped = note(other.ID, refusal)
	is(w, "stopped by a node that was not asked", stopped, 0)
	newest, err = w.store.Rollouts(w.ctx, 0, 1)
	w.ok(err)
	is(w, "state after that", newest[0].State, vpn.RolloutRunning)

	configsAhead(w, rev, server, other, note)
}

// configsAhead goes on where the nodes' word and the database's differ. rev is the newest revision.
func configsAhead(w *world, rev int64, server, other vpn.Server, note func(id int64, s vpn.NodeServing) (vpn.ConfiguredNode, int64)) {
	// A node that is ahead, as after a database was put back, is believed; no revision is given out that it knows.
	n, _ := note(server.ID, serving(rev+500, ports(9100, 0)))
	is(w, "wanted of a node that is ahead", n.Wanted, n.NodeConfig)
	if next := w.give(ports(9200, 0), server.ID); next <= rev+500 {
		w.Fatalf("revision %d is given out again", next)
	}
	// One whose disk was put back is behind, and gets it again.
	n, _ = note(server.ID, serving(0, ports(8388, 443)))
	is(w, "pending behind", n.IsPending(), true)

	// A node that claims to be ahead of all that this epoch can give out uses nothing up.
	note(other.ID, serving(1<<60, ports(9200, 0)))
	if next := w.give(ports(9250, 0), server.ID); next > rev+1000 {
		w.Fatalf("a node made the next revision %d", next)
	}

	_, err := w.store.RaiseEpoch(w.ctx, 7, by("database.restored"))
	w.ok(err)
	if next := w.give(ports(9300, 0)); next < 8<<32 {
		w.Fatalf("revision %d of epoch 8 may have been one of another history", next)
	}
	_, err = w.store.RemoveServer(w.ctx, server.ID, by("server.remove"))
	w.ok(err)
	left, err := w.store.ConfiguredNodes(w.ctx)
	w.ok(err)
	is(w, "nodes left", len(left), 1)
}

func rollouts(w *world) {
	port := 443
	var made vpn.Rollout
	refusal := vpn.Refusal(vpn.CodeRolloutState)
	w.is(w.store.ChangeRollout(w.ctx, func(last *vpn.Rollout, _ []vpn.ConfiguredNode, _ int64, _ time.Time) (vpn.RolloutChange, error) {
		if last != nil {
			w.Errorf("a roll-out before the first: %+v", last)
		}
		return vpn.RolloutChange{}, refusal
	}, by("config.publish")), refusal)
	w.ok(w.store.ChangeRollout(w.ctx, func(_ *vpn.Rollout, _ []vpn.ConfiguredNode, next int64, now time.Time) (vpn.RolloutChange, error) {
		made = vpn.Rollout{
			Rev: next, State: vpn.RolloutRunning, Stage: vpn.StageOne, Change: vpn.ConfigChange{ShadowsocksPort: 9000, ShadowsocksPorts: 4, Method: accesskey.Method2022AES256},
			Hold: time.Minute, KeepOld: time.Hour, CreatedAt: now, ChangedAt: now,
		}
		return vpn.RolloutChange{Rollouts: []vpn.Rollout{made}}, nil
	}, by("config.publish")))
	is(w, "the first revision", made.Rev, 1)
	w.ok(w.store.ChangeRollout(w.ctx, func(last *vpn.Rollout, _ []vpn.ConfiguredNode, next int64, now time.Time) (vpn.RolloutChange, error) {
		is(w, "the newest", *last, made)
		undo := vpn.Rollout{Rev: next, State: vpn.RolloutRunning, Stage: vpn.StageAll, Change: vpn.ConfigChange{HTTPSPort: &port}, Undoes: last.Rev, CreatedAt: now, ChangedAt: now}
		last.State = vpn.RolloutUndone
		return vpn.RolloutChange{Rollouts: []vpn.Rollout{*last, undo}}, nil
	}, by("config.rollback")))
	all, err := w.store.Rollouts(w.ctx, 0, 10)
	w.ok(err)
	is(w, "how many", len(all), 2)
	is(w, "HTTPS port", *all[0].Change.HTTPSPort, 443)
	is(w, "undoes", all[0].Undoes, 1)
	is(w, "state of the one before", all[1].State, vpn.RolloutUndone)
	older, err := w.store.Rollouts(w.ctx, 2, 10)
	w.ok(err)
	is(w, "older", older[0].Rev, 1)
	log, err := w.store.AuditLog(w.ctx, 0, 2)
	w.ok(err)
	is(w, "audited", log[0].Action, "config.rollback")
	is(w, "audited revision", log[0].SubjectID, 2)
}

// Of many who see a stage and want to go on, one does; and nobody goes on who has not seen that it was stopped.
func rolloutsUnderLoad(w *world) {
	server := w.server()
	_, _, err := w.store.NoteServing(w.ctx, server.ID, serving(0, ports(8388, 0)), by("config.stop"))
	w.ok(err)
	for range 3 {
		rev := w.give(ports(9000, 0), server.ID)
		steps := make([]bool, parallel)
		errs := together(parallel, func(i int) error {
			if i == 0 {
				_, _, err := w.any().NoteServing(w.ctx, server.ID, vpn.NodeServing{NodeConfig: vpn.NodeConfig{NodePorts: ports(8388, 0)}, RefusedRev: rev, Refusal: "busy"}, by("config.stop"))
				return err
			}
			return w.any().ChangeRollout(w.ctx, func(last *vpn.Rollout, nodes []vpn.ConfiguredNode, _ int64, now time.Time) (vpn.RolloutChange, error) {
				isRefused := last.IsRefused(&nodes[0])
				if isRefused != (last.State == vpn.RolloutStopped) {
					w.Errorf("refused %v, and %s", isRefused, last.State)
				}
				if steps[i] = last.Rev == rev && last.Stage == vpn.StageOne && last.State == vpn.RolloutRunning; !steps[i] {
					return vpn.RolloutChange{}, nil
				}
				last.Stage = vpn.StageAll
				return vpn.RolloutChange{Rollouts: []vpn.Rollout{*last}}, nil
			}, vpn.Audit{})
		})
		w.ok(errors.Join(errs...))
		taken := 0
		for _, isTaken := range steps {
			if isTaken {
				taken++
			}
		}
		newest, err := w.store.Rollouts(w.ctx, 0, 1)
		w.ok(err)
		if taken > 1 || newest[0].State != vpn.RolloutStopped || (taken == 1) != (newest[0].Stage == vpn.StageAll) {
			w.Fatalf("%d went on, and it is %s in stage %d", taken, newest[0].State, newest[0].Stage)
		}
	}
}
