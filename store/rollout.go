package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"stile/vpn"
)

const configuredColumns = `
	node_id, rev, shadowsocks_port, shadowsocks_ports, shadowsocks_method, https_port, refused_rev, refusal, served_at,
	wanted_rev, wanted_shadowsocks_port, wanted_shadowsocks_ports, wanted_shadowsocks_method, wanted_https_port, keep_old, stage,
	before_shadowsocks_port, before_shadowsocks_ports, before_shadowsocks_method, before_https_port`

func scanConfigured(row scanner) (n vpn.ConfiguredNode, err error) {
	var keepOld int64
	err = row.Scan(&n.NodeID, &n.Rev, &n.Shadowsocks, &n.Count, &n.Method, &n.HTTPS, &n.RefusedRev, &n.Refusal, instant{&n.ServedAt},
		&n.Wanted.Rev, &n.Wanted.Shadowsocks, &n.Wanted.Count, &n.Wanted.Method, &n.Wanted.HTTPS, &keepOld, &n.Stage,
		&n.Before.Shadowsocks, &n.Before.Count, &n.Before.Method, &n.Before.HTTPS)
	n.KeepOld = time.Duration(keepOld) * time.Millisecond
	return n, err
}

const allConfigured = `
	SELECT` + configuredColumns + `
	FROM node_config
	ORDER BY node_id`

const oneConfigured = `
	SELECT` + configuredColumns + `
	FROM node_config
	WHERE node_id = $1`

// ConfiguredNodes implements vpn.ConfigStore.
func (s *Store) ConfiguredNodes(ctx context.Context) ([]vpn.ConfiguredNode, error) {
	rows, err := s.scan(ctx).rows(allConfigured)
	return list(rows, err, scanConfigured)
}

// ConfiguredNode implements vpn.NodeStore. It is asked when a node connects.
func (s *Store) ConfiguredNode(ctx context.Context, nodeID int64) (n vpn.ConfiguredNode, err error) {
	n, err = scanConfigured(s.read(ctx).row(oneConfigured, nodeID))
	if isNone(err) {
		err = vpn.ErrNotFound
	}
	return n, err
}

// PendingConfigs implements vpn.NodeStore.
func (s *Store) PendingConfigs(ctx context.Context) ([]vpn.NodeRev, error) {
	rows, err := s.read(ctx).rows(`
		SELECT node_id, wanted_rev
		FROM node_config
		WHERE wanted_rev > rev
			AND wanted_rev > refused_rev
		ORDER BY node_id`)
	return list(rows, err, func(row scanner) (r vpn.NodeRev, err error) {
		err = row.Scan(&r.NodeID, &r.Rev)
		return r, err
	})
}

const rolloutColumns = `
	rev, state, stage, shadowsocks_port, shadowsocks_ports, shadowsocks_method, https_port, undoes, hold, keep_old, why, created_at, changed_at`

func scanRollout(row scanner) (r vpn.Rollout, err error) {
	var https int
	var hold, keepOld int64
	err = row.Scan(&r.Rev, &r.State, &r.Stage, &r.Change.ShadowsocksPort, &r.Change.ShadowsocksPorts, &r.Change.Method, &https, &r.Undoes, &hold,
		&keepOld, &r.Why, instant{&r.CreatedAt}, instant{&r.ChangedAt})
	if https >= 0 {
		r.Change.HTTPSPort = &https
	}
	r.Hold, r.KeepOld = time.Duration(hold)*time.Millisecond, time.Duration(keepOld)*time.Millisecond
	return r, err
}

// Rollouts implements vpn.ConfigStore.
func (s *Store) Rollouts(ctx context.Context, before int64, limit int) ([]vpn.Rollout, error) {
	rows, err := s.read(ctx).rows(`
		SELECT`+rolloutColumns+`
		FROM rollout
		WHERE rev < $1
			OR $1 = 0
		ORDER BY rev DESC
		LIMIT $2`, before, limit)
	return list(rows, err, scanRollout)
}

