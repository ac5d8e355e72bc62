package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// refusal runs an operator's command that must fail and returns what it says.
func (m *machine) refusal(args ...string) string {
	m.t.Helper()
	cmd := exec.Command(stileBinary, args...)
	cmd.Env = m.env()
	out, err := cmd.CombinedOutput()
	if err == nil {
		m.t.Fatalf("stile %s does not fail:\n%s", strings.Join(args, " "), out)
	}
	return string(out)
}

func TestLostSecretIsNotReplaced(t *testing.T) {
	m := &machine{t: t, data: t.TempDir()}
	m.stile("plan", "add", "standard")
	secret := filepath.Join(m.data, "secret.key")
	kept, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	if said := m.refusal("plan", "list"); !strings.Contains(said, "secret.key is missing") || !strings.Contains(said, "backup") {
		t.Errorf("says %q", said)
	}
	other := strings.Repeat("0", 64) + "\n"
	if err := os.WriteFile(secret, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := m.refusal("plan", "list"); !strings.Contains(said, "another secret") || !strings.Contains(said, "secret.key") {
		t.Errorf("says %q", said)
	}
	if err := os.WriteFile(secret, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	m.stile("plan", "list")
}

// A database address that is none must be refused without being said, written down, or taken for a file.
func TestDatabaseAddressStaysSecret(t *testing.T) {
	for _, address := range []string{
		"mysql://stile:hunter2@localhost/stile", "host=localhost password=hunter2", "POSTGRES://stile:hunter2@localhost/stile",
		"postgres://stile:hunter2@localhost:port/stile", "postgres://stile:hunter2@127.0.0.1:1/stile",
	} {
		m := &machine{t: t, data: t.TempDir(), dsn: address}
		if said := m.refusal("plan", "add", "standard"); strings.Contains(said, "hunter2") {
			t.Errorf("--database %s: says %q", address, said)
		}
		files, err := filepath.Glob(filepath.Join(m.data, "*"))
		if err != nil || len(files) > 1 { // the secret
			t.Errorf("--database %s: leaves %v, %v", address, files, err)
		}
	}
}

// A database that can't be reached is told in one line, whatever command asks for it: what was tried, what came back, what to do.
func TestUnreachableDatabaseIsNamed(t *testing.T) {
	m := &machine{t: t, data: t.TempDir(), dsn: "postgres://stile:hunter2@127.0.0.1:1/vpn"}
	if said := m.refusal("plan", "add", "standard"); !strings.Contains(said, "A new data directory is made: "+m.data) { // the others find it
		t.Errorf("says %q", said)
	}
	want := `127.0.0.1:1, database "vpn", user "stile": nobody listens there: start PostgreSQL`
	for _, args := range [][]string{
		{"serve", "--listen", "127.0.0.1:0", "--shadowsocks-ports", "0"},
		{"user", "list"}, {"mail", "notices", "user@example.com", "off"}, {"settings", "show"}, {"restore"},
	} {
		said := m.refusal(args...)
		_, answer, _ := strings.Cut(said, "stile: ") // what comes before is the log, which tells of the directory that serve makes
		if strings.Count(said, want) != 1 || strings.Count(answer, "\n") != 1 || strings.Contains(said, "hunter2") {
			t.Errorf("%v: says %q, want %q once, in one line", args, said, want)
		}
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	m := &machine{t: t, data: filepath.Join(t.TempDir(), "data"), log: new(lockedBuffer)}
	m.start()
	found := 0
	err := filepath.Walk(m.data, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		found++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || found < 5 {
		t.Errorf("%d files, %v", found, err)
	}
}

// A slip in --data makes no second data directory: only what may come before the first start makes one, and says so.
func TestAMistypedDataDirectory(t *testing.T) {
	none := filepath.Join(t.TempDir(), "typo")
	m := &machine{t: t, data: none, log: new(lockedBuffer)}
	for _, args := range []string{
		"user list", "user block a@example.com", "plan list", "plan set standard --days 3", "server list", "server set 1 --tier 1", "server join 1",
		"node list", "node show 1", "node revoke 1", "config status", "job list", "job start block --all", "voucher list", "voucher add standard",
		"invitation list", "invitation add", "webhook list", "webhook add https://example.com --events *", "settings show", "settings set --brand x",
		"mail notices a@example.com on", "audit", "audit verify", "audit export", "user diagnose a@example.com", "restore",
		"restore /proc/self/exe", "user list --database postgres://stile@127.0.0.1:1/stile",
	} {
		if said := m.refusal(strings.Fields(args)...); !strings.Contains(said, "there is no data directory "+none) || !strings.Contains(said, "`stile serve` makes it") || !strings.Contains(said, "--data") {
			t.Errorf("stile %s says %q", args, said)
		}
	}
	for _, args := range [][]string{
		{"node", "run"}, {"node", "doctor"}, {"serve", "--public-url", "nowhere"}, {"serve", "--database", "mysql://x"},
	} {
		m.refusal(args...)
	}
	if _, err := os.Stat(none); !os.IsNotExist(err) {
		t.Fatalf("there is one now: %v", err)
	}
	m.data = t.TempDir() // of something else
	for _, args := range [][]string{{"user", "list"}, {"restore"}} {
		if said := m.refusal(args...); !strings.Contains(said, "directory "+m.data+" holds no data of Stile") {
			t.Errorf("says %q", said)
		}
	}
	if said := m.refusal("restore", "/proc/self/exe"); !strings.Contains(said, "secret.key is missing") {
		t.Errorf("says %q", said)
	}
	if left, err := os.ReadDir(m.data); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	dump, _ := laravelDump(t)
	const note = "new data directory is made"
	for i, args := range []string{
		"user add root@example.com --operator", "plan add standard", "server add Oslo --country NO --host o.example.net", "import laravel --from " + dump,
	} {
		m.data = filepath.Join(none, strconv.Itoa(i))
		if said := m.stile(strings.Fields(args)...); !strings.Contains(said, note+": "+m.data) {
			t.Errorf("stile %s says %q", args, said)
		}
		if said := m.stile("plan", "add", "another"); strings.Contains(said, note) {
			t.Errorf("once more: %q", said)
		}
	}
	m.data = filepath.Join(none, "served")
	m.start()
	if said := m.log.String(); strings.Count(said, note) != 1 || !strings.Contains(said, m.data) {
		t.Errorf("serve says:\n%s", said)
	}
	m.kill()
	m.start()
	if said := m.log.String(); strings.Count(said, note) != 1 {
		t.Errorf("the next start says:\n%s", said)
	}
}
