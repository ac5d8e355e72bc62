// Package node is the agent on a machine that carries traffic. It restores the keys from its own disk into the data
// planes, holds the link to the control plane, persists what comes over it before the planes get it, and writes usage
// down before it reports it. Everything goes on working without the control plane, also across a restart.
//
// It knows no database and no user: keys are ids with seeds, deadlines and limits. What a frame means is decided by
// package feed; this package does what feed wants done.
package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"stile/dataplane"
	"stile/wire"
)

// DefaultUsageInterval is how often usage is written down and reported. What was counted since is lost when the process
// is killed.
const DefaultUsageInterval = 5 * time.Second

// Config is what an agent is made of.
type Config struct {
	// Dir holds the node's state. It is made if it is not there, and belongs to one agent at a time.
	Dir string
	// ID is the node's id.
	ID int64
	// Version is what the node tells the control plane of its build.
	Version string
	// Ledger is shared by the Planes, which listen already.
	Ledger *dataplane.Ledger
	Planes []dataplane.Plane
	// Ports are the Planes' to be configured; nil = they stay where they are.
	Ports Ports
	// Ping is served beside the Planes; nil = none.
	Ping *Ping
	// Dial opens a link to the control plane.
	Dial func(ctx context.Context) (wire.Link, error)
	// UsageInterval defaults to DefaultUsageInterval.
	UsageInterval time.Duration
	// Grace is how long sessions may go on when the agent stops; none by default.
	Grace time.Duration
	// Now defaults to time.Now.
	Now func() time.Time
	// Log defaults to slog's default.
	Log *slog.Logger
}

func (c *Config) check() error {
	switch {
	case c.Dir == "":
		return errors.New("node: Dir is missing")
	case c.ID <= 0:
		return errors.New("node: ID is not positive")
	case c.Ledger == nil:
		return errors.New("node: Ledger is missing")
	case c.Dial == nil:
		return errors.New("node: Dial is missing")
	case c.UsageInterval < 0 || c.Grace < 0:
		return errors.New("node: UsageInterval or Grace is negative")
	}
	if c.UsageInterval == 0 {
		c.UsageInterval = DefaultUsageInterval
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}
