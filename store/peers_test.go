package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strconv"
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

// TestTwoProcesses has two stores on one database, as the server and the command line are: both write all the time, and
// what one commits the other sees.
func TestTwoProcesses(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		server, tool := open(t, dsn), open(t, dsn)
		defer server.Close()
		defer tool.Close()
		h := setup(t, server)
		ctx, stop := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		for range 64 {
			busy.Go(func() {
				for ctx.Err() == nil {
					k := h.newKey(accesskey.Seed{1})
					k.Rotate = true
					if _, err := server.IssueKey(ctx, k, vpn.Audit{Action: "key.rotate"}); err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
						return
					}
				}
			})
		}
		var longest time.Duration
		for i := range 30 {
			began := time.Now()
			u, err := tool.AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(i) + "@example.com"}, vpn.Audit{Action: "user.add"})
			ok(t, err)
			longest = max(longest, time.Since(began))
			seen, err := server.User(t.Context(), u.ID)
			ok(t, err)
			if seen != u {
				t.Fatalf("got %+v, want %+v", seen, u)
			}
			_, err = tool.IssueKey(t.Context(), h.newKey(accesskey.Seed{2}), vpn.Audit{Action: "key.issue"})
			ok(t, err)
		}
		t.Logf("the other's longest write: %v", longest)
		stop()
		busy.Wait()
		_, err := tool.RemoveDevice(t.Context(), h.user.ID, h.in.DeviceID, vpn.Audit{Action: "device.remove"})
		ok(t, err)
		p, err := server.NodePosition(t.Context(), h.server.ID)
		ok(t, err)
		if p.Count != 0 || p.Digest != [32]byte{} {
			t.Fatalf("position: %+v", p)
		}
	})
}

