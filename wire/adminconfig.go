package wire

import "time"

// AdminRollout is a published configuration of nodes on its way.
type AdminRollout struct {
	Rev int64 `json:"rev"`
	// State is running, stopped, done, aborted, resumed (under another revision) or undone (by another).
	State string `json:"state"`
	// Stage is one, 1%, 10% or all.
	Stage string `json:"stage"`
	// The ports are null where each node keeps its own; HTTPSPort 0 is no HTTPS proxy.
	ShadowsocksPort  *int `json:"shadowsocks_port"`
	ShadowsocksPorts *int `json:"shadowsocks_ports"`
	HTTPSPort        *int `json:"https_port"`
	// ShadowsocksMethod is null where each node keeps its own.
	ShadowsocksMethod *string `json:"shadowsocks_method"`
	// Undoes is the revision that this one takes back.
	Undoes         *int64 `json:"undoes"`
	HoldSeconds    int64  `json:"hold_seconds"`
	KeepOldSeconds int64  `json:"keep_old_seconds"`
	// Why says why it is stopped.
	Why       *string   `json:"why"`
	CreatedAt time.Time `json:"created_at"`
	ChangedAt time.Time `json:"changed_at"`
}

// AdminConfig is the newest roll-out with all nodes.
type AdminConfig struct {
	Rollout *AdminRollout `json:"rollout"`
	// WaitsFor is the server whose node a running roll-out waits for.
	WaitsFor *int64            `json:"waits_for"`
	Nodes    []AdminConfigNode `json:"nodes"`
}

// AdminConfigNode is the configuration of a server's node.
type AdminConfigNode struct {
	ID   int64  `json:"id"` // the server's
	Name string `json:"name"`
	// IsAble is false for a node that never linked, or runs a release without configurations.
	IsAble   bool `json:"is_able"`
	IsOnline bool `json:"is_online"`
	// State is waiting, asked, away (the node is, and gets it when it is back), serving or refused; null when the roll-out does not
	// reach the node.
	State *string `json:"state"`
	Stage *string `json:"stage"`
	// Rev and the ports are what the node serves; keys name these ports.
	Rev               int64  `json:"rev"`
	ShadowsocksPort   int    `json:"shadowsocks_port"`
	ShadowsocksPorts  int    `json:"shadowsocks_ports"`
	ShadowsocksMethod string `json:"shadowsocks_method"`
	HTTPSPort         int    `json:"https_port"`
	// Refusal is why the node refused what was wanted last.
	Refusal *string `json:"refusal"`
}
