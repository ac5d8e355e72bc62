package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"stile/accesskey"
	"stile/store/storetest"
	"stile/vpn"
)

func openInside(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A commit that went out with other statements has failed only where the server says so of a statement; where the connection has
// ended it may be done, and nothing may be done again.
func TestUnknownCommit(t *testing.T) {
	for _, c := range []struct {
		err       error
		isUnknown bool
	}{
		{&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "23505"}, false},
		{fmt.Errorf("insert: %w", &pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "40001"}), false},
		{&pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}, true},
		{io.ErrUnexpectedEOF, true},
		{context.DeadlineExceeded, true},
	} {
		d := postgresDialect
		d.pipeline = func(_ context.Context, _ *sql.Conn, _ preparations, all []statement) error {
			if last := all[len(all)-1].text; last != "COMMIT" {
				t.Errorf("the last statement is %q", last)
			}
			return c.err
		}
		w := &writer{store: &Store{dialect: &d}}
		err := (&tx{ctx: t.Context(), writer: w, store: w.store}).last(statement{text: "SELECT 1"})
		if _, isUnknown := errors.AsType[*commitError](err); isUnknown != c.isUnknown || !errors.Is(err, c.err) {
			t.Errorf("%v: unknown %t, want %t", c.err, isUnknown, c.isUnknown)
		}
	}
}

// TestFullDisk fills a database up to its allowed size: writes answer with an error, what was acknowledged stays, reads go
// on, and with room again so do writes.
func TestFullDisk(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "stile.db"))
	pages := func(n int) {
		t.Helper()
		if err := s.write(t.Context(), "limit", func(t *tx) error {
			return t.row("PRAGMA max_page_count = " + strconv.Itoa(n)).Scan(new(int))
		}); err != nil {
			t.Fatal(err)
		}
	}
	server, err := s.AddServer(t.Context(), vpn.Server{Name: "server"}, vpn.Audit{})
	if err != nil {
		t.Fatal(err)
	}
	var used int
	if err := s.read(t.Context()).row("PRAGMA page_count").Scan(&used); err != nil {
		t.Fatal(err)
	}
	pages(used + 5)
	var mu sync.Mutex
	var added []vpn.User
	refused := 0
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for n := range 50 {
				u, err := s.AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(i*1000+n) + "@example.com"}, vpn.Audit{Action: "user.add"})
				mu.Lock()
				if err == nil {
					added = append(added, u)
				} else {
					refused++
				}
				if err != nil && !errors.Is(err, vpn.ErrUnavailable) {
					t.Errorf("a full disk is told as %v", err)
				}
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	if refused == 0 || len(added) == 0 {
		t.Fatalf("%d added, %d refused", len(added), refused)
	}
	pages(1_000_000)
	for _, u := range added {
		if got, err := s.User(t.Context(), u.ID); err != nil || got != u {
			t.Fatalf("acknowledged %+v, found %+v, %v", u, got, err)
		}
	}
	in, err := s.SignIn(t.Context(), vpn.NewSession{UserID: added[0].ID, ClientID: "x", DeviceLimit: 1}, vpn.Audit{})
	if err != nil {
		t.Fatal(err)
	}
	k := vpn.NewKey{UserID: added[0].ID, DeviceID: in.DeviceID, ServerID: server.ID, Seed: accesskey.Seed{1}}
	if _, err := s.IssueKey(t.Context(), k, vpn.Audit{}); err != nil {
		t.Fatal(err)
	}
}

