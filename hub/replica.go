package hub

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"stile/vpn"
)

const (
	// gatherTime is the pause between two notices. The first goes out at once; what changes meanwhile shares the next.
	gatherTime = 5 * time.Millisecond
	// renewInterval is a fraction of vpn.ReplicaLease.
	renewInterval = time.Second
	// callTimeout bounds one call of the port.
	callTimeout = 5 * time.Second
	// cutOffTime without the database ends the streams: the replicas that have it can serve their nodes.
	cutOffTime = 45 * time.Second
)

var errCutOff = errors.New("hub: this replica has lost the database")

// replica is this process among those that serve one database. Like the streams it is level-triggered: it keeps which
// nodes changed, never what, and whoever is told reads how they are.
type replica struct {
	hub  *Hub
	port vpn.Replicas
	id   int64

	// publishing has one slot, taken while states are written, so that an older one is never written after a newer one.
	publishing chan struct{}

	mu     sync.Mutex
	woken  map[int64]bool // nodes elsewhere whose keys changed
	shared map[int64]bool // nodes here whose state changed; true: others wait for it
	toRead map[int64]bool // nodes elsewhere whose state changed
	isLost bool           // notices may have been lost: all nodes are to be read

	// speak and look have one slot: there is something to tell now, and to read.
	speak, look chan struct{}
	isInformed  atomic.Bool // the others' streams were read
	renewedAt   time.Time   // the speaker's own
}

func newReplica(h *Hub) *replica {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return &replica{
		hub: h, port: h.cfg.Replicas, id: int64(binary.BigEndian.Uint64(random[:])>>1) | 1,
		woken: make(map[int64]bool), shared: make(map[int64]bool), toRead: make(map[int64]bool),
		publishing: make(chan struct{}, 1), speak: make(chan struct{}, 1), look: make(chan struct{}, 1),
	}
}

// poke fills a one-slot channel.
func poke(slot chan<- struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}

// run tells, listens and reads until ctx ends.
func (r *replica) run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { r.tellOthers(ctx) })
	parts.Go(func() { r.port.Listen(ctx, r.id, r.heard) })
	ticker := time.NewTicker(compareInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			r.mu.Lock()
			r.isLost = true
			r.mu.Unlock()
		case <-r.look:
		}
		r.read(ctx)
	}
}

// heard notes what another replica told. It never blocks.
func (r *replica) heard(n vpn.ReplicaNotice) {
	for _, id := range n.Keys {
		if known := r.hub.known(id); known != nil {
			if s := known.current(); s != nil {
				s.poke()
			}
		}
	}
	if len(n.Streams) == 0 && !n.IsAll {
		return
	}
	r.mu.Lock()
	r.isLost = r.isLost || n.IsAll
	for _, id := range n.Streams {
		r.toRead[id] = true
	}
	r.mu.Unlock()
	poke(r.look)
}

// read brings what is known of other replicas' streams up to date, and wakes the streams here if a notice for them may
// have been lost. Only one goroutine calls it, so that what is known never goes back.
func (r *replica) read(ctx context.Context) {
	r.mu.Lock()
	all, ids := r.isLost, empty(r.toRead)
	r.isLost = false
	r.mu.Unlock()
	if all {
		r.hub.compare(ctx)
		ids = nil
	} else if len(ids) == 0 {
		return
	}
	reading, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	streams, err := r.port.Streams(reading, ids...)
	if err != nil {
		r.failed(ctx, "read", err)
		return // the next second's look is at all of them
	}
	seen := make(map[int64]bool, len(streams))
	for _, s := range streams {
		seen[s.NodeID] = true
		if s.Replica != r.id {
			r.hub.node(s.NodeID).learn(s)
		}
	}
	if all {
		r.forget(seen)
		r.isInformed.Store(true)
	}
}

// forget looks after the nodes of which the database knows no stream any more: PostgreSQL empties the table after a
// crash. Streams here are told again; those that were elsewhere are gone until somebody tells of them.
func (r *replica) forget(seen map[int64]bool) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	for id, n := range r.hub.nodes {
		state := n.now()
		switch {
		case seen[id] || !state.IsOnline:
		case state.Replica == r.id:
			r.share(id, true)
		default:
			state.IsOnline = false
			n.learn(state)
		}
	}
}

