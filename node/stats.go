package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// stuckAfter is how long the agent's loop may take for one event before it counts as stuck: longer than a frame may take
// to be sent, and than a slow disk takes.
const stuckAfter = 30 * time.Second

// Stats is where a node stands, in plain numbers: no key, no user and no address.
type Stats struct {
	// At is when the loop came by last; it does each second.
	At time.Time
	// IsLinked: a control plane has welcomed the node. LinkedAt is the last moment at which that was so; zero if none was.
	IsLinked bool
	LinkedAt time.Time
	// Epoch and Rev name the set of keys that the node holds, Keys counts it.
	Epoch, Rev int64
	Keys       int
	// UsageBytes is the size of the usage reports on disk, UnbookedSince when the oldest was written that the control
	// plane has not booked; zero if there is none.
	UsageBytes    int64
	UnbookedSince time.Time
	// DiskFailures counts changes of keys and usage reports that could not be written down.
	DiskFailures int64

	unready string // why the planes do not have what they should; "" = they have
}

// publish lets others read where the loop's state stands.
func (a *Agent) publish(now time.Time) {
	state := a.machine.State()
	s := Stats{At: now, IsLinked: a.machine.IsLive(), Epoch: state.Epoch, Rev: state.Rev, Keys: len(state.Keys), DiskFailures: a.diskFailures}
	if s.IsLinked {
		a.linkedAt = now
	}
	s.LinkedAt = a.linkedAt
	s.UsageBytes, s.UnbookedSince = a.journal.weight()
	switch {
	case a.planes.isStale:
		s.unready = "a data plane did not take its keys"
	case state.Epoch == 0:
		s.unready = "it has no set of keys: it was never in step with the control plane, or its state could not be read"
	}
	a.stats.Store(&s)
}

// Stats is where the node stood when the loop came by last; the zero Stats before it ran.
func (a *Agent) Stats() Stats {
	if s := a.stats.Load(); s != nil {
		return *s
	}
	return Stats{}
}

// Alive reports whether the agent's loop runs.
func (a *Agent) Alive(context.Context) error {
	switch at := a.Stats().At; {
	case at.IsZero():
		return errors.New("node: the agent does not run yet")
	case a.cfg.Now().Sub(at) > stuckAfter:
		return fmt.Errorf("node: the agent is stuck since %s", at.UTC().Format(time.RFC3339))
	}
	return nil
}

// Ready reports whether the node can carry traffic and keep what it learns: its loop runs, its planes have the keys of its
// set, and its disk can be written. It needs no link for that.
func (a *Agent) Ready(ctx context.Context) error {
	if err := a.Alive(ctx); err != nil {
		return err
	}
	if why := a.Stats().unready; why != "" {
		return errors.New("node: " + why)
	}
	return a.probe()
}

// probeName begins the names of probe's files.
const probeName = ".probe-"

// probeBytes is more than a full disk has room for.
const probeBytes = 16 << 10

// probe writes to the disk what it removes again.
func (a *Agent) probe() error {
	f, err := os.CreateTemp(a.cfg.Dir, probeName+"*")
	if err != nil {
		return fmt.Errorf("node: the disk cannot be written: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(make([]byte, probeBytes))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("node: %s cannot be written: %w", filepath.Base(a.cfg.Dir), err)
	}
	return nil
}
