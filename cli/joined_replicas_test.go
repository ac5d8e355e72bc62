package cli_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stile/client"
	"stile/store/storetest"
	"stile/wire"
)

// The replica that has a node's link is killed. The node reappears through the other within 45 s, its keys carry
// meanwhile, and what the other revokes ends there: a device's running download, then the node itself.
func TestANodeOutlivesItsReplica(t *testing.T) {
	first, second := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	var links [2]atomic.Int32
	balancer := newForwarder(t, func() (net.Conn, error) {
		conn, err := net.DialTimeout("tcp", first, time.Second)
		if err == nil {
			links[0].Add(1)
			return conn, nil
		}
		links[1].Add(1)
		return net.DialTimeout("tcp", second, time.Second)
	})
	url := "https://" + balancer.address
	a := newMachine(t, storetest.Postgres(t), "--no-node", "--nodes-listen", first, "--nodes-url", url)
	b := a.beside("--no-node", "--nodes-listen", second, "--nodes-url", url)
	n := a.joinNode([]string{"--ports", freePort(t)})
	a.addUser("user@example.com")
	a.addUser("other@example.com")
	here, other := a.signIn("user@example.com", "laptop"), a.signIn("other@example.com", "laptop").at(b)
	there := here.at(b)
	for _, d := range []*device{here, there} {
		d.m.until("the node is listed", func() bool { return len(d.online()) == 1 })
	}
	key := here.key()
	traffic := startDownload(t, key.Key, endless(t).URL)
	if !traffic.flows() {
		t.Fatalf("a key that is said to be ready does not work\n%s", n.log)
	}
	if links[0].Load() == 0 || links[1].Load() != 0 {
		t.Fatalf("%d connections to the first, %d to the other", links[0].Load(), links[1].Load())
	}

	a.kill()
	killed := time.Now()
	page := greetingSite(t).URL
	loads := 0
	for {
		if err := loadThrough(key.Key, page, time.Minute); err != nil {
			t.Fatalf("an existing key fails %v after the kill: %v", time.Since(killed), err)
		}
		loads++
		var fresh wire.IssuedKey // is ready only when the node has confirmed it to the other replica
		if status := other.post("/api/key", map[string]any{"server_id": n.server}, &fresh); status == http.StatusOK && fresh.Ready {
			break
		}
		if time.Since(killed) > 45*time.Second {
			t.Fatalf("the node is not back:\n%s\n%s", n.log, b.log)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("back after %v; %d loads meanwhile", time.Since(killed).Round(time.Millisecond), loads)
	if len(other.online()) != 1 || links[1].Load() == 0 {
		t.Errorf("%d servers listed, %d connections to the other", len(other.online()), links[1].Load())
	}
	if !traffic.flows() {
		t.Error("the running download did not outlive the replica")
	}
	if shown := b.stile("node", "list"); !strings.Contains(shown, "online") {
		t.Errorf("node list:\n%s", shown)
	}

	if status := there.post("/api/logout", nil, nil); status != http.StatusOK {
		t.Fatalf("logout: %d", status)
	}
	select {
	case <-traffic.ended:
	case <-time.After(time.Minute):
		t.Error("the revoked key's download goes on")
	}
	if err := loadThrough(key.Key, page, 2*time.Second); err == nil {
		t.Error("a revoked key connects")
	}
	b.stile("node", "revoke", strconv.FormatInt(n.server, 10))
	select {
	case <-n.ended:
	case <-time.After(time.Minute):
		t.Fatalf("the revoked node goes on:\n%s", n.log)
	}
}

// loadThrough loads a page through a key, on a connection of its own.
func loadThrough(key, url string, patience time.Duration) error {
	tunnel, err := client.NewTunnel(key)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: tunnel.DialContext, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
