package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stile/accesskey"
	"stile/store"
	"stile/vpn"
)

// onEach runs a test on every engine.
func onEach(t *testing.T, test func(t *testing.T, dsn string)) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) { test(t, engine.dsn(t)) })
	}
}

// raw opens the database beside the store.
func raw(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	driver := "sqlite"
	if strings.HasPrefix(dsn, "postgres:") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holder is a user with a signed-in device, and a server.
type holder struct {
	user   vpn.User
	in     vpn.SignedIn
	server vpn.Server
}

func setup(t testing.TB, s *store.Store) (h holder) {
	t.Helper()
	var err error
	h.user, err = s.AddUser(t.Context(), vpn.NewUser{Email: "user@example.com"}, vpn.Audit{Action: "user.add"})
	ok(t, err)
	n := vpn.NewSession{UserID: h.user.ID, ClientID: "phone", TokenHash: vpn.TokenHash{1}, DeviceLimit: 5}
	h.in, err = s.SignIn(t.Context(), n, vpn.Audit{Action: "device.sign_in"})
	ok(t, err)
	h.server, err = s.AddServer(t.Context(), vpn.Server{Name: "server"}, vpn.Audit{Action: "server.add"})
	ok(t, err)
	return h
}

func (h *holder) newKey(seed accesskey.Seed) vpn.NewKey {
	return vpn.NewKey{UserID: h.user.ID, DeviceID: h.in.DeviceID, ServerID: h.server.ID, Seed: seed}
}

func TestReopeningKeepsEverything(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		h := setup(t, s)
		key, err := s.IssueKey(t.Context(), h.newKey(accesskey.Seed{9}), vpn.Audit{Action: "key.issue"})
		ok(t, err)
		session, err := s.Session(t.Context(), 0, vpn.TokenHash{1})
		ok(t, err)
		ok(t, s.Close())

		s = open(t, dsn)
		defer s.Close()
		again, err := s.Key(t.Context(), key.ID)
		ok(t, err)
		if again != key {
			t.Fatalf("got %+v, want %+v", again, key)
		}
		sessionAgain, err := s.Session(t.Context(), 0, vpn.TokenHash{1})
		ok(t, err)
		if *sessionAgain != *session {
			t.Fatalf("got %+v, want %+v", sessionAgain, session)
		}
		rotated := h.newKey(accesskey.Seed{10})
		rotated.Rotate = true
		next, err := s.IssueKey(t.Context(), rotated, vpn.Audit{Action: "key.rotate"})
		ok(t, err)
		if next.ID <= key.ID {
			t.Fatalf("key id %d after %d", next.ID, key.ID)
		}
	})
}

