package store_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/accesskey"
	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
)

// pair is two replicas on one database, by the numbers 1 and 2.
func pair(t *testing.T) (dsn string, one, two *store.Store) {
	t.Helper()
	dsn = storetest.Postgres(t)
	one, two = open(t, dsn), open(t, dsn)
	t.Cleanup(func() { _, _ = one.Close(), two.Close() })
	ok(t, one.Replicas().Renew(t.Context(), 1))
	ok(t, two.Replicas().Renew(t.Context(), 2))
	return dsn, one, two
}

func TestOnlyPostgreSQLHasReplicas(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "stile.db"))
	defer s.Close()
	if s.Replicas() != nil {
		t.Error("a port to other processes on SQLite")
	}
}

func TestTheNewestStreamOfANodeWins(t *testing.T) {
	_, one, two := pair(t)
	first, isOnline, err := one.Replicas().Claim(t.Context(), 7, 1)
	ok(t, err)
	if isOnline || first <= 0 {
		t.Errorf("the first stream has session %d, and one before it is online: %v", first, isOnline)
	}
	s := vpn.NodeStream{
		NodeID: 7, Session: first, Replica: 1, IsOnline: true, Epoch: 2, Applied: 30, Version: "v1", Load: 4, ActiveDevices: 5, Sessions: 6,
		At: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC),
	}
	publish(t, one, s)
	is(t, two, s)
	second, isOnline, err := two.Replicas().Claim(t.Context(), 7, 2)
	ok(t, err)
	if !isOnline || second <= first {
		t.Errorf("the second stream has session %d after %d, and the node moves: %v", second, first, isOnline)
	}
	s.Session, s.Replica, s.Epoch, s.Applied = second, 2, 0, 0
	is(t, one, s) // online, and has acknowledged nothing
	late := s
	late.Session, late.Replica, late.Applied = first, 1, 31
	lost, err := one.Replicas().Publish(t.Context(), []vpn.NodeStream{late, {NodeID: 8, Session: 1, Replica: 1}}, true)
	ok(t, err)
	if len(lost) != 1 || lost[0] != 7 {
		t.Errorf("the first stream lost %v, want node 7", lost)
	}
	is(t, one, s)
}

func publish(t *testing.T, s *store.Store, streams ...vpn.NodeStream) {
	t.Helper()
	lost, err := s.Replicas().Publish(t.Context(), streams, true)
	ok(t, err)
	if len(lost) > 0 {
		t.Errorf("lost %v", lost)
	}
}