// TestWaitingEndsWithItsContext has another process hold the write lock: a caller does not wait longer than it wants,
// what it gave up is not done later, and who has patience gets through.
func TestWaitingEndsWithItsContext(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "stile.db")
	s := open(t, dsn)
	defer s.Close()
	other, err := raw(t, dsn).Conn(t.Context())
	ok(t, err)
	_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	ok(t, err)
	var patient sync.WaitGroup
	add := func(ctx context.Context, email string) error {
		_, err := s.AddUser(ctx, vpn.NewUser{Email: email}, vpn.Audit{})
		return err
	}
	for i := range 4 {
		patient.Go(func() {
			if err := add(t.Context(), "patient"+strconv.Itoa(i)); err != nil {
				t.Error(err)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := add(ctx, "hasty"+strconv.Itoa(i)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hasty: %v", err)
		}
		cancel()
	}
	_, err = other.ExecContext(t.Context(), "ROLLBACK")
	ok(t, err)
	patient.Wait()
	page, err := s.Users(t.Context(), vpn.UserFilter{Search: "hasty", Limit: 10})
	ok(t, err)
	if len(page.Users) > 0 {
		t.Errorf("given up, and done: %+v", page.Users)
	}
}

// TestPeersNeverDeadlock has two processes change the keys of the same devices on the same nodes in every way at once.
func TestPeersNeverDeadlock(t *testing.T) {
	dsn := storetest.Postgres(t)
	peers := []*store.Store{open(t, dsn), open(t, dsn)}
	var servers []int64
	for i := range 5 {
		server, err := peers[0].AddServer(t.Context(), vpn.Server{Name: strconv.Itoa(i)}, vpn.Audit{})
		ok(t, err)
		servers = append(servers, server.ID)
	}
	var users []int64
	for i := range 10 {
		u, err := peers[0].AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(i)}, vpn.Audit{})
		ok(t, err)
		users = append(users, u.ID)
	}
	refused := func(err error) bool {
		return err == nil || errors.Is(err, vpn.ErrNotFound) || errors.Is(err, vpn.ErrDeviceLimit)
	}
	var callers sync.WaitGroup
	var stream atomic.Uint64
	for i := range 64 {
		callers.Go(func() {
			s := peers[i%len(peers)]
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for n := range 20 {
				user := users[random.IntN(len(users))]
				session := vpn.NewSession{UserID: user, ClientID: strconv.Itoa(random.IntN(4)), DeviceLimit: 3, TokenHash: vpn.TokenHash{byte(i), byte(n)}}
				if found, err := s.Devices(t.Context(), user); err == nil && len(found) > 0 {
					session.ReplaceDeviceID = found[random.IntN(len(found))].ID
				}
				in, err := s.SignIn(t.Context(), session, vpn.Audit{})
				if !refused(err) {
					t.Error(err)
				}
				var key vpn.Key
				for _, server := range random.Perm(len(servers)) {
					k := vpn.NewKey{UserID: user, DeviceID: in.DeviceID, ServerID: servers[server], Seed: accesskey.Seed{1}, Rotate: n%2 == 0}
					if key, err = s.IssueKey(t.Context(), k, vpn.Audit{}); !refused(err) {
						t.Error(err)
					}
				}
				switch random.IntN(4) {
				case 0:
					_, err = s.RemoveDevice(t.Context(), user, in.DeviceID, vpn.Audit{})
				case 1:
					_, err = s.SignOut(t.Context(), in.TokenID, vpn.Audit{})
				case 2:
					_, err = s.SetPasswordHash(t.Context(), user, "x", true, vpn.Audit{})
				case 3:
					r := vpn.UsageReport{NodeID: key.ServerID, Stream: stream.Add(1), Seq: 1}
					for id := key.ID; id > 0 && id > key.ID-50; id-- {
						r.Entries = append(r.Entries, vpn.UsageEntry{KeyID: id, Up: 1})
					}
					_, _, _, err = s.ApplyUsage(t.Context(), r, time.Now())
				}
				if !refused(err) {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	for _, server := range servers {
		digestHolds(t, peers[0], server)
	}
	for _, s := range peers {
		ok(t, s.Close()) // and its connections tell what they counted
	}
	var deadlocks int
	ok(t, raw(t, dsn).QueryRow("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks))
	if deadlocks > 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}

// digestHolds fails unless count and digest of a node are those of its live keys.
func digestHolds(t *testing.T, s *store.Store, nodeID int64) {
	t.Helper()
	var digest wire.Digest
	count := 0
	p, err := s.NodeSnapshot(t.Context(), nodeID, func(k vpn.NodeKey) error {
		if !k.IsRemoved {
			count++
			digest.Add(wire.Key{ID: k.ID, Seed: wire.Seed(k.Seed)}.Sum())
		}
		return nil
	})
	ok(t, err)
	if p.Count != count || wire.Digest(p.Digest) != digest {
		t.Errorf("node %d: %d keys, position %+v", nodeID, count, p)
	}
}

// TestSignOutWhileATokenIsAdopted has one replica end an imported token just when another gives it its device: the device goes with it.
func TestSignOutWhileATokenIsAdopted(t *testing.T) {
	dsn := storetest.Postgres(t)
	s, db := open(t, dsn), raw(t, dsn)
	defer s.Close()
	_, err := s.ImportUsers(t.Context(), []vpn.ImportedUser{{ID: 7, Email: "a@example.com"}}, false, vpn.Audit{Action: "user.import"})
	ok(t, err)
	_, err = s.ImportTokens(t.Context(), []vpn.ImportedToken{{ID: 5, UserID: 7, Hash: vpn.TokenHash{1}}}, false, vpn.Audit{Action: "token.import"})
	ok(t, err)
	other, err := db.Begin()
	ok(t, err)
	for _, text := range []string{ // as AdoptToken does
		"SELECT id FROM account WHERE id = 7 FOR NO KEY UPDATE",
		"UPDATE account SET devices = devices + 1 WHERE id = 7",
		"INSERT INTO device (user_id, client_id, name, platform, last_seen_day, created_at) VALUES (7, 'token-5', 'x', 'ios', 0, 0)",
		"UPDATE token SET device_id = (SELECT id FROM device) WHERE id = 5",
	} {
		_, err := other.Exec(text)
		ok(t, err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.SignOut(t.Context(), 5, vpn.Audit{Action: "device.sign_out"})
		done <- err
	}()
	for isWaiting := false; !isWaiting; {
		ok(t, db.QueryRow("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&isWaiting))
	}
	ok(t, other.Commit())
	ok(t, <-done)
	devices, err := s.Devices(t.Context(), 7)
	ok(t, err)
	var slots int
	ok(t, db.QueryRow("SELECT devices FROM account WHERE id = 7").Scan(&slots))
	if len(devices) != 0 || slots != 0 {
		t.Errorf("%d devices, %d slots taken", len(devices), slots)
	}
}
