package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A node is shut out, which a diagnosis knows at once, and its machine joins anew by root's hand. Both logs say how the
// link went.
func TestANodeIsShutOutAndJoinsAnew(t *testing.T) {
	nodes := "127.0.0.1:" + freePort(t)
	m := newMachine(t, "", "--no-node", "--nodes-listen", nodes, "--nodes-url", "https://"+nodes)
	n := m.joinNode([]string{"--ports", freePort(t)})
	m.until("the node is linked", func() bool { return strings.Contains(n.log.String(), "linked to the control plane") })
	m.addUser("user@example.com")
	m.signIn("user@example.com", "phone").key()
	server := strconv.FormatInt(n.server, 10)
	m.stile("node", "revoke", server)
	if said := m.refusal("user", "diagnose", "user@example.com", "--server", server); !strings.Contains(said, "shut out") {
		t.Errorf("the diagnosis is %q", said)
	}
	<-n.ended
	if code := n.process.ProcessState.ExitCode(); code != 78 {
		t.Errorf("the node ends with %d\n%s", code, n.log)
	}
	m.until("the control plane has noticed", func() bool { return strings.Contains(m.log.String(), "a node is offline") })

	if os.Geteuid() == 0 { // the service runs as another user, and its directory is that user's
		if err := os.Chown(n.data, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	if said := m.refusal("server", "join", "77"); !strings.Contains(said, "no server 77") {
		t.Errorf("says %q", said)
	}
	line := m.stile("server", "join", server)
	join := exec.Command(stileBinary, append(strings.Fields(line[strings.Index(line, "node join"):]), "--data", n.data)...)
	if out, err := join.CombinedOutput(); err != nil {
		t.Fatalf("node join: %v\n%s", err, out)
	}
	identity, err := os.Stat(filepath.Join(n.data, "identity.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Stat(n.data)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := identity.Sys().(*syscall.Stat_t).Uid, dir.Sys().(*syscall.Stat_t).Uid; got != want {
		t.Errorf("the identity belongs to user %d, and the directory to %d", got, want)
	}
	n.start()
	m.until("the node is back", func() bool { return strings.Count(n.log.String(), "linked to the control plane") == 2 })
}