// NoteServing implements vpn.ConfigStore. Rows are held in the order head, server, node, as everywhere.
func (s *Store) NoteServing(ctx context.Context, nodeID int64, serving vpn.NodeServing, a vpn.Audit) (node vpn.ConfiguredNode, stopped int64, err error) {
	if node, err = s.ConfiguredNode(ctx, nodeID); err == nil && node.NodeServing == serving {
		return node, 0, nil // as nearly always
	}
	err = s.write(ctx, "note serving", func(t *tx) error {
		node, stopped = vpn.ConfiguredNode{}, 0
		if serving.RefusedRev != 0 {
			if _, err := t.lockRollouts(); err != nil {
				return err
			}
		}
		if err := t.moveServer(nodeID, serving.NodePorts); err != nil {
			return err
		}
		var err error
		if node, err = t.noteServing(nodeID, serving); err != nil || serving.RefusedRev == 0 || serving.RefusedRev != node.Wanted.Rev {
			return err // a node stops only what it was asked to take
		}
		n, err := t.exec(`
			UPDATE rollout
			SET state = $2, why = $3, changed_at = $4
			WHERE rev = $1
				AND state = $5`,
			serving.RefusedRev, string(vpn.RolloutStopped), vpn.RefusalText(nodeID, serving.Refusal), millis(t.now), string(vpn.RolloutRunning))
		if err != nil || n == 0 {
			return err
		}
		stopped = serving.RefusedRev
		return t.audit(a, nodeID)
	})
	return node, stopped, err
}

// moveServer gives a server the ports that its node serves. Its ping follows, if it was the HTTPS proxy's.
func (t *tx) moveServer(id int64, ports vpn.NodePorts) error {
	var old vpn.NodePorts
	var host, ping string
	if err := one(t.row(`
		SELECT host, ping_url, shadowsocks_port, shadowsocks_ports, shadowsocks_method, https_port
		FROM server
		WHERE id = $1
		{{lock}}`, id), &host, &ping, &old.Shadowsocks, &old.Count, &old.Method, &old.HTTPS); err != nil || old == ports {
		return err
	}
	if old.HTTPS != 0 && ports.HTTPS != 0 && ping == vpn.PingURL(host, old.HTTPS) {
		ping = vpn.PingURL(host, ports.HTTPS)
	}
	return t.change(`
		UPDATE server
		SET shadowsocks_port = $2, shadowsocks_ports = $3, shadowsocks_method = $4, https_port = $5, protocols = $6, ping_url = $7,
			updated_at = $8
		WHERE id = $1`, id, ports.Shadowsocks, ports.Count, ports.Method, ports.HTTPS, protocolList(ports.Protocols()), ping, millis(t.now))
}

// protocolList is how protocols are kept.
func protocolList(protocols []vpn.Protocol) string {
	words := make([]string, len(protocols))
	for i, p := range protocols {
		words[i] = string(p)
	}
	return strings.Join(words, " ")
}

// noteServing writes what a node says. What it serves is wanted, unless something later is.
func (t *tx) noteServing(nodeID int64, s vpn.NodeServing) (vpn.ConfiguredNode, error) {
	rows, err := t.rows(oneConfigured+`
		{{lock}}`, nodeID)
	known, err := list(rows, err, scanConfigured)
	if err != nil {
		return vpn.ConfiguredNode{}, err
	}
	n := vpn.ConfiguredNode{NodeID: nodeID, ServedAt: t.now}
	if len(known) > 0 {
		n = known[0]
		if n.NodeConfig != s.NodeConfig {
			n.ServedAt = t.now
		}
	}
	n.NodeServing = s
	if n.Wanted.Rev <= n.Rev {
		n.Wanted = n.NodeConfig
	}
	return n, t.saveConfigured(&n)
}

