package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"stile/dataplane"
	"stile/feed"
	"stile/wire"
)

const (
	tickInterval = time.Second
	// activeWithin is how recent a key's traffic must be for its device to count as connected.
	activeWithin = 180 * time.Second
	// sendTimeout bounds how long a control plane may take no frame before the link counts as dead.
	sendTimeout = 10 * time.Second
)

// Agent is a node at work.
type Agent struct {
	cfg     Config
	disk    *disk
	journal *journal
	planes  planes
	machine *feed.Node
	// configured is what is on disk of the node's configuration.
	configured Configured
	// start has a plane run; nil before Run.
	start func(dataplane.Plane)
	began time.Time
	link  wire.Link // nil: none

	meter      *feed.Meter
	readings   []dataplane.KeyUsage
	idle       map[int64]feed.Reading // removed keys without news at the last report
	stream     uint64
	seq        uint64
	reportedAt time.Time
	active     int64 // as measured last

	diskFailures int64
	linkedAt     time.Time
	stats        atomic.Pointer[Stats]
}

// Open restores what the node's disk holds into the ledger and the planes, before there is any link. Run must follow.
func Open(cfg Config) (*Agent, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, meter: feed.NewMeter(), idle: make(map[int64]feed.Reading), began: cfg.Now(), reportedAt: cfg.Now(), stream: randomID(),
		planes: planes{ledger: cfg.Ledger, list: cfg.Planes, log: cfg.Log}}
	d, state, damaged, err := openDisk(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if damaged != nil {
		cfg.Log.Error("the node's keys cannot be read; it waits for the control plane", "error", damaged)
	}
	j, err := openJournal(filepath.Join(cfg.Dir, "usage"))
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	a.disk, a.journal = d, j
	a.machine = feed.NewNode(feed.NodeConfig{ID: cfg.ID, BootID: randomID(), Version: cfg.Version, Serving: a.loadConfigured()}, state, j.held())
	a.restore()
	return a, nil
}

// restore puts the whole set into the planes.
func (a *Agent) restore() { a.machine.Step(feed.Applied{Refused: a.planes.restore(a.machine.Valid())}) }

// randomID is never 0.
func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

// Run serves until ctx ends, or until a data plane fails. It then closes the planes, writes down what they counted,
// and closes the agent's files. It is called once.
func (a *Agent) Run(ctx context.Context) error {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var planes, links sync.WaitGroup
	a.start = func(plane dataplane.Plane) {
		planes.Go(func() {
			// Not bound to ctx: closing decides how sessions end.
			if err := plane.Run(context.WithoutCancel(ctx)); err != nil {
				stop(fmt.Errorf("node: %s: %w", plane.Protocol(), err))
			}
		})
	}
	for _, plane := range a.planes.list {
		a.start(plane)
	}
	up := &uplink{dial: a.cfg.Dial, events: make(chan linkEvent), log: a.cfg.Log}
	links.Go(func() { up.run(working) })
	links.Go(func() { a.servePing(working, stop) })

	a.loop(working, up.events)

	stop(nil)
	links.Wait()
	a.closePlanes(context.WithoutCancel(ctx))
	planes.Wait()
	a.report(ctx)
	err := errors.Join(a.journal.close(), a.disk.close())
	if cause := context.Cause(working); cause != nil && ctx.Err() == nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

func (a *Agent) closePlanes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Grace)
	defer cancel()
	var closing sync.WaitGroup
	for _, plane := range a.planes.list {
		closing.Go(func() {
			if err := plane.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				a.cfg.Log.Error("a data plane did not close well", "protocol", plane.Protocol(), "error", err)
			}
		})
	}
	closing.Wait()
}

// loop is the only goroutine that touches the machine and the files.
func (a *Agent) loop(ctx context.Context, events <-chan linkEvent) {
	tick, usage := time.NewTicker(tickInterval), time.NewTicker(a.cfg.UsageInterval)
	defer tick.Stop()
	defer usage.Stop()
	defer a.hangUp(ctx)
	a.tick(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.tick(ctx)
		case <-usage.C:
			a.report(ctx)
		case e := <-events:
			a.hear(ctx, e)
		}
	}
}

