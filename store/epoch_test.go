package store_test

import (
	"bytes"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/accesskey"
	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
)

// epochOf is the epoch of a server's node.
func epochOf(t *testing.T, s *store.Store, h holder) int64 {
	t.Helper()
	p, err := s.NodePosition(t.Context(), h.server.ID)
	ok(t, err)
	return p.Epoch
}

func TestAnOlderFileBeginsAnEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.db")
	s := open(t, path)
	h := setup(t, s)
	db := raw(t, path)
	_, err := db.ExecContext(t.Context(), "VACUUM INTO $1", path+".backup")
	ok(t, err)
	ok(t, db.Close())
	ok(t, s.Close())
	backup, err := os.ReadFile(path + ".backup")
	ok(t, err)
	restore := func() {
		t.Helper()
		ok(t, os.WriteFile(path+".copy", backup, 0o600))
		ok(t, os.Rename(path+".copy", path))
		for _, part := range []string{"-wal", "-shm"} {
			if err := os.Remove(path + part); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	reopened := func(want int64) *store.Store {
		t.Helper()
		s := open(t, path)
		if got := epochOf(t, s, h); got != want {
			t.Fatalf("epoch %d, want %d", got, want)
		}
		return s
	}

	s = reopened(1) // the same file
	_, err = s.IssueKey(t.Context(), h.newKey(accesskey.Seed{9}), vpn.Audit{Action: "key.issue"})
	ok(t, err)
	ok(t, s.Close())
	restore()
	ok(t, reopened(2).Close())
	ok(t, reopened(2).Close()) // noticed once
	restore()
	s = reopened(3) // above the epoch that was lost
	key, err := s.IssueKey(t.Context(), h.newKey(accesskey.Seed{9}), vpn.Audit{Action: "key.issue"})
	ok(t, err)
	if key.ID>>32 != 3 {
		t.Errorf("key id %d may have been another's", key.ID)
	}
	ok(t, s.Close())
	restore()
	ok(t, os.Remove(path+".high-water"))
	ok(t, reopened(1).Close()) // nothing tells: that is what the command is for
	ok(t, reopened(1).Close())
	ok(t, os.WriteFile(path+".high-water", []byte("no number"), 0o600))
	if _, err := store.Open(t.Context(), store.Config{DSN: path, Secret: secret}); err == nil {
		t.Error("a high-water file that cannot be read is taken")
	}
}

// A crash between the commit and the note, or while two processes write, leaves the file behind: that is no restore.
func TestAFileThatIsBehindIsNoRestore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.db")
	s := open(t, path)
	h := setup(t, s)
	before, err := os.ReadFile(path + ".high-water")
	ok(t, err)
	_, err = s.IssueKey(t.Context(), h.newKey(accesskey.Seed{9}), vpn.Audit{Action: "key.issue"})
	ok(t, err)
	ok(t, s.Close())
	ok(t, os.WriteFile(path+".high-water", before, 0o600))
	s = open(t, path)
	defer s.Close()
	if got := epochOf(t, s, h); got != 1 {
		t.Errorf("epoch %d", got)
	}
}

func TestAnotherClusterOrTimelineBeginsAnEpoch(t *testing.T) {
	dsn := storetest.Postgres(t)
	s := open(t, dsn)
	h := setup(t, s)
	ok(t, s.Close())
	db := raw(t, dsn)
	moved := func(origin string, want int64) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), "UPDATE epoch SET origin = $1", origin)
		ok(t, err)
		s := open(t, dsn)
		defer s.Close()
		if got := epochOf(t, s, h); got != want {
			t.Errorf("from %q: epoch %d, want %d", origin, got, want)
		}
	}
	var origin string
	ok(t, db.QueryRowContext(t.Context(), "SELECT origin FROM epoch").Scan(&origin))
	moved(origin, 1)
	moved("1/1", 2)
	moved(origin+"0", 3)
	moved("", 3) // a database from before this was kept
	var now string
	ok(t, db.QueryRowContext(t.Context(), "SELECT origin FROM epoch").Scan(&now))
	if now != origin || len(origin) < 3 {
		t.Errorf("origin %q, then %q", origin, now)
	}
}

// Some providers keep the question for the timeline to themselves: the store works without the answer, and says so.
func TestWithoutATimelineTheStoreWorks(t *testing.T) {
	dsn := storetest.Postgres(t)
	db := raw(t, dsn)
	role := "plain_" + strconv.FormatInt(time.Now().UnixNano(), 36)
	for _, statement := range []string{
		"CREATE ROLE " + role + " LOGIN",
		"GRANT ALL ON SCHEMA public TO " + role,
		"REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
	} {
		_, err := db.ExecContext(t.Context(), statement)
		ok(t, err)
	}
	u, err := url.Parse(dsn)
	ok(t, err)
	u.User = url.User(role)
	query := u.Query()
	if query.Has("user") {
		query.Set("user", role)
		u.RawQuery = query.Encode()
	}
	var log bytes.Buffer
	s, err := store.Open(t.Context(), store.Config{DSN: u.String(), Secret: secret, Log: slog.New(slog.NewTextHandler(&log, nil))})
	ok(t, err)
	h := setup(t, s)
	_, err = s.RaiseEpoch(t.Context(), 0, vpn.Audit{Action: "database.restored"})
	ok(t, err)
	if got := epochOf(t, s, h); got != 2 {
		t.Errorf("epoch %d", got)
	}
	ok(t, s.Close())
	if !strings.Contains(log.String(), "does not say on which timeline") {
		t.Errorf("the log says %q", &log)
	}
	_, err = db.ExecContext(t.Context(), "DROP OWNED BY "+role+"; DROP ROLE "+role)
	ok(t, err)
}
