package hub

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/accesskey"
	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
	"stile/wire"
)

// unreliable is a port whose notices may be lost and whose database may be out of reach.
type unreliable struct {
	vpn.Replicas
	isMute, isCutOff atomic.Bool
}

func (u *unreliable) Wake(ctx context.Context, replica int64, ids []int64) error {
	if u.isMute.Load() {
		return nil
	}
	return u.Replicas.Wake(ctx, replica, ids)
}

func (u *unreliable) Publish(ctx context.Context, s []vpn.NodeStream, tell bool) ([]int64, error) {
	return u.Replicas.Publish(ctx, s, tell && !u.isMute.Load())
}

func (u *unreliable) Renew(ctx context.Context, replica int64) error {
	if u.isCutOff.Load() {
		return errors.New("no database")
	}
	return u.Replicas.Renew(ctx, replica)
}

// site is one replica: a hub on its own store.
type site struct {
	*Hub
	store *store.Store
	port  *unreliable
	later atomic.Int64 // added to the hub's clock
	stop  func()       // of Run, as when the process hangs
}

// replicas are two sites on one database, with a server and a device whose keys change.
type replicas struct {
	t      testing.TB
	dsn    string
	a, b   *site
	server vpn.Server
	key    vpn.NewKey
}

func newReplicas(t testing.TB) *replicas {
	t.Helper()
	r := &replicas{t: t, dsn: storetest.Postgres(t)}
	r.a, r.b = r.site(), r.site()
	u, err := r.a.store.AddUser(t.Context(), vpn.NewUser{Email: "user@example.com"}, vpn.Audit{Action: "user.add"})
	r.ok(err)
	in, err := r.a.store.SignIn(t.Context(), vpn.NewSession{UserID: u.ID, ClientID: "phone", DeviceLimit: 5}, vpn.Audit{Action: "device.sign_in"})
	r.ok(err)
	r.server, err = r.a.store.AddServer(t.Context(), vpn.Server{Name: "server"}, vpn.Audit{Action: "server.add"})
	r.ok(err)
	r.key = vpn.NewKey{UserID: u.ID, DeviceID: in.DeviceID, ServerID: r.server.ID, Seed: accesskey.Seed{1}, Rotate: true}
	return r
}

func (r *replicas) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *replicas) site() *site {
	r.t.Helper()
	log := slog.New(slog.NewTextHandler(new(bytes.Buffer), nil))
	st, err := store.Open(r.t.Context(), store.Config{DSN: r.dsn, Log: log})
	r.ok(err)
	r.t.Cleanup(func() { _ = st.Close() })
	s := &site{store: st, port: &unreliable{Replicas: st.Replicas()}}
	record := func(_ context.Context, u vpn.UsageReport) (uint64, error) { return u.Seq, nil }
	now := func() time.Time { return time.Now().Add(time.Duration(s.later.Load())) }
	s.Hub, err = New(Config{Store: st, RecordUsage: record, Replicas: s.port, Now: now, Log: log})
	r.ok(err)
	ctx, cancel := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	s.stop = func() { cancel(); running.Wait() }
	r.t.Cleanup(s.stop)
	r.until("a replica knows of the others", s.Ready)
	return s
}

// until waits for something to become true.
func (r *replicas) until(what string, check func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !check(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// change makes a new key at a site and returns the revision.
func (r *replicas) change(at *site) vpn.NodeRev {
	r.t.Helper()
	key, err := at.store.IssueKey(r.t.Context(), r.key, vpn.Audit{Action: "key.issue"})
	r.ok(err)
	rev := vpn.NodeRev{NodeID: key.ServerID, Rev: key.Rev}
	at.Wake(rev)
	return rev
}

// applied fails unless a site learns within a minute that the node has a revision.
func (r *replicas) applied(at *site, rev vpn.NodeRev) {
	r.t.Helper()
	r.until("a revision is known to be applied", func() bool {
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		defer cancel()
		return at.WaitApplied(ctx, rev.NodeID, rev.Rev) // false at once before the node is online
	})
}

// notApplied fails if a site believes that the node has a revision.
func (r *replicas) notApplied(at *site, rev vpn.NodeRev) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 50*time.Millisecond)
	defer cancel()
	if at.WaitApplied(ctx, rev.NodeID, rev.Rev) {
		r.t.Errorf("revision %d is believed to be applied", rev.Rev)
	}
}

// follower is a node that acknowledges what it gets, unless it holds back.
type follower struct {
	link     wire.Link
	holds    atomic.Bool
	refuses  atomic.Int64 // a key, 0 = none
	session  atomic.Uint64
	lastHeld atomic.Pointer[wire.Ack]
	ended    chan error // of the hub's Serve
	// serverTime is the newest that the hub told, unix milliseconds.
	serverTime atomic.Int64
	// delivered are the revisions that came.
	mu        sync.Mutex
	delivered []int64
}

