package cli_test

import (
	"regexp"
	"strings"
	"testing"
)

// `stile node list` tells the embedded node from a server that waits for a machine, while the service runs and when it is stopped;
// what nobody said of the country is not said.
func TestNodeListSaysWhatIsTrue(t *testing.T) {
	m := newMachine(t, "")
	m.stile("server", "add", "Oslo", "--country", "NO", "--host", "o.example.net")
	says := func(pattern string) bool { return regexp.MustCompile(pattern).MatchString(m.stile("node", "list")) }
	m.until("the embedded node is online", func() bool { return says(`1 +local +online, embedded +\d+s ago`) })
	if !says(`2 +Oslo +no node yet +never`) {
		t.Errorf("says\n%s", m.stile("node", "list"))
	}
	if said := m.stile("node", "list", "--json"); !strings.Contains(said, `"state": "none"`) || !strings.Contains(said, `"embedded": true`) {
		t.Errorf("says %s", said)
	}
	if said := m.stile("server", "list"); strings.Contains(said, "ZZ") || !strings.Contains(said, "unknown") {
		t.Errorf("says\n%s", said)
	}
	if said := m.stile("server", "list", "--json"); !strings.Contains(said, `"country_code": "ZZ"`) {
		t.Errorf("says %s", said)
	}
	if code := m.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !says(`1 +local +offline, embedded +\d+s ago`) || !strings.Contains(m.stile("node", "show", "1"), "offline, embedded") {
		t.Errorf("when it is stopped\n%s", m.stile("node", "list"))
	}
}
