package node

import (
	"context"
	"crypto/sha256"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"stile/accesskey"
	"stile/vpn"
)

// middlebox is a proxy that forgets connections on which nothing came back for a while, as some carriers' do.
type middlebox struct {
	listener net.Listener
	patience atomic.Int64 // 0: for ever
	killed   atomic.Int64
}

func newMiddlebox(t *testing.T, to string, patience time.Duration) *middlebox {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &middlebox{listener: listener}
	m.patience.Store(int64(patience))
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go m.carry(near, u.Host)
		}
	}()
	return m
}

func (m *middlebox) carry(near net.Conn, to string) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
	for buffer := make([]byte, 32<<10); ; {
		if p := m.patience.Load(); p > 0 {
			_ = far.SetReadDeadline(time.Now().Add(time.Duration(p)))
		}
		n, err := far.Read(buffer)
		if n > 0 {
			if _, err := near.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			m.killed.Add(1)
			return
		}
	}
}

func TestANodePollsWhereStreamsDoNotLast(t *testing.T) {
	cp := newControlPlane(t)
	id := cp.server("a")
	dir := t.TempDir()
	identity, err := cp.join(cp.token(id), dir)
	if err != nil {
		t.Fatal(err)
	}
	box := newMiddlebox(t, cp.url, time.Second)
	identity.URL = "https://" + box.listener.Addr().String()
	if err := identity.Save(dir); err != nil {
		t.Fatal(err)
	}
	n := cp.run(dir)
	until(t, "polling", n.transport.mustPoll)
	cp.online(id, true)
	box.patience.Store(int64(3 * time.Second)) // in which a busy machine answers a poll
	killed := box.killed.Load()
	user, device := cp.device("a@example.com")
	for range 3 {
		key := cp.issue(user, device, id)
		if _, _, err := n.connect(key.ID); err != nil {
			t.Errorf("key %d is ready, and refused: %v", key.ID, err)
		}
		time.Sleep(1500 * time.Millisecond) // all together longer than the middlebox's patience
	}
	if now := box.killed.Load(); now > killed+1 { // the last stream's may still have been under way
		t.Errorf("%d connections were killed while the node polls", now-killed)
	}
	// The time of polling is over: streams again, which last now.
	box.patience.Store(0)
	n.transport.mu.Lock()
	n.transport.pollUntil = time.Time{}
	n.transport.mu.Unlock()
	if n.transport.mustPoll() {
		t.Error("still polling")
	}
}

// device signs a new device of a new user in, and returns both ids.
func (cp *controlPlane) device(email string) (userID, deviceID int64) {
	cp.t.Helper()
	u, err := cp.store.AddUser(cp.ctx, vpn.NewUser{Email: email, Locale: "en"}, vpn.Audit{Action: "user.add"})
	if err != nil {
		cp.t.Fatal(err)
	}
	in, err := cp.store.SignIn(cp.ctx, vpn.NewSession{UserID: u.ID, ClientID: "c", Name: "d", Platform: vpn.PlatformLinux,
		TokenHash: vpn.TokenHash(sha256.Sum256([]byte(email))), DeviceLimit: 10}, vpn.Audit{Action: "device.sign_in"})
	if err != nil {
		cp.t.Fatal(err)
	}
	return u.ID, in.DeviceID
}

// issue makes a key in place of the device's, and waits until the node has it.
func (cp *controlPlane) issue(userID, deviceID, serverID int64) vpn.Key {
	cp.t.Helper()
	seed, err := accesskey.New()
	if err != nil {
		cp.t.Fatal(err)
	}
	key, err := cp.store.IssueKey(cp.ctx, vpn.NewKey{UserID: userID, DeviceID: deviceID, ServerID: serverID, Seed: seed, Rotate: true},
		vpn.Audit{Action: "key.issue"})
	if err != nil {
		cp.t.Fatal(err)
	}
	cp.hub.Wake(vpn.NodeRev{NodeID: serverID, Rev: key.Rev})
	ctx, cancel := context.WithTimeout(cp.ctx, time.Minute)
	defer cancel()
	if !cp.hub.WaitApplied(ctx, serverID, key.Rev) {
		cp.t.Fatalf("key %d never reached the node", key.ID)
	}
	return key
}