// is fails unless a replica reads this of the node.
func is(t *testing.T, s *store.Store, want vpn.NodeStream) {
	t.Helper()
	got, err := s.Replicas().Streams(t.Context(), want.NodeID)
	ok(t, err)
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestStreamsEndWithTheirReplicasLease(t *testing.T) {
	dsn, one, two := pair(t)
	session, _, err := one.Replicas().Claim(t.Context(), 7, 1)
	ok(t, err)
	s := vpn.NodeStream{NodeID: 7, Session: session, Replica: 1, IsOnline: true}
	publish(t, one, s)
	is(t, two, s)
	_, err = raw(t, dsn).Exec("UPDATE replica SET beat_at = beat_at - $1 WHERE id = 1", vpn.ReplicaLease.Milliseconds())
	ok(t, err)
	s.IsOnline = false
	is(t, two, s)
	if _, isOnline, err := two.Replicas().Claim(t.Context(), 7, 2); err != nil || isOnline {
		t.Errorf("a node moves from a replica that is gone: %v, %v", isOnline, err)
	}
	ok(t, one.Replicas().Renew(t.Context(), 1))
	_, err = raw(t, dsn).Exec("UPDATE replica SET beat_at = 0 WHERE id = 1")
	ok(t, err)
	ok(t, two.Replicas().Renew(t.Context(), 2))
	var n int
	ok(t, raw(t, dsn).QueryRow("SELECT COUNT(*) FROM replica").Scan(&n))
	if n != 1 {
		t.Errorf("%d replicas are kept, one of them long gone", n)
	}
}

// PostgreSQL empties the table when it crashed.
func TestAnEmptiedTableIsFilledAgain(t *testing.T) {
	dsn, one, two := pair(t)
	session, _, err := one.Replicas().Claim(t.Context(), 7, 1)
	ok(t, err)
	_, err = raw(t, dsn).Exec("TRUNCATE node_stream")
	ok(t, err)
	s := vpn.NodeStream{NodeID: 7, Session: session, Replica: 1, IsOnline: true, Applied: 3}
	publish(t, one, s)
	is(t, two, s)
	_, err = raw(t, dsn).Exec("TRUNCATE node_stream")
	ok(t, err)
	if next, _, err := two.Replicas().Claim(t.Context(), 7, 2); err != nil || next <= session {
		t.Errorf("session %d after %d: %v", next, session, err)
	}
}

// Many replicas claim and publish the same nodes at once: nobody waits in a circle, and one of them has each in the end.
func TestReplicasNeverDeadlock(t *testing.T) {
	dsn, one, two := pair(t)
	const nodes = 53 // a prime, so that each takes them in another order
	var tasks sync.WaitGroup
	for i := range 8 {
		s := []*store.Store{one, two}[i%2]
		tasks.Go(func() {
			for round := range 10 {
				var streams []vpn.NodeStream
				for id := range int64(nodes) {
					id = (id*int64(7+2*i) + int64(round)) % nodes
					session, _, err := s.Replicas().Claim(t.Context(), id+1, int64(i))
					if err != nil {
						t.Error(err)
						return
					}
					streams = append(streams, vpn.NodeStream{NodeID: id + 1, Session: session, Replica: int64(i), IsOnline: true})
				}
				if _, err := s.Replicas().Publish(t.Context(), streams, true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	tasks.Wait()
	all, err := one.Replicas().Streams(t.Context())
	ok(t, err)
	if len(all) != nodes {
		t.Errorf("%d nodes, want %d", len(all), nodes)
	}
	ok(t, one.Close())
	ok(t, two.Close())
	var deadlocks int
	ok(t, raw(t, dsn).QueryRow("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks))
	if deadlocks > 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}

func TestNoticesArrive(t *testing.T) {
	dsn, one, two := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan vpn.ReplicaNotice, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		two.Replicas().Listen(ctx, 2, func(n vpn.ReplicaNotice) { heard <- n })
	}()
	next := func() vpn.ReplicaNotice {
		t.Helper()
		select {
		case n := <-heard:
			return n
		case <-time.After(time.Minute):
			t.Fatal("nothing is heard")
			panic("unreachable")
		}
	}
	if n := next(); !n.IsAll {
		t.Errorf("at the start: %+v", n)
	}
	ok(t, two.Replicas().Wake(t.Context(), 2, []int64{1})) // its own: not heard
	ok(t, one.Replicas().Wake(t.Context(), 1, []int64{3, 4}))
	if n := next(); len(n.Keys) != 2 || n.Keys[1] != 4 || n.IsAll {
		t.Errorf("keys: %+v", n)
	}
	publish(t, one, vpn.NodeStream{NodeID: 5, Session: 1, Replica: 1})
	if n := next(); len(n.Streams) != 1 || n.Streams[0] != 5 {
		t.Errorf("streams: %+v", n)
	}
	many := make([]int64, 10_000)
	for i := range many {
		many[i] = int64(i) + 1
	}
	ok(t, one.Replicas().Wake(t.Context(), 1, many))
	if n := next(); !n.IsAll {
		t.Errorf("10,000 nodes: %+v", n)
	}
	_, err := raw(t, dsn).Exec("NOTIFY stile_keys, 'of another version'")
	ok(t, err)
	if n := next(); !n.IsAll {
		t.Errorf("of another version: %+v", n)
	}
	_, err = raw(t, dsn).Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stile listen' AND datname = current_database()")
	ok(t, err)
	if n := next(); !n.IsAll { // what was told meanwhile was lost
		t.Errorf("after its connection was cut: %+v", n)
	}
	cancel()
	<-ended
}

// Two first starts at once, each with a secret of its own: the seeds are sealed with one of them, and the other is refused.
func TestOneOfTwoSecretsWins(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		open(t, dsn).Close()
		_, err := raw(t, dsn).Exec("DELETE FROM seal_check") // as after the migrations, before the check
		ok(t, err)
		var opened, refused atomic.Int64
		var starts sync.WaitGroup
		for i := range 8 {
			starts.Go(func() {
				s, err := store.Open(t.Context(), store.Config{DSN: dsn, Secret: [32]byte{byte(i)}})
				switch {
				case err == nil:
					opened.Add(1)
					_ = s.Close()
				case strings.Contains(err.Error(), "sealed with another secret.key"):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		starts.Wait()
		if opened.Load() != 1 || refused.Load() != 7 {
			t.Errorf("%d started, %d refused", opened.Load(), refused.Load())
		}
	})
}

// A node that moved has its reports sent to both replicas, at once and again: each is booked once.
func TestReplicasBookUsageOnce(t *testing.T) {
	_, one, two := pair(t)
	h := setup(t, one)
	key, err := one.IssueKey(t.Context(), h.newKey(accesskey.Seed{1}), vpn.Audit{Action: "key.issue"})
	ok(t, err)
	const reports = 100
	var booked atomic.Int64
	var senders sync.WaitGroup
	for i := range 8 {
		s := []*store.Store{one, two}[i%2]
		senders.Go(func() {
			for seq := uint64(1); seq <= reports; {
				r := vpn.UsageReport{NodeID: h.server.ID, Stream: 9, Seq: seq, Entries: []vpn.UsageEntry{{KeyID: key.ID, Up: int64(seq), Down: 1}}}
				cursor, applied, _, err := s.ApplyUsage(t.Context(), r, time.Now())
				if err != nil {
					t.Error(err)
					return
				}
				if applied {
					booked.Add(1)
				}
				seq = cursor + 1
			}
		})
	}
	senders.Wait()
	days, err := one.UserUsage(t.Context(), h.user.ID, 10)
	ok(t, err)
	var up, down int64
	for _, d := range days {
		up, down = up+d.Up, down+d.Down
	}
	if booked.Load() != reports || up != reports*(reports+1)/2 || down != reports {
		t.Errorf("%d reports booked, %d and %d bytes", booked.Load(), up, down)
	}
}

// 32 writers on two replicas change the keys of one node while it follows by revision: it misses none.
func TestNoRevisionIsMissed(t *testing.T) {
	_, one, two := pair(t)
	h := setup(t, one)
	var writers sync.WaitGroup
	var made sync.Map // id of a key
	for i := range 32 {
		s := []*store.Store{one, two}[i%2]
		writers.Go(func() {
			n := vpn.NewSession{UserID: h.user.ID, ClientID: string(rune('a' + i)), TokenHash: vpn.TokenHash{2, byte(i)}, DeviceLimit: 100}
			in, err := s.SignIn(t.Context(), n, vpn.Audit{Action: "device.sign_in"})
			if err != nil {
				t.Error(err)
				return
			}
			for range 30 {
				k := vpn.NewKey{UserID: h.user.ID, DeviceID: in.DeviceID, ServerID: h.server.ID, Seed: accesskey.Seed{byte(i)}, Rotate: true}
				key, err := s.IssueKey(t.Context(), k, vpn.Audit{Action: "key.issue"})
				if err != nil {
					t.Error(err)
					return
				}
				made.Store(key.ID, true)
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	seen, at := map[int64]bool{}, int64(0)
	follow := func() {
		keys, p, err := two.NodeChanges(t.Context(), h.server.ID, at, 50)
		ok(t, err)
		for _, k := range keys {
			seen[k.ID], at = true, k.Rev
		}
		if len(keys) == 0 && at != p.Rev {
			t.Errorf("no rows above %d, and the node stands at %d", at, p.Rev)
		}
	}
	for isDone := false; !isDone; {
		select {
		case <-done:
			isDone = true
		default:
		}
		follow()
	}
	for before := int64(-1); at != before; {
		before = at
		follow()
	}
	made.Range(func(id, _ any) bool {
		if !seen[id.(int64)] {
			t.Errorf("key %d was never seen", id)
		}
		return true
	})
}
