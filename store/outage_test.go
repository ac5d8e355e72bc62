package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"stile/store/storetest"
	"stile/vpn"
)

// gate passes connections on to a server until it is shut: then nothing that is sent arrives, and nobody is told.
type gate struct {
	address string
	server  string // its socket
	mu      sync.Mutex
	isShut  bool
	isGone  bool
	carried map[net.Conn]bool
	opened  sync.Cond
}

// openGate returns a gate before the server of a DSN, and the DSN through it.
func openGate(t *testing.T, dsn string) (g *gate, through string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g = &gate{address: listener.Addr().String(), server: filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"), carried: map[net.Conn]bool{}}
	g.opened.L = &g.mu
	t.Cleanup(func() { g.set(false); _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go g.carry(near)
		}
	}()
	return g, "postgres://" + u.Query().Get("user") + "@" + g.address + u.Path + "?sslmode=disable"
}

func (g *gate) set(isShut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = isShut
	g.opened.Broadcast()
}

// end ends all connections, and those that come until begin.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isGone = true
	for conn := range g.carried {
		_ = conn.Close()
	}
}

func (g *gate) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isGone = false
}

// enter notes a connection, if there are any to be.
func (g *gate) enter(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.carried[conn] = true
	return !g.isGone
}

func (g *gate) leave(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.carried, conn)
	_ = conn.Close()
}

func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.isShut {
		g.opened.Wait()
	}
}

func (g *gate) carry(near net.Conn) {
	defer g.leave(near)
	if !g.enter(near) {
		return
	}
	g.pass()
	far, err := net.Dial("unix", g.server)
	if err != nil {
		return
	}
	forward := func(to, from net.Conn) {
		defer func() { _ = to.Close(); _ = from.Close() }()
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			g.pass()
			if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
				return
			}
		}
	}
	go forward(far, near)
	forward(near, far)
}