// TestLostConnection ends the writer's connection while it is idle: nobody notices.
func TestLostConnection(t *testing.T) {
	s := openInside(t, storetest.Postgres(t))
	var backend int
	add := func(i int) error {
		_, err := s.AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(i) + "@example.com"}, vpn.Audit{Action: "user.add"})
		return err
	}
	if err := add(0); err != nil {
		t.Fatal(err)
	}
	if err := s.write(t.Context(), "pid", func(t *tx) error {
		return t.row("SELECT pg_backend_pid()").Scan(&backend)
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.read(t.Context()).row("SELECT pg_terminate_backend($1)", backend).Scan(new(bool)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := add(1 + i); err != nil {
			t.Fatal(err)
		}
	}
}

// occupy keeps the writer busy until release, so that a group gathers.
func occupy(t *testing.T, s *Store, callers *sync.WaitGroup) (release func()) {
	t.Helper()
	hold, held := make(chan struct{}), make(chan struct{})
	callers.Go(func() {
		if err := s.write(t.Context(), "hold", func(*tx) error { close(held); <-hold; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	return func() { close(hold) }
}

// TestUndoneGroup has a group of writes with a faulty one: the others are written all the same.
func TestUndoneGroup(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "stile.db"))
	var callers sync.WaitGroup
	release := occupy(t, s, &callers)
	runs := 0
	for i := range 10 {
		callers.Go(func() {
			err := s.write(t.Context(), "add", func(t *tx) error {
				runs++
				_, err := t.addUser(vpn.NewUser{Email: strconv.Itoa(i) + "@example.com"}, vpn.Audit{})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for len(s.writer.queue) < 10 {
		time.Sleep(time.Millisecond)
	}
	callers.Go(func() {
		if err := s.write(t.Context(), "fault", func(*tx) error { return errFault }); !errors.Is(err, errFault) {
			t.Error(err)
		}
	})
	for len(s.writer.queue) < 11 {
		time.Sleep(time.Millisecond)
	}
	release()
	callers.Wait()
	if runs != 20 {
		t.Errorf("%d runs: not one group, then one by one", runs)
	}
	page, err := s.Users(t.Context(), vpn.UserFilter{Limit: 100})
	if err != nil || len(page.Users) != 10 {
		t.Fatalf("%d users, %v", len(page.Users), err)
	}
	if log, err := s.AuditLog(t.Context(), 0, 100); err != nil || len(log) != 10 {
		t.Fatalf("%d audit entries, %v", len(log), err)
	}
}

// TestUndoneTransaction runs again what the engine undid, as often as need be, but not for ever.
func TestUndoneTransaction(t *testing.T) {
	s := openInside(t, storetest.Postgres(t))
	deadlock := func(t *tx) error {
		_, err := t.exec("DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '40P01'; END $$")
		return err
	}
	runs := 0
	if err := s.write(t.Context(), "unlucky", func(t *tx) error {
		if runs++; runs < 3 {
			return deadlock(t)
		}
		return t.audit(vpn.Audit{Action: "at last"}, 1)
	}); err != nil || runs != 3 {
		t.Fatalf("%d runs, %v", runs, err)
	}
	if err := s.write(t.Context(), "hopeless", deadlock); !postgresDialect.isRolledBack(err) {
		t.Fatal(err)
	}
	if log, err := s.AuditLog(t.Context(), 0, 100); err != nil || len(log) != 1 {
		t.Fatalf("%d audit entries, %v", len(log), err)
	}
}

var errFault = errors.New("a fault")

// A group that waited in vain for another process's lock is answered as it is: its tasks would wait as long again, each.
func TestLockedDatabaseIsWaitedForOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stile.db")
	s := openInside(t, path)
	_, connector, _, err := engine(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := sqliteDialect.pool(t.Context(), connector, 1)
	if err != nil {
		t.Fatal(err)
	}
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.write(t.Context(), "hold", func(*tx) error { close(held); <-release; return nil })
	}()
	<-held
	if _, err := waiting.ExecContext(t.Context(), s.dialect.impatient); err != nil {
		t.Fatal(err)
	}
	_, err = waiting.ExecContext(t.Context(), s.dialect.begin)
	if err == nil || s.writer.mayRepeat(err) {
		t.Errorf("the group is run again after %v", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := waiting.Close(); err != nil {
		t.Error(err)
	}
}

// TestKeysSaidToBeNewShareTheirGroup has many ask for the same new key among others who write: nobody's write is run more than twice,
// and not even that where the askers come one after the other.
func TestKeysSaidToBeNewShareTheirGroup(t *testing.T) {
	for _, c := range []struct {
		name  string
		order string // k: asks for the key, w: writes
		runs  int    // of one who writes, at most
		asked int    // of all who ask: how often their terms were
	}{
		{"behind each other", "wwkkkkkk", 1, 6},
		{"mixed", "kwkwkwkwk", 2, 2 + 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openInside(t, filepath.Join(t.TempDir(), "stile.db"))
			k := newKeyOf(t, s)
			asked := 0
			k.Terms = func(*vpn.User, *vpn.Entitlement, int) (time.Time, vpn.KeyLimits, error) {
				asked++
				return time.Time{}, vpn.KeyLimits{}, nil
			}
			var callers sync.WaitGroup
			release := occupy(t, s, &callers)
			keys := make([]vpn.Key, len(c.order))
			runs := make([]int, len(c.order))
			for i, what := range c.order {
				callers.Go(func() {
					var err error
					if what == 'k' {
						keys[i], err = s.IssueKey(t.Context(), k, vpn.Audit{Action: "key.issue"})
					} else {
						err = s.write(t.Context(), "count", func(*tx) error { runs[i]++; return nil })
					}
					if err != nil {
						t.Error(err)
					}
				})
				for len(s.writer.queue) <= i {
					time.Sleep(time.Millisecond)
				}
			}
			release()
			callers.Wait()
			first := strings.IndexByte(c.order, 'k')
			for i, what := range c.order {
				switch {
				case what == 'k' && (keys[i].ID == 0 || keys[i] != keys[first]):
					t.Errorf("caller %d got key %d, the first %d", i, keys[i].ID, keys[first].ID)
				case what == 'w' && (runs[i] < 1 || runs[i] > c.runs):
					t.Errorf("write %d ran %d times, want %d at most", i, runs[i], c.runs)
				}
			}
			if asked != c.asked {
				t.Errorf("terms were asked for %d times, want %d", asked, c.asked)
			}
		})
	}
}

// newKeyOf is a key, said to be new, of a device and a server that it makes.
func newKeyOf(t *testing.T, s *Store) vpn.NewKey {
	t.Helper()
	server, err := s.AddServer(t.Context(), vpn.Server{Name: "server"}, vpn.Audit{})
	if err != nil {
		t.Fatal(err)
	}
	user, err := s.AddUser(t.Context(), vpn.NewUser{Email: "user@example.com"}, vpn.Audit{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.SignIn(t.Context(), vpn.NewSession{UserID: user.ID, ClientID: "x", DeviceLimit: 1}, vpn.Audit{})
	if err != nil {
		t.Fatal(err)
	}
	return vpn.NewKey{UserID: user.ID, DeviceID: in.DeviceID, ServerID: server.ID, Seed: accesskey.Seed{1}, IsNew: true}
}

// Who panics over a row of a look-up does so alone: others of the group have their answers, and the engine goes on.
func TestPanicOverALookUpIsItsOwn(t *testing.T) {
	for name, dsn := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "stile.db"), "PostgreSQL": storetest.Postgres(t)} {
		s := openInside(t, dsn)
		u, err := s.AddUser(t.Context(), vpn.NewUser{Email: "user@example.com"}, vpn.Audit{})
		if err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for i := range 200 {
			callers.Go(func() {
				if i%10 > 0 {
					if got, _, err := s.Standing(t.Context(), u.ID); err != nil || got.ID != u.ID {
						t.Errorf("%s: %+v, %v", name, got, err)
					}
					return
				}
				defer func() {
					if got := recover(); got != "a fault" {
						t.Errorf("%s: panicked with %v", name, got)
					}
				}()
				_ = s.look(&standingOf, func(scanner) error { panic("a fault") }, u.ID)
				t.Errorf("%s: no panic", name)
			})
		}
		callers.Wait()
	}
}

// Who panics over a write does so alone, too: others of the group have theirs, and the writer goes on.
func TestPanicOverAWriteIsItsOwn(t *testing.T) {
	for name, dsn := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "stile.db"), "PostgreSQL": storetest.Postgres(t)} {
		s := openInside(t, dsn)
		key := newKeyOf(t, s)
		faulty := key
		faulty.Terms = func(*vpn.User, *vpn.Entitlement, int) (time.Time, vpn.KeyLimits, error) { panic("a fault") }
		var callers sync.WaitGroup
		for i := range 60 {
			callers.Go(func() {
				if i%10 > 1 {
					if _, err := s.AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(i) + "@example.com"}, vpn.Audit{Action: "user.add"}); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if _, err := s.IssueKey(t.Context(), key, vpn.Audit{Action: "key.issue"}); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					return
				}
				defer func() {
					if p, ok := recover().(*panicked); !ok || p.cause != "a fault" {
						t.Errorf("%s: panicked with %v", name, p)
					}
				}()
				if i%10 == 0 {
					_, _ = s.IssueKey(t.Context(), faulty, vpn.Audit{Action: "key.issue"})
				} else {
					_, _ = s.ChangeSubscription(t.Context(), key.UserID, func(*vpn.Entitlement) (vpn.Subscription, error) { panic("a fault") }, vpn.Audit{Action: "x"})
				}
				t.Errorf("%s: no panic", name)
			})
		}
		callers.Wait()
		var users, keys int
		if err := s.reader.db.QueryRow("SELECT (SELECT COUNT(*) FROM account), (SELECT COUNT(*) FROM access_key)").Scan(&users, &keys); err != nil || users != 1+48 || keys != 1 {
			t.Errorf("%s: %d users, %d keys, %v", name, users, keys, err)
		}
	}
}