// follow connects the node to a site.
func (r *replicas) follow(at *site, hello wire.Hello) *follower {
	r.t.Helper()
	here, there := wire.Pipe()
	f := &follower{link: here, ended: make(chan error, 1)}
	go func() { f.ended <- at.Serve(r.t.Context(), r.server.ID, there) }()
	hello.Proto, hello.NodeID = wire.Protocol, r.server.ID
	_ = here.Send(r.t.Context(), &hello) // a hub that hands its nodes over may close the link first
	go f.run()
	r.t.Cleanup(func() { _ = here.Close() })
	return f
}

func (f *follower) run() {
	var epoch int64
	for {
		frame, err := f.link.Receive(context.Background())
		if err != nil {
			return
		}
		ack := &wire.Ack{Session: f.session.Load(), Epoch: epoch}
		if id := f.refuses.Load(); id != 0 {
			ack.Refused = []int64{id}
		}
		switch frame := frame.(type) {
		case *wire.Welcome:
			epoch = frame.Epoch
			f.session.Store(frame.Session)
			continue
		case *wire.Delta:
			ack.Rev = frame.ToRev
		case *wire.SnapshotEnd:
			ack.Rev = frame.Rev
		case *wire.ServerBeat:
			f.serverTime.Store(frame.ServerTime)
			continue
		default:
			continue
		}
		f.mu.Lock()
		f.delivered = append(f.delivered, ack.Rev)
		f.mu.Unlock()
		if f.holds.Load() {
			f.lastHeld.Store(ack)
			continue
		}
		_ = f.link.Send(context.Background(), ack) // fails when the link is gone
	}
}

func (f *follower) has(rev int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.delivered, rev)
}

func TestRefusedKeysAreKnownToEveryReplica(t *testing.T) {
	r := newReplicas(t)
	f := r.follow(r.a, wire.Hello{})
	f.refuses.Store(7)
	rev := r.change(r.a)
	for _, at := range []*site{r.a, r.b} {
		r.applied(at, rev)
		if !at.Refuses(r.server.ID, 7) || at.Refuses(r.server.ID, 8) || at.Refuses(r.server.ID+1, 7) {
			t.Errorf("a replica believes that the node refuses %q", at.node(r.server.ID).now().Refused)
		}
	}
	noted, err := r.b.store.NodeStreams(t.Context())
	r.ok(err)
	if len(noted) != 1 || noted[0].Refused != "7" {
		t.Errorf("noted: %+v", noted)
	}
	f.refuses.Store(0)
	rev = r.change(r.b)
	r.applied(r.b, rev)
	if r.b.Refuses(r.server.ID, 7) {
		t.Error("a key that the node takes now counts as refused")
	}
}

func TestAReplicaWaitsForTheNodesOfOthers(t *testing.T) {
	r := newReplicas(t)
	if r.a.WaitApplied(t.Context(), r.server.ID, 0) || r.a.Live(r.server.ID).IsOnline {
		t.Error("applied by a node that never came")
	}
	f := r.follow(r.b, wire.Hello{Version: "v1"})
	r.until("the other replica sees the node", func() bool { return r.a.Live(r.server.ID).IsOnline })
	r.until("the first set is acknowledged", func() bool { return r.b.known(r.server.ID).now().Epoch == 1 })
	f.holds.Store(true)
	held := r.change(r.a)
	r.until("the change arrives", func() bool { return f.has(held.Rev) })
	r.notApplied(r.a, held)
	r.ok(f.link.Send(t.Context(), f.lastHeld.Load()))
	f.holds.Store(false)
	r.applied(r.a, held)
	var took []time.Duration
	for range 100 {
		began := time.Now()
		rev := r.change(r.a)
		r.applied(r.a, rev)
		if !f.has(rev.Rev) {
			t.Fatalf("revision %d is known to be applied, and the node never had it", rev.Rev)
		}
		took = append(took, time.Since(began))
		time.Sleep(2 * gatherTime) // each by itself
	}
	slices.Sort(took)
	t.Logf("from the call to the knowledge that a node elsewhere has the key: p50 %v, p95 %v", took[50], took[95])
	revoked, err := r.a.store.RemoveDevice(t.Context(), r.key.UserID, r.key.DeviceID, vpn.Audit{Action: "device.remove"})
	r.ok(err)
	r.a.Wake(revoked...)
	r.applied(r.a, revoked[0])
}

