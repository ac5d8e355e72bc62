package cli_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/store/storetest"
	"stile/wire"
)

// newReplicas starts two replicas on one PostgreSQL, each with an embedded node: the servers 1 and 2.
func newReplicas(t *testing.T) (a, b *machine) {
	t.Helper()
	a = newMachine(t, storetest.Postgres(t))
	a.stile("server", "set", "1", "--name", "one")
	return a, a.beside()
}

// beside starts another replica on the same PostgreSQL.
func (m *machine) beside(args ...string) *machine {
	t := m.t
	t.Helper()
	b := &machine{t: t, data: t.TempDir(), dsn: m.dsn, args: args, log: new(lockedBuffer)}
	secret, err := os.ReadFile(filepath.Join(m.data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.data, "secret.key"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	return b
}

// at is the same device, asking another replica.
func (d *device) at(m *machine) *device { return &device{m: m, token: d.token, id: d.id} }

// online are the servers that the device may choose from now.
func (d *device) online() []wire.Server {
	d.m.t.Helper()
	var list wire.ServersResponse
	if status := d.post("/api/servers", map[string]any{}, &list); status != http.StatusOK {
		d.m.t.Fatalf("servers: %d", status)
	}
	slices.SortFunc(list.Data, func(a, b wire.Server) int { return int(a.ID - b.ID) })
	return list.Data
}

// Any replica serves the nodes of all: its keys work there when the answer arrives, a key that it revokes is dead there,
// and all list the same.
func TestAReplicaServesTheNodesOfOthers(t *testing.T) {
	a, b := newReplicas(t)
	a.addUser("user@example.com")
	here := a.signIn("user@example.com", "laptop")
	there := here.at(b)
	for _, d := range []*device{here, there} {
		d.m.until("both nodes are listed", func() bool { return len(d.online()) == 2 })
	}
	site := endless(t)
	key := here.rotated(2)
	traffic := startDownload(t, key.Key, site.URL)
	if !traffic.flows() {
		t.Fatal("a key that is said to be ready does not work")
	}
	a.until("both replicas list its device on its node", func() bool {
		one, two := here.online(), there.online()
		return one[1].ActiveConnections == 1 && two[1].ActiveConnections == 1 && one[0].ActiveConnections == 0
	})
	var took []time.Duration
	for range 20 {
		began := time.Now()
		here.rotated(2)
		took = append(took, time.Since(began))
		time.Sleep(20 * time.Millisecond)
	}
	slices.Sort(took)
	t.Logf("a key on a node of another replica: p50 %v", took[10])
	select {
	case <-traffic.ended:
	case <-time.After(time.Minute):
		t.Error("a key that another replica replaced goes on")
	}
	if status := here.post("/api/logout", nil, nil); status != http.StatusOK {
		t.Fatalf("sign-out: %d", status)
	}
	if status := here.get("/api/user", nil); status != http.StatusUnauthorized {
		t.Errorf("the replica that signed the device out answers it with %d", status)
	}
	signedOut := time.Now()
	b.until("the other replica refuses the token", func() bool { return there.get("/api/user", nil) == http.StatusUnauthorized })
	t.Logf("the other replica refused the token after %v", time.Since(signedOut))
}

// The node of a replica that was killed leaves the lists of the others.
func TestAKilledReplicasNodeLeavesTheList(t *testing.T) {
	a, b := newReplicas(t)
	a.addUser("user@example.com")
	d := a.signIn("user@example.com", "laptop")
	a.until("both nodes are listed", func() bool { return len(d.online()) == 2 })
	b.kill()
	killed := time.Now()
	for ; len(d.online()) > 1; time.Sleep(100 * time.Millisecond) {
		if time.Since(killed) > 45*time.Second {
			t.Fatal("the dead one's node is listed still")
		}
	}
	t.Logf("the dead one's node was listed for %v", time.Since(killed))
	var key wire.IssuedKey
	if status := d.post("/api/key", map[string]any{"server_id": 2}, &key); status == http.StatusOK {
		t.Errorf("a key on a node that is gone, ready: %v", key.Ready)
	}
	b.start()
	a.until("it is back", func() bool { return len(d.online()) == 2 })
	d.rotated(2)
}

// A replica needs the secret of the others.
func TestAReplicaWithAnotherSecretIsRefused(t *testing.T) {
	a := newMachine(t, storetest.Postgres(t))
	other := machine{t: t, data: t.TempDir(), dsn: a.dsn}
	cmd := exec.Command(stileBinary, "serve", "--listen", "127.0.0.1:0", "--shadowsocks-ports", "0")
	cmd.Env = other.env()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "sealed with another secret.key") || !strings.Contains(string(out), "all its replicas share") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Two replicas that were told of no --node-host, and of nothing else that tells them apart, do not serve one server.
func TestAReplicaDoesNotTakeAnothersServer(t *testing.T) {
	a := newMachine(t, storetest.Postgres(t))
	other := machine{t: t, data: t.TempDir(), dsn: a.dsn}
	secret, err := os.ReadFile(filepath.Join(a.data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other.data, "secret.key"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // as long as it may run if it is not refused
	defer cancel()
	cmd := exec.CommandContext(ctx, stileBinary, "serve", "--listen", "127.0.0.1:0", "--shadowsocks-ports", "0")
	cmd.Env = other.env()
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "is another replica's: rename it with `stile server set 1 ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A replica stops under load, twice: behind a balancer no request fails.
func TestAReplicaStopsWithoutAFailedRequest(t *testing.T) {
	a, b := newReplicas(t)
	balancer := newBalancer(t, a, b)
	const users = 8
	devices := make([]*device, users)
	for i := range devices {
		email := "user" + string(rune('0'+i)) + "@example.com"
		a.addUser(email)
		devices[i] = a.signIn(email, "laptop").at(&machine{t: t, url: balancer.url})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var answered atomic.Int64
	var callers sync.WaitGroup
	for _, d := range devices {
		callers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				method, path, body := http.MethodGet, "/api/user", any(nil)
				switch {
				case i%20 == 7: // below the throttle of an account
					method, path, body = http.MethodPost, "/api/key", map[string]any{"server_id": 1, "rotate": true}
				case i%3 == 1:
					method, path, body = http.MethodPost, "/api/servers", map[string]any{}
				}
				status, err := d.call(t.Context(), method, path, body, nil)
				if err != nil || status != http.StatusOK {
					t.Errorf("%s: status %d, %v", path, status, err)
					return
				}
				answered.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for range 2 {
		before := answered.Load()
		balancer.until("the callers are under way", func() bool { return answered.Load() > before+100 })
		if code := b.stop(); code != 0 {
			t.Errorf("exit code %d\n%s", code, b.log)
		}
		before = answered.Load()
		balancer.until("the other replica goes on", func() bool { return answered.Load() > before+100 })
		b.start()
		balancer.move(1, b)
	}
	cancel()
	callers.Wait()
	if balancer.served(0) == 0 || balancer.served(1) == 0 {
		t.Errorf("the balancer used the replicas %d and %d times", balancer.served(0), balancer.served(1))
	}
	t.Logf("%d requests were answered", answered.Load())
}