// TestASilentServerHoldsNobody has a server fall silent without the end of a connection: whoever asks is told within seconds, and as
// soon as it speaks again everything goes on.
func TestASilentServerHoldsNobody(t *testing.T) {
	g, dsn := openGate(t, storetest.Postgres(t))
	s := openInside(t, dsn)
	user, err := s.AddUser(t.Context(), vpn.NewUser{Email: "user@example.com"}, vpn.Audit{})
	if err != nil {
		t.Fatal(err)
	}
	asks := map[string]struct {
		ask   func(n int) error
		bound time.Duration // with a minute more for a busy machine; before, there was none
	}{
		"look-ups": {func(int) error { _, _, err := s.Standing(t.Context(), user.ID); return err }, lookupWait + connectWait},
		"reads":    {func(int) error { _, err := s.UserByEmail(t.Context(), user.Email); return err }, 2 * connectWait},
		"writes": {func(n int) error {
			_, err := s.AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(n) + "@example.com"}, vpn.Audit{})
			return err
		}, behindWait + connectWait},
	}
	s.writer.watch.silence = behindWait // the one that has begun, too
	g.set(true)
	var callers sync.WaitGroup
	for name, a := range asks {
		for n := range 200 {
			callers.Go(func() {
				began := time.Now()
				err := a.ask(n)
				if !errors.Is(err, vpn.ErrUnavailable) {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(began); took > a.bound+time.Minute {
					t.Errorf("%s: %v", name, took)
				}
			})
		}
	}
	callers.Wait()
	g.set(false)
	back := time.Now()
	for name, a := range asks {
		for err := a.ask(1000); err != nil; err = a.ask(1000) {
			if time.Since(back) > 10*awayFor+time.Minute {
				t.Fatalf("%s: %v", name, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// TestWhoReadsIsImpatient: the connections that are read on give up a silent server, each for what is asked on it.
func TestWhoReadsIsImpatient(t *testing.T) {
	s := openInside(t, storetest.Postgres(t))
	for pool, want := range map[int]time.Duration{1: readWait, 2: lookupWait} {
		conn, err := s.pools[pool].Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Raw(func(driverConn any) error {
			line, ok := driverConn.(*stdlib.Conn).Conn().PgConn().Conn().(*impatient)
			if !ok || line.within != want {
				t.Errorf("pool %d: %+v, want %v", pool, line, want)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestImpatience: each Read waits anew, and a deadline that somebody set holds until it is taken back.
func TestImpatience(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = near.Close(); _ = far.Close() }()
	c := &impatient{Conn: near}
	read := func() error { _, err := c.Read(make([]byte, 1)); return err }
	for range 2 {
		c.set(50 * time.Millisecond)
		if err := read(); !isVain(err) {
			t.Fatalf("a silent end: %v", err)
		}
		c.set(time.Hour)
		go func() { _, _ = far.Write([]byte{1}) }()
		if err := read(); err != nil {
			t.Fatalf("after a pause: %v", err)
		}
	}
	if err := c.SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := read(); !isVain(err) { // a query whose context ended waits no hour
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = far.Write([]byte{1}) }()
	if err := read(); err != nil {
		t.Fatal(err)
	}
}

// TestWaitersAreBounded has so many wait as may, and one more.
func TestWaitersAreBounded(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "stile.db"))
	add := func(email string) error {
		_, err := s.AddUser(t.Context(), vpn.NewUser{Email: email}, vpn.Audit{})
		return err
	}
	s.writer.callers.Store(maxWaiting - 1)
	if err := add("last@example.com"); err != nil {
		t.Error(err)
	}
	s.writer.callers.Store(maxWaiting)
	if err := add("more@example.com"); !errors.Is(err, vpn.ErrUnavailable) {
		t.Errorf("one too many writes: %v", err)
	}
	s.writer.callers.Store(0)

	l := newLookups()
	l.waiting = make([]*question, maxWaiting-1)
	last := &question{turn: make(chan bool, 1)}
	last.turn <- true
	if err := l.ask(last); err != nil {
		t.Error(err)
	}
	if err := l.ask(&question{}); !errors.Is(err, vpn.ErrUnavailable) {
		t.Errorf("one too many look-ups: %v", err)
	}
}

// TestAWriteIsRepeatedOnlyWhereNothingWasDone tells the failures of a lost connection apart.
func TestAWriteIsRepeatedOnlyWhereNothingWasDone(t *testing.T) {
	ended := &pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}
	for _, c := range []struct {
		name   string
		err    error
		isLost bool
	}{
		{"ended by the server", ended, true},
		{"reset", fmt.Errorf("write: %w", &net.OpError{Op: "write", Err: syscall.ECONNRESET}), true},
		{"nothing came", io.ErrUnexpectedEOF, true},
		{"at the commit", &commitError{ended}, false},
		{"nothing came at the commit", &commitError{io.ErrUnexpectedEOF}, false},
		{"silent", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, false},
		{"no connection", newUnreached(&pgconn.Config{}, syscall.ECONNREFUSED), false},
		{"refused by the engine", &pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "23505"}, false},
		{"the task's own", errFault, false},
		{"none", nil, false},
	} {
		w := &writer{store: &Store{dialect: &postgresDialect}}
		if got := w.isLost(c.err); got != c.isLost {
			t.Errorf("%s: lost %t", c.name, got)
		}
		w.conn = new(sql.Conn)
		if w.isLost(c.err) {
			t.Errorf("%s: lost, with a connection that is there", c.name)
		}
	}
}

// TestGroupOnALostConnection has many write after the server ended the idle connection: all are served, each by one run that counts.
func TestGroupOnALostConnection(t *testing.T) {
	s := openInside(t, storetest.Postgres(t))
	k := newKeyOf(t, s)
	for round := range 3 {
		if err := s.read(t.Context()).row(`
			SELECT COUNT(pg_terminate_backend(pid, 10000))
			FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(new(int)); err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for i := range 40 {
			callers.Go(func() {
				var err error
				if i%2 == 0 {
					_, err = s.IssueKey(t.Context(), k, vpn.Audit{})
				} else {
					_, err = s.AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(100*round+i) + "@example.com"}, vpn.Audit{})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
	}
	page, err := s.Users(t.Context(), vpn.UserFilter{Limit: 100})
	if err != nil || len(page.Users) != 1+3*20 {
		t.Errorf("%d users, %v", len(page.Users), err)
	}
}

// TestNothingIsDoneOutsideOfATransaction has a transaction that can't be opened: what it was to hold is not done without it.
func TestNothingIsDoneOutsideOfATransaction(t *testing.T) {
	s := openInside(t, storetest.Postgres(t))
	err := s.write(t.Context(), "unopened", func(t *tx) error {
		t.opening = "BEGIN ISOLATION LEVEL NONE"
		return t.row(`
			INSERT INTO counter (name, next_id)
			VALUES ('outside', 1)
			RETURNING next_id`).Scan(new(int))
	})
	if err == nil {
		t.Error("no error of a transaction that is none")
	}
	var n int
	if err := s.read(t.Context()).row("SELECT COUNT(*) FROM counter WHERE name = 'outside'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows written, %v", n, err)
	}
}

// TestListeningIsNotTriedWithoutPause has a server away: whoever listens tries once a second, and hears again when it is back.
func TestListeningIsNotTriedWithoutPause(t *testing.T) {
	g, dsn := openGate(t, storetest.Postgres(t))
	s := openInside(t, dsn)
	var log lines
	s.replicas.log = slog.New(slog.NewTextHandler(&log, nil))
	heard := make(chan vpn.ReplicaNotice, 16)
	ctx, stop := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { s.replicas.Listen(ctx, 1, func(n vpn.ReplicaNotice) { heard <- n }) })
	<-heard
	g.end()
	began := time.Now()
	for log.count() < 3 {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took < awayFor {
		t.Errorf("three attempts in %v", took)
	}
	g.begin()
	<-heard
	stop()
	listening.Wait()
}

// lines counts what is logged.
type lines struct{ n atomic.Int64 }

func (l *lines) Write(p []byte) (int, error) { l.n.Add(1); return len(p), nil }

func (l *lines) count() int64 { return l.n.Load() }