// empty returns the members of a set and leaves it empty.
func empty(set map[int64]bool) []int64 {
	ids := make([]int64, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	clear(set)
	return ids
}

// failed reports a call that is made again within a second.
func (r *replica) failed(ctx context.Context, call string, err error) {
	if ctx.Err() == nil {
		r.hub.cfg.Log.Error("the other replicas are out of reach", "call", call, "error", err)
	}
}

// claim makes a stream the newest of its node among all replicas.
func (r *replica) claim(ctx context.Context, s *stream) error {
	session, isMoving, err := r.port.Claim(ctx, s.id, r.id)
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if !s.node.begin(s, session, r.id, isMoving) {
		return errReplaced
	}
	r.share(s.id, true) // so that the stream before it ends
	return nil
}

// release tells the others of the end of a stream before its process may end. While the database is out of reach, that
// is left to the next second's attempt.
func (r *replica) release(ctx context.Context, id int64) {
	r.share(id, true)
	r.publish(context.WithoutCancel(ctx))
}

// share notes that a node's state changed.
func (r *replica) share(id int64, isAwaited bool) {
	r.mu.Lock()
	r.shared[id] = r.shared[id] || isAwaited
	r.mu.Unlock()
	if isAwaited {
		poke(r.speak)
	}
}

// wakeOthers notes that the keys of a node elsewhere changed.
func (r *replica) wakeOthers(id int64) {
	r.mu.Lock()
	r.woken[id] = true
	r.mu.Unlock()
	poke(r.speak)
}

// tellOthers tells what was noted, and each second that this replica lives, until ctx ends.
func (r *replica) tellOthers(ctx context.Context) {
	ticker := time.NewTicker(renewInterval)
	defer ticker.Stop()
	r.renewedAt = r.hub.cfg.Now()
	r.renew(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.renew(ctx)
		case <-r.speak:
		}
		r.wake(ctx)
		r.publish(ctx)
		select {
		case <-time.After(gatherTime):
		case <-ctx.Done():
		}
	}
}

func (r *replica) renew(ctx context.Context) {
	now := r.hub.cfg.Now()
	renewing, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := r.port.Renew(renewing, r.id)
	if err == nil {
		r.renewedAt = now
		return
	}
	r.failed(ctx, "renew", err)
	if now.Sub(r.renewedAt) > cutOffTime {
		for _, s := range r.hub.streams() {
			s.cancel(errCutOff)
		}
	}
}

// wake tells whose keys changed. A failure is not repeated: within a second the others find out by comparison.
func (r *replica) wake(ctx context.Context) {
	r.mu.Lock()
	ids := empty(r.woken)
	r.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	waking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := r.port.Wake(waking, r.id, ids); err != nil {
		r.failed(ctx, "wake", err)
	}
}

// publish writes the states that changed since the last time. What fails is written with the next.
func (r *replica) publish(ctx context.Context) {
	publishing, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	select {
	case r.publishing <- struct{}{}:
		defer func() { <-r.publishing }()
	case <-publishing.Done():
		return
	}
	ids, isAwaited := r.takeShared()
	var states []vpn.NodeStream
	for _, id := range ids {
		if state := r.hub.node(id).now(); state.Replica == r.id {
			states = append(states, state)
		}
	}
	if len(states) == 0 {
		return
	}
	lost, err := r.port.Publish(publishing, states, isAwaited)
	if err != nil {
		r.failed(ctx, "publish", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		for _, s := range states {
			r.shared[s.NodeID] = r.shared[s.NodeID] || isAwaited
		}
	}
	for _, id := range lost { // who has them now is read, and ends the streams here
		r.toRead[id] = true
	}
	if len(lost) > 0 {
		poke(r.look)
	}
}

// takeShared returns the nodes whose state is to be written, and whether others wait for one of them.
func (r *replica) takeShared() (ids []int64, isAwaited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, awaited := range r.shared {
		isAwaited = isAwaited || awaited
	}
	return empty(r.shared), isAwaited
}
