package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
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
		if said := m.refusal("plan", "list"); strings.Contains(said, "hunter2") {
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
	want := `127.0.0.1:1, database "vpn", user "stile": nobody listens there: start PostgreSQL`
	for _, args := range [][]string{
		{"serve", "--listen", "127.0.0.1:0", "--shadowsocks-ports", "0"},
		{"user", "list"}, {"mail", "notices", "user@example.com", "off"}, {"settings", "show"}, {"restore"},
	} {
		said := m.refusal(args...)
		if strings.Count(said, want) != 1 || strings.Count(said, "\n") != 1 || strings.Contains(said, "hunter2") {
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