func TestClosedStoreAnswers(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		h := setup(t, s)
		var callers sync.WaitGroup
		var issued sync.Map
		for i := range 64 {
			callers.Go(func() {
				for n := 0; ; n++ {
					k := h.newKey(accesskey.Seed{byte(i), byte(n), byte(n >> 8)})
					k.Rotate = true
					key, err := s.IssueKey(t.Context(), k, vpn.Audit{Action: "key.rotate"})
					if err != nil {
						if !errors.Is(err, store.ErrClosed) {
							t.Error(err)
						}
						return
					}
					issued.Store(key.ID, true)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		ok(t, s.Close())
		callers.Wait()
		ok(t, s.Close())
		if err := s.SetUserStatus(t.Context(), h.user.ID, vpn.UserBlocked, vpn.Audit{}); !errors.Is(err, store.ErrClosed) {
			t.Fatal(err)
		}

		// What was acknowledged is there, as a key or as its tombstone.
		db := raw(t, dsn)
		issued.Range(func(id, _ any) bool {
			var n int
			ok(t, db.QueryRow("SELECT COUNT(*) FROM access_key WHERE id = $1", id).Scan(&n))
			if n != 1 {
				t.Errorf("key %v is missing", id)
			}
			return true
		})
	})
}

func TestSealedSeeds(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		defer s.Close()
		h := setup(t, s)
		canary := accesskey.Seed([]byte("a canary seed: nobody reads this"))
		first, err := s.IssueKey(t.Context(), h.newKey(canary), vpn.Audit{Action: "key.issue"})
		ok(t, err)
		other, err := s.AddServer(t.Context(), vpn.Server{Name: "other"}, vpn.Audit{})
		ok(t, err)
		k := h.newKey(accesskey.Seed{5})
		k.ServerID = other.ID
		second, err := s.IssueKey(t.Context(), k, vpn.Audit{Action: "key.issue"})
		ok(t, err)

		db := raw(t, dsn)
		var sealed []byte
		ok(t, db.QueryRow("SELECT seed FROM access_key WHERE id = $1", first.ID).Scan(&sealed))
		if bytes.Contains(sealed, canary[:8]) || len(sealed) < len(canary)+16 {
			t.Fatalf("sealed as %x", sealed)
		}
		if !strings.HasPrefix(dsn, "postgres:") {
			noneContains(t, filepath.Dir(dsn), canary[:])
		}

		_, err = db.Exec("UPDATE access_key SET seed = $1 WHERE id = $2", sealed, second.ID)
		ok(t, err)
		if _, err := s.Key(t.Context(), second.ID); err == nil {
			t.Fatal("a moved seed opens")
		}
		if _, err := s.IssueKey(t.Context(), k, vpn.Audit{}); err == nil {
			t.Fatal("a moved seed is issued")
		}
		again, err := s.IssueKey(t.Context(), h.newKey(canary), vpn.Audit{})
		ok(t, err)
		if again != first {
			t.Fatalf("got %+v, want %+v", again, first)
		}

		// A tombstone holds no seed.
		_, err = s.RemoveServer(t.Context(), h.server.ID, vpn.Audit{})
		ok(t, err)
		ok(t, db.QueryRow("SELECT seed FROM access_key WHERE id = $1", first.ID).Scan(&sealed))
		if len(sealed) != 0 {
			t.Fatalf("a tombstone holds %x", sealed)
		}
	})
}

// noneContains fails when a file of a directory holds these bytes.
func noneContains(t *testing.T, dir string, secret []byte) {
	t.Helper()
	files, err := os.ReadDir(dir)
	ok(t, err)
	if len(files) < 2 {
		t.Fatalf("no database and log in %s", dir)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		ok(t, err)
		if bytes.Contains(content, secret) {
			t.Errorf("%s holds the seed", f.Name())
		}
		info, err := f.Info()
		ok(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", f.Name(), info.Mode())
		}
	}
}

func TestAnotherSecretIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		ok(t, open(t, dsn).Close())
		_, err := store.Open(t.Context(), store.Config{DSN: dsn, Secret: [32]byte{9}})
		if err == nil || !strings.Contains(err.Error(), "another secret") {
			t.Fatal(err)
		}
		ok(t, open(t, dsn).Close())
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		ok(t, open(t, dsn).Close())
		_, err := raw(t, dsn).Exec("INSERT INTO schema_migrations (version, name, applied_at) VALUES (9999, 'later', 0)")
		ok(t, err)
		_, err = store.Open(t.Context(), store.Config{DSN: dsn, Secret: secret})
		if err == nil || !strings.Contains(err.Error(), "schema 9999") || !strings.Contains(err.Error(), "stile restore") {
			t.Fatal(err)
		}
	})
}

func TestOpeningAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		var opened sync.WaitGroup
		for range 8 {
			opened.Go(func() {
				s, err := store.Open(context.Background(), store.Config{DSN: dsn, Secret: secret})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		opened.Wait()
	})
}

// A file that is damaged, or another's, is named with what to do.
func TestDamagedFilesAreNamed(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut off": func(path string) error { return os.Truncate(path, 20_000) },
		"a text":  func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("no database "), 100), 0o600) },
	} {
		dsn := filepath.Join(t.TempDir(), "stile.db")
		ok(t, open(t, dsn).Close())
		ok(t, damage(dsn))
		_, err := store.Open(t.Context(), store.Config{DSN: dsn, Secret: secret})
		if err == nil || !strings.Contains(err.Error(), dsn) || !strings.Contains(err.Error(), "stile restore") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpeningNothing(t *testing.T) {
	for _, dsn := range []string{filepath.Join(t.TempDir(), "no", "such", "dir"), "postgres://127.0.0.1:1/none", "postgres://%zz"} {
		if _, err := store.Open(t.Context(), store.Config{DSN: dsn, Secret: secret}); err == nil {
			t.Errorf("%s opened", dsn)
		}
	}
}
