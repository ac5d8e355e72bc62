package cli_test

import (
	"encoding/json"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// configOf is what `stile config status` says.
type configOf struct {
	Rollout struct {
		Rev   int64
		State string
		Why   string
	}
	Nodes []struct {
		ID      int64
		State   string
		Ports   string
		Rev     int64
		Refusal string
	}
}

func (m *machine) config() (c configOf) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.stile("config", "status", "--json")), &c); err != nil {
		m.t.Fatal(err)
	}
	return c
}

// untilConfig waits until the newest roll-out is in a state.
func (m *machine) untilConfig(state string) configOf {
	m.t.Helper()
	var c configOf
	m.until("the roll-out is "+state, func() bool { c = m.config(); return c.Rollout.State == state })
	return c
}

// stateOf is where a node stands.
func (c *configOf) stateOf(node int64) string {
	for _, n := range c.Nodes {
		if n.ID == node {
			return n.State
		}
	}
	return "?"
}

// movingFleet is two nodes on addresses of their own, whose control plane is one process on SQLite, or two on PostgreSQL.
func movingFleet(t *testing.T, dsn string) (m *machine, first, second *joinedProcess) {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	m = newMachine(t, dsn, "--no-node", "--nodes-listen", address)
	if dsn != "" {
		m.beside("--no-node")
	}
	first = m.joinNodeAt("First", "127.0.5.1", []string{"--ports", freePort(t)})
	second = m.joinNodeAt("Second", "127.0.5.2", []string{"--ports", freePort(t)})
	m.addUser("user@example.com")
	return m, first, second
}

// Nodes move to another port in stages: the first, then the other. Fresh keys name it and connect; keys of before and a running
// download go on. A node that is killed comes back where it was.
func TestPortsMoveInStages(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		m, first, second := movingFleet(t, dsn)
		d := m.signIn("user@example.com", "phone")
		m.until("both nodes are listed", func() bool { return len(d.online()) == 2 })
		page := greetingSite(t).URL
		before := d.keyOn(first.server)
		traffic := startDownload(t, before.Key, endless(t).URL)
		if !traffic.flows() {
			t.Fatal("a key that is said to be ready does not work")
		}
		port := freePort(t)
		m.stile("config", "publish", "--ports", port, "--first", strconv.FormatInt(first.server, 10), "--hold", "1s")
		m.until("the first serves it", func() bool { c := m.config(); return c.stateOf(first.server) == "serving" })
		m.untilConfig("done")
		for _, n := range []*joinedProcess{first, second} {
			key := d.keyOn(n.server)
			if strconv.Itoa(key.Shadowsocks.Port) != port {
				t.Errorf("a key on node %d names port %d, want %s", n.server, key.Shadowsocks.Port, port)
			}
			if err := loadThrough(key.Key, page, time.Minute); err != nil {
				t.Errorf("a fresh key on node %d: %v\n%s", n.server, err, n.log)
			}
		}
		if err := loadThrough(before.Key, page, time.Minute); err != nil {
			t.Errorf("a key of before: %v", err)
		}
		if !traffic.flows() {
			t.Error("the download ended when its port moved")
		}
		if list := m.stile("node", "list"); !strings.Contains(list, "CONFIG") {
			t.Errorf("node list says %s", list)
		}

		// Its configuration is the node's own, also without the control plane, and so are the ports of before.
		m.kill()
		first.kill()
		first.start()
		m.until("the node carries again", func() bool { return loadThrough(before.Key, page, time.Second) == nil })
		moved := net.JoinHostPort("127.0.5.1", port)
		if conn, err := net.Dial("tcp", moved); err != nil {
			t.Errorf("after its own restart: %v", err)
		} else {
			_ = conn.Close()
		}
	})
}