func TestEveryReplicaKnowsHowNodesAre(t *testing.T) {
	r := newReplicas(t)
	f := r.follow(r.b, wire.Hello{Version: "v\x00\xff1\n" + strings.Repeat("é", 100)}) // no text to be kept as it is
	r.applied(r.b, r.change(r.b))
	r.ok(f.link.Send(t.Context(), &wire.NodeBeat{Session: f.session.Load(), ActiveKeys: 3, Sessions: 8, Load: 4}))
	r.until("both know of three devices", func() bool {
		live := r.a.Live(r.server.ID)
		here := r.b.Live(r.server.ID)
		return live.IsOnline && live.ActiveDevices == 3 && here.ActiveDevices == 3 && live.At.Equal(here.At.Truncate(time.Millisecond))
	})
	streams, err := r.a.store.Replicas().Streams(t.Context(), r.server.ID)
	r.ok(err)
	if len(streams) != 1 || streams[0].Version != "v1"+strings.Repeat("é", 29) || streams[0].Sessions != 8 || streams[0].Load != 4 || streams[0].Epoch != 1 {
		t.Errorf("the database knows %+v", streams)
	}
	_ = f.link.Close()
	<-f.ended
	r.until("the other knows that it is gone", func() bool { return r.a.Live(r.server.ID) == vpn.NodeLive{At: streams[0].At} })
}

// A replica that is killed, or hangs, tells nothing any more.
func TestNodesOfADeadReplicaAreOffline(t *testing.T) {
	r := newReplicas(t)
	r.follow(r.b, wire.Hello{})
	r.until("the other replica sees the node", func() bool { return r.a.Live(r.server.ID).IsOnline })
	r.b.stop()
	_, err := raw(t, r.dsn).Exec("UPDATE replica SET beat_at = beat_at - $1 WHERE id = $2", vpn.ReplicaLease.Milliseconds(), r.b.replica.id)
	r.ok(err)
	r.until("the node is offline", func() bool { return !r.a.Live(r.server.ID).IsOnline })
}

// A node that comes back elsewhere from an older state does not count as having what it lost.
func TestAnAckEndsWithItsStream(t *testing.T) {
	r := newReplicas(t)
	first := r.follow(r.b, wire.Hello{})
	rev := r.change(r.a)
	r.until("the other replica sees the node", func() bool { return r.a.Live(r.server.ID).IsOnline })
	r.applied(r.a, rev)
	r.applied(r.b, rev)
	second := r.follow(r.a, wire.Hello{})
	second.holds.Store(true)
	if err := <-first.ended; !errors.Is(err, errReplaced) {
		t.Errorf("the first stream ended with %v", err)
	}
	r.notApplied(r.b, rev)
	r.until("the set arrives", func() bool { return second.has(rev.Rev) })
	r.notApplied(r.a, rev)
	r.notApplied(r.b, rev)
	if !r.a.Live(r.server.ID).IsOnline || !r.b.Live(r.server.ID).IsOnline {
		t.Error("a node that moved is offline")
	}
	r.ok(second.link.Send(t.Context(), second.lastHeld.Load()))
	r.applied(r.a, rev)
	r.applied(r.b, rev)
	third := r.follow(r.a, wire.Hello{}) // and within a replica
	third.holds.Store(true)
	<-second.ended
	r.until("the set arrives", func() bool { return third.has(rev.Rev) })
	r.until("the other replica hears of it", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		return !r.b.WaitApplied(ctx, rev.NodeID, rev.Rev)
	})
}

func TestALostNoticeLosesNoChange(t *testing.T) {
	r := newReplicas(t)
	f := r.follow(r.b, wire.Hello{})
	r.until("the other replica sees the node", func() bool { return r.a.Live(r.server.ID).IsOnline })
	r.a.port.isMute.Store(true)
	r.b.port.isMute.Store(true)
	var took []time.Duration
	for range 3 {
		rev := r.change(r.a)
		began := time.Now()
		r.until("the change arrives by comparison", func() bool { return f.has(rev.Rev) })
		took = append(took, time.Since(began).Round(time.Millisecond))
		r.applied(r.a, rev)
	}
	t.Logf("without notices changes arrived after %v", took)
	r.a.port.isMute.Store(false)
	r.b.port.isMute.Store(false)
	for range 5 { // the listeners' sessions are ended just when something changes
		_, err := raw(t, r.dsn).Exec(`
			SELECT pg_terminate_backend(pid)
			FROM pg_stat_activity
			WHERE application_name = 'stile listen' AND datname = current_database()`)
		r.ok(err)
		r.applied(r.a, r.change(r.a))
	}
}

func TestAnEmptiedTableIsToldAgain(t *testing.T) {
	r := newReplicas(t)
	r.follow(r.b, wire.Hello{})
	rev := r.change(r.a)
	r.until("the other replica sees the node", func() bool { return r.a.Live(r.server.ID).IsOnline })
	r.applied(r.a, rev)
	_, err := raw(t, r.dsn).Exec("TRUNCATE node_stream, replica")
	r.ok(err)
	r.until("it is told again", func() bool {
		streams, err := r.a.store.Replicas().Streams(t.Context())
		return err == nil && len(streams) == 1 && streams[0].IsOnline && streams[0].Applied == rev.Rev
	})
	r.until("the other replica sees the node", func() bool { return r.a.Live(r.server.ID).IsOnline })
	r.applied(r.a, rev)
}