func (a *Agent) tick(ctx context.Context) {
	now := a.cfg.Now()
	defer a.publish(now)
	a.step(ctx, feed.Ticked{Now: 1 + now.Sub(a.began).Milliseconds(), Wall: now.UnixMilli()})
	if a.planes.isStale {
		a.restore()
	}
	a.leaveOld(now)
	gone, err := a.journal.prune(now)
	if err != nil {
		a.cfg.Log.Error("old usage reports cannot be removed", "error", err)
	}
	for _, stream := range gone {
		if stream != a.stream {
			a.step(ctx, feed.StreamPruned{Stream: stream})
		}
	}
}

func (a *Agent) hear(ctx context.Context, e linkEvent) {
	switch {
	case e.frame == nil && e.err == nil:
		a.link = e.link
		a.step(ctx, feed.Connected{})
	case e.link != a.link: // the end of a link that was given up
	case e.err != nil:
		a.hangUp(ctx)
	default:
		a.step(ctx, feed.Received{Frame: e.frame})
	}
}

func (a *Agent) hangUp(ctx context.Context) {
	if a.link != nil {
		_ = a.link.Close()
		a.link = nil
		a.step(ctx, feed.Disconnected{})
	}
}

// step gives the machine an event and does what it wants.
func (a *Agent) step(ctx context.Context, e feed.Event) {
	for _, f := range a.machine.Step(e) {
		a.perform(ctx, f)
	}
}

func (a *Agent) perform(ctx context.Context, f feed.Effect) {
	switch f := f.(type) {
	case feed.Send:
		a.send(ctx, f.Frame)
	case feed.Close:
		a.cfg.Log.Warn("the node gives its link up", "reason", f.Why)
		a.hangUp(ctx)
	case feed.Alarm:
		a.cfg.Log.Error("the node needs attention", "reason", f.Why)
	case feed.Cut:
		a.planes.cut(f.KeyIDs)
	case feed.Persist:
		a.persist(ctx, f)
	case feed.Apply:
		a.step(ctx, feed.Applied{Refused: a.planes.put(f.Put)})
	case feed.OpenPorts:
		a.openPorts(ctx, &f.Config)
	case feed.KeepConfig:
		a.keepConfig(ctx, &f)
	case feed.ServePorts:
		a.servePorts(&f.Config)
	case feed.DropPorts:
		a.cfg.Ports.Drop()
	case feed.Measure:
		a.step(ctx, a.measure())
	case feed.SendReport:
		a.sendReport(ctx, f)
	case feed.ReportsAcked:
		a.journal.acked(f.Stream, f.Seq, a.cfg.Now())
	case feed.NewStream:
		a.newStream()
	}
}

func (a *Agent) send(ctx context.Context, f wire.Frame) {
	if a.link == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := a.link.Send(ctx, f); err != nil {
		a.hangUp(ctx)
	}
}

func (a *Agent) persist(ctx context.Context, p feed.Persist) {
	err := a.disk.save(p, a.machine.State())
	if err != nil {
		a.diskFailures++
		a.cfg.Log.Error("keys cannot be written down", "error", err)
	}
	a.step(ctx, feed.Persisted{IsDone: err == nil})
	if err == nil && a.disk.isDue() {
		if err := a.disk.writeBase(a.machine.State()); err != nil {
			a.cfg.Log.Error("keys cannot be written down", "error", err)
		}
	}
}

// measure looks at what the data planes do now.
func (a *Agent) measure() feed.Measured {
	since := a.cfg.Now().Add(-activeWithin)
	m := feed.Measured{Load: load()}
	a.readings = a.cfg.Ledger.Usage(a.readings[:0])
	for _, u := range a.readings {
		m.Sessions += int64(u.Sessions)
		if !u.LastTrafficAt.Before(since) {
			m.ActiveKeys++
		}
	}
	a.active = m.ActiveKeys
	return m
}
