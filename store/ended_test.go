package store_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"stile/accesskey"
	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
)

// TestEndedConnectionsLoseNothing ends connections of two processes all the time, while each device asks for keys: what was
// acknowledged is there, nobody gets what is another's, and nothing stays open.
func TestEndedConnectionsLoseNothing(t *testing.T) {
	dsn := storetest.Postgres(t)
	peers := []*store.Store{open(t, dsn), open(t, dsn)}
	server, err := peers[0].AddServer(t.Context(), vpn.Server{Name: "server"}, vpn.Audit{})
	ok(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var ending, callers sync.WaitGroup
	admin := raw(t, dsn)
	ending.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(15 * time.Millisecond) {
			_, _ = admin.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'stile' AND random() < 0.3")
		}
	})
	devices := make([]*holding, 20)
	for i := range devices {
		devices[i] = &holding{peers: peers, serverID: server.ID, hash: vpn.TokenHash{byte(i), 1}}
		callers.Go(func() { devices[i].use(t, strconv.Itoa(i)) })
	}
	callers.Wait()
	stop()
	ending.Wait()
	for i := range 4 { // each takes the place of a connection that has ended, or finds that out
		_, _ = peers[i%2].DeviceKey(t.Context(), 1, server.ID)
		_ = peers[i%2].Touch(t.Context(), 1, 1, time.Now())
		_, _ = peers[i%2].NodePosition(t.Context(), server.ID)
	}
	for _, d := range devices {
		d.check(t, peers[0])
		if _, err := peers[0].DeviceKey(t.Context(), d.deviceID, server.ID); err != nil || d.key.ID == 0 {
			t.Errorf("device %d has no key: %v", d.deviceID, err)
		}
	}
	digestHolds(t, peers[0], server.ID)
	var left int
	ok(t, admin.QueryRow("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'").Scan(&left))
	if left > 0 {
		t.Errorf("%d transactions are left open", left)
	}
	for _, s := range peers {
		ok(t, s.Close())
	}
}

// holding is a device with the key that it was last told of.
type holding struct {
	peers                     []*store.Store
	userID, deviceID, tokenID int64
	serverID                  int64
	hash                      vpn.TokenHash
	key                       vpn.Key
	// isUnsure: the outcome of a later call is not known.
	isUnsure bool
}

// until repeats a call until it is answered, or a minute is over.
func until[T any](call func() (T, error)) (v T, err error) {
	for range 4000 {
		if v, err = call(); err == nil {
			break
		}
		time.Sleep(15 * time.Millisecond)
	}
	return v, err
}

// use makes an account, and asks for a key, in turns for the same one and for another.
func (d *holding) use(t *testing.T, name string) {
	s := d.peers[0]
	user, err := until(func() (vpn.User, error) {
		u, err := s.AddUser(t.Context(), vpn.NewUser{Email: name}, vpn.Audit{})
		if errors.Is(err, vpn.ErrTaken) { // the outcome of the call before was not known
			return s.UserByEmail(t.Context(), name)
		}
		return u, err
	})
	if err != nil {
		t.Error(err)
		return
	}
	in, err := until(func() (vpn.SignedIn, error) {
		return s.SignIn(t.Context(), vpn.NewSession{UserID: user.ID, ClientID: "c", DeviceLimit: 1, TokenHash: d.hash}, vpn.Audit{})
	})
	if err != nil {
		t.Error(err)
		return
	}
	d.userID, d.deviceID, d.tokenID = user.ID, in.DeviceID, in.TokenID
	for n := range 100 {
		s := d.peers[n%len(d.peers)]
		k := vpn.NewKey{UserID: d.userID, DeviceID: d.deviceID, ServerID: d.serverID, Seed: accesskey.Seed{d.hash[0], byte(n), 1}, Rotate: n%4 == 3, IsNew: n%2 == 0}
		key, err := s.IssueKey(t.Context(), k, vpn.Audit{Action: "key.issue"})
		if err != nil {
			d.isUnsure = true
		} else {
			if !k.Rotate && !d.isUnsure && d.key.ID != 0 && key != d.key {
				t.Errorf("device %d: key %d became %d", d.deviceID, d.key.ID, key.ID)
			}
			d.key, d.isUnsure = key, false
		}
		d.check(t, s)
		session, err := s.Session(t.Context(), d.tokenID+int64(n%3), d.hash) // the right id, or another's
		if errors.Is(err, vpn.ErrNotFound) || err == nil && (session.User.ID != d.userID || session.Device.ID != d.deviceID) {
			t.Errorf("device %d: session %+v, %v", d.deviceID, session, err)
		}
	}
}

// check looks the key up; a lost connection says nothing.
func (d *holding) check(t *testing.T, s *store.Store) {
	t.Helper()
	key, err := s.DeviceKey(t.Context(), d.deviceID, d.serverID)
	isOther := err == nil && (key.DeviceID != d.deviceID || !d.isUnsure && key != d.key)
	if isOther || !d.isUnsure && errors.Is(err, vpn.ErrNotFound) {
		t.Errorf("device %d: key %+v, %v, acknowledged %+v", d.deviceID, key, err, d.key)
	}
}
