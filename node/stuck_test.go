package node

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"stile/accesskey"
	"stile/vpn"
	"stile/wire"
)

// keys gives a new user so many devices with a key each on a server.
func (cp *controlPlane) keys(email string, serverID int64, n int) (userID int64) {
	cp.t.Helper()
	u, err := cp.store.AddUser(cp.ctx, vpn.NewUser{Email: email, Locale: "en"}, vpn.Audit{Action: "user.add"})
	if err != nil {
		cp.t.Fatal(err)
	}
	var making sync.WaitGroup
	for worker := range 32 {
		making.Go(func() {
			for i := worker; i < n; i += 32 {
				name := fmt.Sprintf("%s %d", email, i)
				in, err := cp.store.SignIn(cp.ctx, vpn.NewSession{UserID: u.ID, ClientID: name, Name: "d", Platform: vpn.PlatformLinux,
					TokenHash: vpn.TokenHash(sha256.Sum256([]byte(name))), DeviceLimit: n}, vpn.Audit{Action: "device.sign_in"})
				if err != nil {
					cp.t.Error(err)
					return
				}
				seed, err := accesskey.New()
				if err == nil {
					_, err = cp.store.IssueKey(cp.ctx, vpn.NewKey{UserID: u.ID, DeviceID: in.DeviceID, ServerID: serverID, Seed: seed}, vpn.Audit{Action: "key.issue"})
				}
				if err != nil {
					cp.t.Error(err)
					return
				}
			}
		})
	}
	making.Wait()
	return u.ID
}

// heap is what is reachable, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A node that reads nothing while 100,000 changes are made costs little, and is cut off when a write has waited too long.
func TestAStuckNodeCostsLittleAndIsCutOff(t *testing.T) {
	const keys, changes = 3000, 100_000
	cp := newControlPlane(t)
	id := cp.server("a")
	dir := t.TempDir()
	identity, err := cp.join(cp.token(id), dir)
	if err != nil {
		t.Fatal(err)
	}
	user := cp.keys("a@example.com", id, keys)

	own, _, err := identity.parse()
	if err != nil {
		t.Fatal(err)
	}
	authority, err := identity.authority()
	if err != nil {
		t.Fatal(err)
	}
	c := newControl(cp.url, authority, &own)
	c.transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	stuck, err := openStream(cp.ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stuck.Close() }()
	if err := stuck.Send(cp.ctx, &wire.Hello{Proto: wire.Protocol, NodeID: id}); err != nil {
		t.Fatal(err)
	}
	cp.online(id, true)
	before, most := heap(), int64(0)
	for i := range changes / keys {
		revs, err := cp.store.RefreshKeys(cp.ctx, user, vpn.KeyTerms{NotAfter: time.Now().Add(time.Duration(i+1) * time.Hour).Truncate(time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		cp.hub.Wake(revs...)
		most = max(most, heap()-before)
	}
	if most > 20<<20 {
		t.Errorf("the control plane grew by %d bytes", most)
	}
	t.Logf("the control plane grew by %d bytes at most", most)
	cp.online(id, false)

	cp.run(dir) // and one that reads catches up
	until(t, "the node is in step", func() bool {
		p, err := cp.store.NodePosition(cp.ctx, id)
		return err == nil && cp.hub.WaitApplied(cp.ctx, id, p.Rev)
	})
}
