package cli

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stile/dataplane"
	"stile/hub"
	"stile/internal/password"
	"stile/node"
	"stile/store"
	"stile/vpn"
	"stile/wire"
)

// controlStats are the numbers of a control plane's rooms at one moment.
type controlStats struct {
	hub              hub.Stats
	running, waiting int          // password hashes
	queued           int          // writes
	rollout          *vpn.Rollout // nil: there was none
}

// overdue is for how long, in seconds, a roll-out has taken no step although its nodes had the time to.
func (s *controlStats) overdue() float64 {
	r := s.rollout
	if r == nil || r.State != vpn.RolloutRunning {
		return 0
	}
	return max(0, (time.Since(r.ChangedAt) - r.Hold).Seconds())
}

// readControl adds the control plane's numbers to a registry.
func readControl(registry *prometheus.Registry, h *hub.Hub, st *store.Store, hasher *password.Hasher, rollout func() *vpn.Rollout) {
	r := &readings[controlStats]{read: func() controlStats {
		s := controlStats{hub: h.Stats(), queued: st.Queued(), rollout: rollout()}
		s.running, s.waiting = hasher.Load()
		return s
	}}
	r.gauge("stile_password_hashes_running", "Password hashes that are computed now.", func(s controlStats) float64 { return float64(s.running) })
	r.gauge("stile_password_hashes_waiting", "Sign-ins that wait for their hash.", func(s controlStats) float64 { return float64(s.waiting) })
	r.gauge("stile_store_queue", "Writes that wait for their group.", func(s controlStats) float64 { return float64(s.queued) })
	r.gauge("stile_nodes_online", "Nodes in step with this process.", func(s controlStats) float64 { return float64(s.hub.Online) })
	r.gauge("stile_nodes_behind", "Nodes that have not confirmed what was sent to them.", func(s controlStats) float64 { return float64(s.hub.Behind) })
	r.gauge("stile_nodes_lag_revisions", "Revisions that the furthest node is behind what was sent to it.", func(s controlStats) float64 { return float64(s.hub.Lag) })
	for what, value := range map[string]func(hub.Stats) int64{
		"delta": func(s hub.Stats) int64 { return s.Deltas }, "snapshot": func(s hub.Stats) int64 { return s.Snapshots },
	} {
		r.count("stile_link_updates_total", "Changes of sets of keys sent to nodes, by form.", prometheus.Labels{"form": what}, func(s controlStats) float64 { return float64(value(s.hub)) })
	}
	for what, value := range map[string]func(hub.Stats) int64{
		"put": func(s hub.Stats) int64 { return s.Put }, "removed": func(s hub.Stats) int64 { return s.Removed },
	} {
		r.count("stile_link_keys_total", "Keys in deltas sent to nodes: put, or removed because they were revoked.", prometheus.Labels{"change": what}, func(s controlStats) float64 { return float64(value(s.hub)) })
	}
	for why, name := range map[wire.Why]string{wire.WhyGap: "gap", wire.WhyDigest: "digest", wire.WhyKey: "key", wire.WhyDisk: "disk"} {
		r.count("stile_link_nacks_total", "Updates that nodes refused, by reason.", prometheus.Labels{"reason": name}, func(s controlStats) float64 { return float64(s.hub.Nacks[why]) })
	}
	r.gauge("stile_config_rollout_stopped", "1 while the roll-out of a configuration is stopped because a node refused it.", func(s controlStats) float64 {
		if s.rollout != nil && s.rollout.State == vpn.RolloutStopped {
			return 1
		}
		return 0
	})
	r.gauge("stile_config_rollout_overdue_seconds", "For how long the running roll-out of a configuration could have gone on, and waits for a node.", func(s controlStats) float64 { return s.overdue() })
	r.count("stile_link_refused_keys_total", "Keys that a node's data planes refused.", nil, func(s controlStats) float64 { return float64(s.hub.RefusedKeys) })
	r.count("stile_link_alarms_total", "What the log asks operators to look at.", nil, func(s controlStats) float64 { return float64(s.hub.Alarms) })
	registry.MustRegister(r)
}

// nodeStats are the numbers of a node at one moment.
type nodeStats struct {
	node.Stats
	dataplane.Totals
	certificateExpiresAt time.Time // zero: it shows none
}

// readNode adds a node's numbers to a registry.
func readNode(registry *prometheus.Registry, agent *node.Agent, ledger *dataplane.Ledger, expiry func() time.Time) {
	r := &readings[nodeStats]{read: func() nodeStats {
		return nodeStats{Stats: agent.Stats(), Totals: ledger.Totals(), certificateExpiresAt: expiry()}
	}}
	r.gauge("stile_node_sessions", "Connections and UDP associations that are open.", func(s nodeStats) float64 { return float64(s.Sessions) })
	for direction, value := range map[string]func(nodeStats) int64{
		"up": func(s nodeStats) int64 { return s.Up }, "down": func(s nodeStats) int64 { return s.Down },
	} {
		r.count("stile_node_traffic_bytes_total", "Payload that clients sent (up) and received (down), all keys together.", prometheus.Labels{"direction": direction}, func(s nodeStats) float64 { return float64(value(s)) })
	}
	r.count("stile_node_refused_connections_total", "Connections without a key, or with one that may not connect now.", nil, func(s nodeStats) float64 { return float64(s.Refused) })
	r.gauge("stile_node_keys", "Keys in the node's set.", func(s nodeStats) float64 { return float64(s.Keys) })
	r.gauge("stile_node_revision", "Revision of the node's set of keys.", func(s nodeStats) float64 { return float64(s.Rev) })
	r.gauge("stile_node_linked", "1 while the node is in step with a control plane.", func(s nodeStats) float64 {
		if s.IsLinked {
			return 1
		}
		return 0
	})
	r.moment("stile_node_last_linked_timestamp_seconds", "When the node was last in step with a control plane.", func(s nodeStats) time.Time { return s.LinkedAt })
	r.gauge("stile_node_usage_bytes", "Size of the usage reports on the node's disk.", func(s nodeStats) float64 { return float64(s.UsageBytes) })
	r.moment("stile_node_usage_unbooked_timestamp_seconds", "When the oldest usage was written down that the control plane has not booked.", func(s nodeStats) time.Time { return s.UnbookedSince })
	r.count("stile_node_disk_failures_total", "Keys and usage reports that could not be written down.", nil, func(s nodeStats) float64 { return float64(s.DiskFailures) })
	r.moment("stile_certificate_expiry_timestamp_seconds", "When the certificate expires that this process shows.", func(s nodeStats) time.Time { return s.certificateExpiresAt })
	registry.MustRegister(r)
}