// A port that is taken stops the roll-out: the node serves on what it had, keys go on naming that, and others return to theirs.
func TestATakenPortStopsTheRollout(t *testing.T) {
	m, first, second := movingFleet(t, "")
	d := m.signIn("user@example.com", "phone")
	m.until("both nodes are listed", func() bool { return len(d.online()) == 2 })
	page := greetingSite(t).URL
	before := d.keyOn(second.server)
	traffic := startDownload(t, before.Key, endless(t).URL)
	port := freePort(t)
	taken, err := net.Listen("tcp", "127.0.5.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	m.stile("config", "publish", "--ports", port, "--first", strconv.FormatInt(first.server, 10), "--hold", "0s")
	c := m.untilConfig("stopped")
	if c.stateOf(first.server) != "serving" || c.stateOf(second.server) != "refused" || !strings.Contains(c.Rollout.Why, "address already in use") {
		t.Errorf("%+v", c)
	}
	key := d.keyOn(second.server)
	if key.Shadowsocks.Port != before.Shadowsocks.Port || !traffic.flows() {
		t.Errorf("a key on the node that refused names port %d; its download goes on: %v", key.Shadowsocks.Port, traffic.flows())
	}
	if err := loadThrough(key.Key, page, time.Minute); err != nil {
		t.Errorf("the node that refused: %v", err)
	}
	if !strings.Contains(m.log.String(), "the roll-out is stopped") || !strings.Contains(m.stile("node", "show", strconv.FormatInt(second.server, 10)), "address already in use") {
		t.Error("operators are not told")
	}
	if out, err := m.tryStile("config", "publish", "--ports", "9000"); err == nil || !strings.Contains(out, "stile config status") {
		t.Errorf("another publication: %v, %s", err, out)
	}

	// The port is given up, and the roll-out goes on; then it is taken back.
	_ = taken.Close()
	m.stile("config", "resume")
	m.untilConfig("done")
	if key := d.keyOn(second.server); strconv.Itoa(key.Shadowsocks.Port) != port || loadThrough(key.Key, page, time.Minute) != nil {
		t.Errorf("resumed, a key names port %d", key.Shadowsocks.Port)
	}
	m.stile("config", "rollback")
	m.untilConfig("done")
	if key := d.keyOn(second.server); key.Shadowsocks.Port != before.Shadowsocks.Port || loadThrough(key.Key, page, time.Minute) != nil {
		t.Errorf("taken back, a key names port %d", key.Shadowsocks.Port)
	}
	if !traffic.flows() {
		t.Error("the download ended on the way")
	}

	// Flags pin a node; what it cannot do, it says.
	second.kill()
	second.start("--shadowsocks-ports", strconv.Itoa(before.Shadowsocks.Port))
	m.until("it is back", func() bool { return len(d.online()) == 2 })
	m.stile("config", "publish", "--https-port", "443", "--server", strconv.FormatInt(first.server, 10), "--hold", "0s")
	if c := m.untilConfig("stopped"); !strings.Contains(c.Rollout.Why, "--tls-cert") {
		t.Errorf("without a certificate: %+v", c.Rollout)
	}
	m.stile("config", "abort")
	m.stile("config", "publish", "--ports", port, "--server", strconv.FormatInt(second.server, 10), "--hold", "0s")
	if c := m.untilConfig("stopped"); !strings.Contains(c.Rollout.Why, "--shadowsocks-ports") {
		t.Errorf("pinned: %+v", c.Rollout)
	}
}

// The embedded node takes part as any node, and keeps what it was told.
func TestTheEmbeddedNodeIsConfigured(t *testing.T) {
	m := &machine{t: t, data: t.TempDir(), log: new(lockedBuffer), isMovable: true, args: []string{"--node-host", "127.0.6.1"}}
	m.stile("plan", "add", "standard", "--devices", "1000", "--days", "30", "--tier", "1")
	m.start()
	m.addUser("user@example.com")
	d := m.signIn("user@example.com", "phone")
	page := greetingSite(t).URL
	if key := d.key(); key.Shadowsocks.Port < 8388 || key.Shadowsocks.Port > 8403 {
		t.Errorf("it begins on port %d", key.Shadowsocks.Port)
	}
	port := freePort(t)
	moved := func() {
		t.Helper()
		key := d.key()
		if strconv.Itoa(key.Shadowsocks.Port) != port {
			t.Errorf("a key names port %d, want %s", key.Shadowsocks.Port, port)
		}
		if err := loadThrough(key.Key, page, time.Minute); err != nil {
			t.Error(err)
		}
	}
	m.stile("server", "set", "1", "--ports", port) // publishes for this one server
	m.until("it serves it", func() bool { c := m.config(); return c.stateOf(1) == "serving" })
	moved()
	m.kill()
	m.start()
	moved()

	// Another method at the same port: keys name it from the moment that the port speaks it.
	running := startDownload(t, d.key().Key, endless(t).URL)
	m.stile("config", "publish", "--method", "2022-blake3-aes-256-gcm", "--hold", "0s")
	m.untilConfig("done")
	moved()
	if key := d.key(); key.Shadowsocks.Method != "2022-blake3-aes-256-gcm" || !running.flows() {
		t.Errorf("a key names the method %q, and a download that began before goes on: %v", key.Shadowsocks.Method, running.flows())
	}
	m.kill()
	m.start()
	moved()
	m.stile("config", "rollback")
	m.untilConfig("done")
	moved()
	if key := d.key(); key.Shadowsocks.Method != "aes-256-gcm" {
		t.Errorf("taken back, a key names the method %q", key.Shadowsocks.Method)
	}
}

// tryStile is stile for a command that may fail.
func (m *machine) tryStile(args ...string) (string, error) {
	m.t.Helper()
	cmd := exec.Command(stileBinary, args...)
	cmd.Env = m.env()
	out, err := cmd.CombinedOutput()
	return string(out), err
}
