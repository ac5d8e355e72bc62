package store

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"

	"stile/store/storetest"
	"stile/vpn"
)

// TestEachFailureToOpenIsNamed opens what can't be opened: in one line it is said what was tried, what came back, and what to do, and never
// the password.
func TestEachFailureToOpenIsNamed(t *testing.T) {
	dsn := storetest.Postgres(t)
	base, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	run := func(commands ...string) {
		t.Helper()
		for _, command := range commands {
			if _, err := admin.ExecContext(t.Context(), command); err != nil {
				t.Fatal(err)
			}
		}
	}
	name := strings.TrimPrefix(base.Path, "/")
	guard(t, admin)
	run("CREATE ROLE guarded LOGIN PASSWORD 'right'", "CREATE ROLE plain LOGIN", "CREATE ROLE single LOGIN CONNECTION LIMIT 1")
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.WithoutCancel(t.Context()), "DROP OWNED BY guarded, plain, single; DROP ROLE guarded, plain, single")
		if err != nil {
			t.Error(err)
		}
	})
	g, gated := openGate(t, dsn)
	closed, web := closedPort(t), webServer(t)
	as := func(user string) string { return edited(base, func(v url.Values) { v.Set("user", user) }) }

	for _, c := range []struct {
		name   string
		before string // a command
		dsn    string
		tried  string
		came   string
		remedy string
		isShut bool
		undo   string
	}{
		{name: "nobody listens", dsn: "postgres://u:secretword@" + closed + "/d", tried: closed + `, database "d", user "u"`, came: "nobody listens there", remedy: "start PostgreSQL"},
		{name: "two hosts", dsn: "postgres://u:secretword@" + closed + "," + closed + "/d", tried: closed + `, database "d"`, came: "nobody listens there", remedy: "correct host and port"},
		{name: "no socket", dsn: "postgres:///d?user=u&password=secretword&host=/nowhere", tried: `/nowhere/.s.PGSQL.5432, database "d", user "u"`, came: "nobody listens there", remedy: "start PostgreSQL"},
		{name: "not PostgreSQL", dsn: "postgres://u:secretword@" + web + "/d", tried: web, came: "no answer of PostgreSQL", remedy: "is that a PostgreSQL server?"},
		{name: "silence", dsn: gated + "&connect_timeout=1", tried: g.address, came: "no answer within 1s", remedy: "connect_timeout=SECONDS", isShut: true},
		{name: "no TLS", dsn: strings.Replace(gated, "sslmode=disable", "sslmode=require", 1), tried: g.address, came: "the server speaks no TLS", remedy: "sslmode=disable"},
		{name: "wrong password", dsn: edited(base, func(v url.Values) { v.Set("user", "guarded"); v.Set("password", "secretword") }), tried: `user "guarded"`, came: "password authentication failed", remedy: "correct user and password"},
		{name: "no database", dsn: strings.Replace(dsn, "/"+name, "/nosuch", 1), tried: `database "nosuch", user "postgres"`, came: `database "nosuch" does not exist`, remedy: `CREATE DATABASE "nosuch" OWNER "postgres"`},
		{name: "no role", dsn: as("nobody"), tried: `user "nobody"`, came: `role "nobody" does not exist`, remedy: `CREATE ROLE "nobody" LOGIN`},
		{name: "not the owner", dsn: as("plain"), tried: `user "plain"`, came: "permission denied for schema public", remedy: "OWNER TO"},
		{name: "a standby", dsn: dsn, before: "ALTER DATABASE " + name + " SET default_transaction_read_only = on", came: "read-only transaction", remedy: "name the primary", undo: "ALTER DATABASE " + name + " SET default_transaction_read_only = off"},
		{name: "an unknown parameter", dsn: edited(base, func(v url.Values) { v.Set("no_such_parameter", "1") }), came: "no_such_parameter", remedy: "want PostgreSQL 15 or newer"},
		{name: "another's", dsn: dsn, before: "CREATE TABLE users (id BIGINT)", tried: name, came: `a table "users"`, remedy: "name an empty one", undo: "DROP TABLE users"},
		{name: "another's migrations", dsn: dsn, before: "CREATE TABLE schema_migrations (version TEXT)", tried: name, came: "schema_migrations", remedy: "another application's", undo: "DROP TABLE schema_migrations"},
		{name: "another encoding", dsn: strings.Replace(dsn, "/"+name, "/latin", 1), before: "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0", tried: `database "latin"`, came: "keeps texts in LATIN1", remedy: "ENCODING 'UTF8'", undo: "DROP DATABASE latin"},
		{name: "no address", dsn: "postgres://u:secretword/@h/d", came: "cannot be read", remedy: "escaped as in any URL"},
		{name: "too many connections", dsn: as("single"), before: "GRANT ALL ON SCHEMA public TO single", came: "too many connections", remedy: "raise max_connections"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.set(c.isShut)
			defer g.set(false)
			if c.before != "" {
				run(c.before)
			}
			s, err := Open(t.Context(), Config{DSN: c.dsn})
			if err == nil {
				_ = s.Close()
				t.Fatal("opened")
			}
			said := err.Error()
			for _, want := range []string{c.tried, c.came, c.remedy} {
				if !strings.Contains(said, want) {
					t.Errorf("%q is missing in: %s", want, said)
				}
			}
			if strings.Contains(said, "\n") || strings.Contains(said, "secretword") || strings.Count(said, c.came) != 1 {
				t.Errorf("not once, in one line, without the password: %s", said)
			}
			if c.undo != "" {
				run(c.undo)
			}
		})
	}
	if err := checkRelease(149999); err == nil || !strings.Contains(err.Error(), "PostgreSQL 14") {
		t.Error(err)
	}
	if err := checkRelease(150000); err != nil {
		t.Error(err)
	}
	run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "CREATE SCHEMA beside", "CREATE TABLE users (id BIGINT)") // a schema of its own beside another application
	openInside(t, edited(base, func(v url.Values) { v.Set("search_path", "beside") }))
}

// An unreached server is not available to whoever asks: no fault of the program.
func TestUnreachedIsUnavailable(t *testing.T) {
	_, err := Open(t.Context(), Config{DSN: "postgres://u@" + closedPort(t) + "/d"})
	if !errors.Is(err, vpn.ErrUnavailable) {
		t.Error(err)
	}
}

func edited(base *url.URL, edit func(url.Values)) string {
	u := *base
	v := u.Query()
	edit(v)
	u.RawQuery = v.Encode()
	return u.String()
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// webServer is an address where something else answers.
func webServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// guard makes the server ask the role "guarded" for its password.
func guard(t *testing.T, admin *sql.DB) {
	t.Helper()
	var path string
	if err := admin.QueryRowContext(t.Context(), "SHOW hba_file").Scan(&path); err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("local all guarded scram-sha-256\n"), rules...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ExecContext(t.Context(), "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
}