func TestNodesAreHandedOver(t *testing.T) {
	r := newReplicas(t)
	f := r.follow(r.b, wire.Hello{})
	r.applied(r.b, r.change(r.b))
	r.until("the other replica sees the node", func() bool { return r.a.Live(r.server.ID).IsOnline })
	watching, stopWatching := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		for ; watching.Err() == nil; time.Sleep(time.Millisecond) {
			if !r.a.Live(r.server.ID).IsOnline {
				t.Error("the node is offline while it moves")
				return
			}
		}
	})
	r.ok(r.b.Drain(t.Context()))
	if err := <-f.ended; !errors.Is(err, errDraining) {
		t.Errorf("the stream ended with %v", err)
	}
	if !r.b.Live(r.server.ID).IsOnline {
		t.Error("the replica that hands a node over takes it for offline")
	}
	if err := <-r.follow(r.b, wire.Hello{}).ended; !errors.Is(err, errDraining) {
		t.Errorf("a draining hub ends a new stream with %v", err)
	}
	r.b.stop()
	rev := r.change(r.a)
	waiting := make(chan bool, 1)
	go func() { waiting <- r.a.WaitApplied(t.Context(), rev.NodeID, rev.Rev) }()
	r.follow(r.a, wire.Hello{})
	if !<-waiting {
		t.Error("a caller who waits while the node moves is told that it is offline")
	}
	stopWatching()
	watch.Wait()
}

func TestDrainLeavesWhatEndsWithTheProcess(t *testing.T) {
	r := newReplicas(t)
	f := r.follow(r.b, wire.Hello{})
	r.applied(r.b, r.change(r.b))
	r.ok(r.b.Drain(t.Context(), r.server.ID))
	r.applied(r.b, r.change(r.b))
	_ = f.link.Close()
	<-f.ended
	streams, err := r.a.store.Replicas().Streams(t.Context())
	r.ok(err)
	if len(streams) != 1 || streams[0].IsOnline {
		t.Errorf("after its end: %+v", streams)
	}
}

// A replica without the database sends its nodes away: others may have it.
func TestAReplicaThatIsCutOffEndsItsStreams(t *testing.T) {
	r := newReplicas(t)
	f := r.follow(r.b, wire.Hello{})
	r.applied(r.b, r.change(r.b))
	r.b.port.isCutOff.Store(true)
	r.b.later.Add(int64(30 * time.Second))
	jumped := time.Now().Add(30 * time.Second).UnixMilli()
	r.until("the stream looks at the clock", func() bool { return f.serverTime.Load() >= jumped })
	r.ok(f.link.Send(t.Context(), &wire.NodeBeat{Session: f.session.Load(), ActiveKeys: 7})) // the node is not silent
	r.until("the beat arrives", func() bool { return r.b.Live(r.server.ID).ActiveDevices == 7 })
	r.b.later.Add(int64(16 * time.Second))
	if err := <-f.ended; !errors.Is(err, errCutOff) {
		t.Errorf("the stream ended with %v", err)
	}
}

// raw opens the database beside the stores.
func raw(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// 32 writers on two replicas change the keys of one node: each is told of its own change, and the node gets the last.
func TestWritersOnTwoReplicasHideNothing(t *testing.T) {
	r := newReplicas(t)
	f := r.follow(r.b, wire.Hello{})
	r.applied(r.b, r.change(r.b))
	r.until("the other replica sees the node", func() bool { return r.a.Live(r.server.ID).IsOnline })
	var writers sync.WaitGroup
	for i := range 32 {
		at := []*site{r.a, r.b}[i%2]
		writers.Go(func() {
			for range 10 {
				key, err := at.store.IssueKey(t.Context(), r.key, vpn.Audit{Action: "key.issue"})
				if err != nil {
					t.Error(err)
					return
				}
				at.Wake(vpn.NodeRev{NodeID: key.ServerID, Rev: key.Rev})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if !at.WaitApplied(ctx, key.ServerID, key.Rev) {
					t.Errorf("revision %d is not known to be applied", key.Rev)
				}
				cancel()
			}
		})
	}
	writers.Wait()
	p, err := r.a.store.NodePosition(t.Context(), r.server.ID)
	r.ok(err)
	if p.Rev != 321 || !f.has(p.Rev) {
		t.Errorf("the set is at revision %d, which the node has: %v", p.Rev, f.has(p.Rev))
	}
}
