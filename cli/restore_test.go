package cli_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to make the backup, as the sqlite3 command does

	"stile/client"
	"stile/store/storetest"
	"stile/wire"
)

// backUp copies the database of a running program.
func (m *machine) backUp() string {
	m.t.Helper()
	path := filepath.Join(m.t.TempDir(), "backup.db")
	db, err := sql.Open("sqlite", filepath.Join(m.data, "stile.db"))
	if err == nil {
		_, err = db.ExecContext(context.Background(), "VACUUM INTO $1", path)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return path
}

// The program is killed, an older database is put back, and the node still knows what was revoked since.
func TestRestoreBringsNoKeyBack(t *testing.T) {
	m := newMachine(t, "")
	m.addUser("user@example.com")
	site := endless(t)
	phone := m.signIn("user@example.com", "phone")
	old := phone.key()
	backup := m.backUp()
	next := phone.rotated(old.ServerID)
	m.kill()
	if said := m.stile("restore", backup); !strings.Contains(said, "begins epoch") || !strings.Contains(said, "stile.db.replaced") {
		t.Errorf("says %q", said)
	}
	m.start()
	m.until("the revoked key is dead in the database, too", func() bool {
		return strings.Contains(m.log.String(), "revoked again")
	})
	fresh := phone.key()
	tunnel, err := client.NewTunnel(atPortOf(t, old.Key, fresh.Key))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: tunnel.DialContext}
	defer transport.CloseIdleConnections()
	if resp, err := (&http.Client{Transport: transport, Timeout: 2 * time.Second}).Get(site.URL); err == nil {
		_ = resp.Body.Close()
		t.Error("the key that was replaced after the backup works again")
	}
	if fresh.KeyID == old.KeyID || fresh.KeyID == next.KeyID {
		t.Errorf("key id %d is given out again", fresh.KeyID)
	}
	if !startDownload(t, fresh.Key, site.URL).flows() {
		t.Errorf("nothing comes through the new key\n%s", m.log)
	}
	if said := m.refusal("restore", backup); !strings.Contains(said, "another stile process") {
		t.Errorf("beside a running program: %q", said)
	}
}

// atPortOf is a key on the ports of another: a program that starts again has others.
func atPortOf(t *testing.T, key, other string) string {
	t.Helper()
	u, err := url.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(other)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = at.Host
	return u.String()
}

func TestRestoreKeepsWhatItCannotReplace(t *testing.T) {
	m := &machine{t: t, data: t.TempDir()}
	m.stile("plan", "add", "standard")
	junk := filepath.Join(t.TempDir(), "junk.db")
	if err := os.WriteFile(junk, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	empty, foreign := filepath.Join(t.TempDir(), "empty.db"), filepath.Join(t.TempDir(), "foreign.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil { // what a backup on a full disk leaves
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", foreign)
	if err == nil {
		_, err = db.ExecContext(t.Context(), "CREATE TABLE plan (id INTEGER PRIMARY KEY)")
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if said := m.refusal("restore", junk); !strings.Contains(said, junk+" is not put in place") {
		t.Errorf("says %q", said)
	}
	m.refusal("restore", junk+".none")
	for _, none := range []string{empty, foreign} {
		if said := m.refusal("restore", none); !strings.Contains(said, "is not put in place: store: open SQLite: it is empty, or no database of Stile's") {
			t.Errorf("%s: says %q", none, said)
		}
	}
	if said := m.stile("plan", "list"); !strings.Contains(said, "standard") {
		t.Errorf("after a restore that failed: %q", said)
	}
	if said := m.stile("restore", "--above", "6"); !strings.Contains(said, "epoch 7") {
		t.Errorf("says %q", said)
	}
	m.refusal("restore", "--above", "99999999")
	if said := m.stile("audit"); !strings.Contains(said, "database.restored") {
		t.Errorf("the audit log says %q", said)
	}
}

// Each restore keeps what it replaces, however many there were, and damage is found before anything is done on it.
func TestRestoresKeepEachOther(t *testing.T) {
	m := &machine{t: t, data: t.TempDir()}
	m.stile("plan", "add", "first")
	old := m.backUp()
	m.stile("plan", "add", "second")
	for _, kept := range []string{"stile.db.replaced.\n", "stile.db.replaced.2.\n"} {
		if said := m.stile("restore", old); !strings.HasSuffix(said, kept) {
			t.Errorf("says %q, not that it keeps %q", said, kept)
		}
	}
	m.stile("restore", filepath.Join(m.data, "stile.db.replaced"))
	if said := m.stile("plan", "list"); !strings.Contains(said, "second") {
		t.Errorf("what the first restore replaced holds %q", said)
	}
	whole, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole[len(whole)/2:] {
		whole[len(whole)/2+i] ^= 0x55
	}
	if err := os.WriteFile(old, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	m.refusal("restore", old)
	if said := m.stile("plan", "list"); !strings.Contains(said, "second") {
		t.Errorf("after a damaged backup: %q", said)
	}
}

// What root's commands make in the directory of a service that runs as another user, that user can open.
func TestRestoreHandsTheDatabaseOver(t *testing.T) {
	m := &machine{t: t, data: t.TempDir()}
	if os.Geteuid() == 0 { // otherwise all belongs to who runs this, as it should
		if err := os.Chown(m.data, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	m.stile("plan", "add", "standard")
	m.stile("restore", m.backUp())
	dir, err := os.Stat(m.data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stile.db", "stile.db.high-water", "secret.key", "lock"} {
		info, err := os.Stat(filepath.Join(m.data, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := info.Sys().(*syscall.Stat_t).Uid, dir.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to user %d, and the directory to %d", name, got, want)
		}
	}
}

// A dump that nobody has loaded is no restore.
func TestRestoreRefusesAnEmptyPostgreSQL(t *testing.T) {
	m := &machine{t: t, data: t.TempDir(), dsn: storetest.Postgres(t)}
	if err := os.WriteFile(filepath.Join(m.data, "secret.key"), []byte(strings.Repeat("0", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := m.refusal("restore"); !strings.Contains(said, "put the backup there first") {
		t.Errorf("says %q", said)
	}
}

func TestRestoreOnPostgreSQL(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		if dsn == "" {
			return
		}
		m := newMachine(t, dsn)
		m.addUser("user@example.com")
		phone := m.signIn("user@example.com", "phone")
		first := phone.key()
		if said := m.stile("restore"); !strings.Contains(said, "epoch 2") { // while it runs
			t.Errorf("says %q", said)
		}
		m.until("the node follows the epoch, and keys are ready", func() bool {
			var key wire.IssuedKey
			status := phone.post("/api/key", map[string]any{"server_id": first.ServerID, "rotate": true}, &key)
			return status == http.StatusOK && key.KeyID>>32 == 2 && key.Ready
		})
		if said := m.refusal("restore", filepath.Join(m.data, "secret.key")); !strings.Contains(said, "PostgreSQL's own means") {
			t.Errorf("says %q", said)
		}
		if status := phone.get("/api/user", nil); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	})
}