func (t *tx) saveConfigured(n *vpn.ConfiguredNode) error {
	_, err := t.exec(`
		INSERT INTO node_config (`+configuredColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
		ON CONFLICT (node_id) DO UPDATE
		SET rev = excluded.rev, shadowsocks_port = excluded.shadowsocks_port, shadowsocks_ports = excluded.shadowsocks_ports,
			shadowsocks_method = excluded.shadowsocks_method, https_port = excluded.https_port, refused_rev = excluded.refused_rev, refusal = excluded.refusal, served_at = excluded.served_at,
			wanted_rev = excluded.wanted_rev, wanted_shadowsocks_port = excluded.wanted_shadowsocks_port,
			wanted_shadowsocks_ports = excluded.wanted_shadowsocks_ports, wanted_shadowsocks_method = excluded.wanted_shadowsocks_method, wanted_https_port = excluded.wanted_https_port,
			keep_old = excluded.keep_old, stage = excluded.stage, before_shadowsocks_port = excluded.before_shadowsocks_port,
			before_shadowsocks_ports = excluded.before_shadowsocks_ports, before_shadowsocks_method = excluded.before_shadowsocks_method, before_https_port = excluded.before_https_port`,
		n.NodeID, n.Rev, n.Shadowsocks, n.Count, n.Method, n.HTTPS, n.RefusedRev, n.Refusal, millis(n.ServedAt),
		n.Wanted.Rev, n.Wanted.Shadowsocks, n.Wanted.Count, n.Wanted.Method, n.Wanted.HTTPS, n.KeepOld.Milliseconds(), n.Stage,
		n.Before.Shadowsocks, n.Before.Count, n.Before.Method, n.Before.HTTPS)
	return err
}

// lockRollouts holds the roll-outs, and returns the newest revision.
func (t *tx) lockRollouts() (rev int64, err error) {
	err = t.row(`
		SELECT rev
		FROM rollout_head
		WHERE id = 1
		{{lock}}`).Scan(&rev)
	return rev, err
}

// ChangeRollout implements vpn.ConfigStore. The next revision is above all that were given out in this epoch and, as nodes say,
// in any before: of a database that was put back, some are not known.
func (s *Store) ChangeRollout(ctx context.Context, rule vpn.RolloutRule, a vpn.Audit) error {
	return s.write(ctx, "change roll-out", func(t *tx) error {
		head, err := t.lockRollouts()
		if err != nil {
			return err
		}
		rows, err := t.rows(allConfigured + `
			{{lock}}`)
		nodes, err := list(rows, err, scanConfigured)
		if err != nil {
			return err
		}
		var last *vpn.Rollout
		newest, err := scanRollout(t.row(`
			SELECT` + rolloutColumns + `
			FROM rollout
			ORDER BY rev DESC
			LIMIT 1`))
		switch {
		case err == nil:
			last = &newest
		case !isNone(err):
			return err
		}
		var epoch int64
		if err := t.row(`
			SELECT value
			FROM epoch
			WHERE id = 1`).Scan(&epoch); err != nil {
			return err
		}
		next := max(head+1, firstKeyID(epoch))
		for i := range nodes {
			for _, rev := range []int64{nodes[i].Rev, nodes[i].RefusedRev} {
				if rev < firstKeyID(epoch+1) { // no node can use the numbers up
					next = max(next, rev+1)
				}
			}
		}
		change, err := rule(last, nodes, next, t.now)
		if err != nil {
			return err
		}
		return t.saveRollouts(&change, a)
	})
}

func (t *tx) saveRollouts(c *vpn.RolloutChange, a vpn.Audit) error {
	for i := range c.Rollouts {
		if err := t.saveRollout(&c.Rollouts[i]); err != nil {
			return err
		}
	}
	for i := range c.Nodes {
		if err := t.saveConfigured(&c.Nodes[i]); err != nil {
			return err
		}
	}
	if len(c.Rollouts) == 0 || a.Action == "" {
		return nil
	}
	return t.audit(a, c.Rollouts[len(c.Rollouts)-1].Rev)
}

func (t *tx) saveRollout(r *vpn.Rollout) error {
	https := -1
	if r.Change.HTTPSPort != nil {
		https = *r.Change.HTTPSPort
	}
	_, insertErr := t.exec(`
		INSERT INTO rollout (`+rolloutColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (rev) DO UPDATE
		SET state = excluded.state, stage = excluded.stage, why = excluded.why, changed_at = excluded.changed_at`,
		r.Rev, string(r.State), r.Stage, r.Change.ShadowsocksPort, r.Change.ShadowsocksPorts, r.Change.Method, https, r.Undoes, r.Hold.Milliseconds(),
		r.KeepOld.Milliseconds(), r.Why, millis(r.CreatedAt), millis(r.ChangedAt))
	_, headErr := t.exec(`
		UPDATE rollout_head
		SET rev = $1
		WHERE id = 1
			AND rev < $1`, r.Rev)
	return errors.Join(insertErr, headErr)
}
