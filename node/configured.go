package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"stile/dataplane"
	"stile/feed"
	"stile/wire"
)

// Ports are the data planes of an agent as it changes where they listen. One goroutine calls them.
type Ports interface {
	// Serving are the ports that take new connections.
	Serving() wire.Ports
	// Open opens ports that are not open, all or none; nothing serves there yet. It says why it cannot, with what it hit.
	Open(ctx context.Context, p wire.Ports) (why wire.ConfigWhy, detail string)
	// Serve serves what was opened. What was served goes on taking connections until Leave, but for ports that speak something
	// else now. begin gets a plane that is new, before it serves: it must have the keys when begin returns.
	Serve(p wire.Ports, begin func(dataplane.Plane))
	// Drop closes what was opened.
	Drop()
	// Leave closes ports that were served before and are none of the others'. What came by them goes on.
	Leave(p wire.Ports)
}

// Configured is what a node keeps of its configuration. It is one file, replaced as a whole.
type Configured struct {
	// Serving is what was served and refused last. Its Rev is 0 before a first configuration took effect.
	Serving wire.Serving `json:"serving"`
	// Old are ports of before that go on taking connections.
	Old []OldPorts `json:"old,omitempty"`
}

// OldPorts take connections until an instant, unix milliseconds.
type OldPorts struct {
	wire.Ports
	Until int64 `json:"until"`
}

// maxOldPorts bounds how many sets of ports of before are open at a time. Each lasts for a day or some.
const maxOldPorts = 64

const configuredName = "config.json"

// LoadConfigured reads what a state directory holds; the zero Configured when no configuration came yet.
func LoadConfigured(dir string) (c Configured, err error) {
	err = loadJSON(filepath.Join(dir, configuredName), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return Configured{}, nil
	}
	if err == nil && c.Serving.Check() != nil {
		err = wire.ErrPorts
	}
	if err != nil {
		return Configured{}, fmt.Errorf("node: configuration: %w", err)
	}
	return c, nil
}

// loadConfigured reads what is served and refused, by what the planes really listen on.
func (a *Agent) loadConfigured() *wire.Serving {
	if a.cfg.Ports == nil {
		return nil
	}
	kept, err := LoadConfigured(a.cfg.Dir)
	if err != nil {
		a.cfg.Log.Error("the node's configuration cannot be read; it waits for the control plane", "error", err)
	}
	a.configured = kept
	serving := kept.Serving
	serving.Ports = a.cfg.Ports.Serving()
	return &serving
}

func (a *Agent) openPorts(ctx context.Context, c *wire.Config) {
	if len(a.configured.Old) >= maxOldPorts {
		a.step(ctx, feed.PortsOpened{Why: wire.ConfigPorts, Detail: "too many ports of before are open still"})
		return
	}
	why, detail := a.cfg.Ports.Open(ctx, c.Ports)
	a.step(ctx, feed.PortsOpened{Why: why, Detail: detail})
}

// keepConfig makes durable what is served, or is about to be, with the ports of before.
func (a *Agent) keepConfig(ctx context.Context, f *feed.KeepConfig) {
	next := Configured{Serving: f.Serving, Old: a.configured.Old}
	if f.Config != nil {
		now := a.cfg.Now()
		old := append(slices.Clone(a.configured.Old), OldPorts{a.cfg.Ports.Serving(), now.Add(time.Duration(f.Config.KeepSeconds) * time.Second).UnixMilli()})
		next.Old = slices.DeleteFunc(old, func(o OldPorts) bool { return o.Ports == f.Config.Ports })
	}
	raw, err := json.MarshalIndent(next, "", "  ")
	if err == nil {
		err = writeWhole(filepath.Join(a.cfg.Dir, configuredName), append(raw, '\n'), a.disk.sync)
	}
	if err != nil {
		a.diskFailures++
		a.cfg.Log.Error("the configuration cannot be written down", "error", err)
	} else {
		a.configured = next
	}
	a.step(ctx, feed.ConfigKept{IsDone: err == nil})
}

func (a *Agent) servePorts(c *wire.Config) {
	a.cfg.Ports.Serve(c.Ports, a.begin)
	a.cfg.Log.Info("the node serves its configuration", "rev", c.Rev, "shadowsocks_port", c.Shadowsocks, "shadowsocks_ports", c.Count, "https_port", c.HTTPS)
}

// begin takes a plane on, with the node's keys.
func (a *Agent) begin(plane dataplane.Plane) {
	a.planes.list = append(slices.Clone(a.planes.list), plane)
	a.restore()
	if a.start != nil {
		a.start(plane)
	}
}

// leaveOld closes the ports of before whose time is over.
func (a *Agent) leaveOld(now time.Time) {
	a.configured.Old = slices.DeleteFunc(slices.Clone(a.configured.Old), func(o OldPorts) bool {
		isOver := o.Until <= now.UnixMilli()
		if isOver {
			a.cfg.Ports.Leave(o.Ports)
			a.cfg.Log.Info("the node leaves ports of before", "shadowsocks_port", o.Shadowsocks, "shadowsocks_ports", o.Count, "https_port", o.HTTPS)
		}
		return isOver
	})
}
