package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"stile/vpn"
)

// unreached is a PostgreSQL server or database that cannot be used, in one line: what was tried, what came back, what to do.
type unreached struct {
	line string
	err  error
}

func (u *unreached) Error() string { return u.line }

func (u *unreached) Unwrap() []error { return []error{vpn.ErrUnavailable, u.err} }

// newUnreached says why a connection was not had. It never names the password.
func newUnreached(config *pgconn.Config, err error) error {
	came, remedy := reason(config, err)
	return &unreached{line: tried(config) + ": " + came + ": " + remedy, err: err}
}

// tried is whom a configuration connects to, as whom and to what.
func tried(config *pgconn.Config) string {
	places := []string{place(config.Host, config.Port)}
	for _, f := range config.Fallbacks { // further hosts, and the same ones without TLS
		if p := place(f.Host, f.Port); !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return fmt.Sprintf("%s, database %q, user %q", strings.Join(places, " and "), databaseOf(config), config.User)
}

func place(host string, port uint16) string {
	if network, address := pgconn.NetworkAddress(host, port); network == "unix" {
		return address
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// databaseOf is the database that the server takes where none is named: the user's.
func databaseOf(config *pgconn.Config) string {
	if config.Database == "" {
		return config.User
	}
	return config.Database
}

// reason is what came back, and what can be done about it.
func reason(config *pgconn.Config, err error) (came, remedy string) {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer.Message, remedyOf(config, answer)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && !e.IsTimeout {
		return "no such host", "correct the host in the address"
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Err.Error(), "name the file of the CA by sslrootcert=FILE in the address, and the host as it is in the certificate"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return "nobody listens there", "start PostgreSQL, let it listen on this address (listen_addresses), or correct host and port"
	case isVain(err):
		return "no answer within " + config.ConnectTimeout.String(), "is the host up, and does no firewall drop what is sent to it? correct host and port, or set connect_timeout=SECONDS in the address"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no way to this host", "correct the host in the address, or the network's routes"
	case config.TLSConfig != nil && len(config.Fallbacks) == 0 && strings.Contains(err.Error(), "refused TLS"):
		return "the server speaks no TLS", "turn it on there (ssl = on), or set sslmode=disable in the address where the way is safe"
	}
	return "no answer of PostgreSQL (" + innermost(err).Error() + ")", "is that a PostgreSQL server? correct host and port"
}

// innermost is the last error of those that an error wraps.
func innermost(err error) error {
	for {
		var inner error
		switch e := err.(type) { //nolint:errorlint // one step at a time
		case interface{ Unwrap() error }:
			inner = e.Unwrap()
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				inner = all[len(all)-1]
			}
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// remedyOf is what can be done about what the server said, by its SQLSTATE.
func remedyOf(config *pgconn.Config, answer *pgconn.PgError) string {
	user, database := config.User, databaseOf(config)
	switch answer.Code {
	case "28P01": // wrong, none, or a user that is not there: PostgreSQL does not tell them apart
		return "correct user and password in the address, and escape special characters of the password as in any URL"
	case "28000": // no such role, or nothing for it in pg_hba.conf
		if strings.Contains(answer.Message, "pg_hba.conf") {
			return "allow it in the server's pg_hba.conf and reload that; where TLS is demanded, set sslmode=require in the address"
		}
		return fmt.Sprintf("correct the user in the address, or make it: CREATE ROLE %q LOGIN PASSWORD '…'", user)
	case "3D000":
		return fmt.Sprintf("correct the name in the address, or make it: CREATE DATABASE %q OWNER %q", database, user)
	case "53300":
		return "raise max_connections there, or end others that use it; each stile serve takes up to 22"
	case "55000":
		return fmt.Sprintf("allow connections: ALTER DATABASE %q ALLOW_CONNECTIONS true", database)
	case "57P03":
		return "wait until it has started"
	case "25006":
		return "that server is a standby: name the primary, or all with target_session_attrs=read-write"
	case "42501":
		return fmt.Sprintf("make the user the database's owner: ALTER DATABASE %q OWNER TO %q", database, user)
	case "42704", "08P01":
		return fmt.Sprintf("want PostgreSQL %d or newer, and no pooler such as PgBouncer before it", leastPostgres)
	case "42P07", "42703", "42804", "42883", "3F000":
		return anothersRemedy
	default:
		return "SQLSTATE " + answer.Code + "; the server's log may say more"
	}
}

// unreadable is an address that is none. The driver's error holds it, with a password that it finds only where the address is
// well formed: none of it is passed on, but for what is wrong.
func unreadable(err error) error {
	text := err.Error()
	what := text[strings.LastIndex(text, "`: ")+1:]
	if isTLS := strings.HasPrefix(what, ": failed to configure TLS"); !isTLS { // that names a file
		what, _, _ = strings.Cut(what, " (")
	}
	return errors.New("the PostgreSQL address cannot be read" + what +
		": want postgres://USER:PASSWORD@HOST:PORT/NAME, with special characters of the password escaped as in any URL, such as %2F for /")
}

// explained is an error of opening a database that could be connected to.
func (c farConnector) explained(err error) error {
	switch {
	case errors.As(err, new(*unreached)):
		return err
	case errors.As(err, new(*pgconn.PgError)):
		return newUnreached(c.config, err)
	default:
		return fmt.Errorf("%s: %w", tried(c.config), err)
	}
}

// leastPostgres is the oldest release that Stile runs on.
const leastPostgres = 15

// checkRelease refuses an older server, by its server_version_num.
func checkRelease(number int) error {
	if number/10000 < leastPostgres {
		return fmt.Errorf("this is PostgreSQL %d: want %d or newer", number/10000, leastPostgres)
	}
	return nil
}

const anothersRemedy = "this database is another application's: name an empty one, or a schema of its own by search_path=NAME in the address"

// fitsPostgres refuses an older server, a database that does not take every text, and one with tables of somebody else's and none of ours; those of extensions are
// nobody's.
func fitsPostgres(ctx context.Context, conn *sql.Conn) error {
	var release int
	var encoding, table string
	if err := conn.QueryRowContext(ctx, `
		SELECT CAST(current_setting('server_version_num') AS INTEGER), current_setting('server_encoding'), COALESCE((
			SELECT MIN(CAST(c.relname AS TEXT))
			FROM pg_class c
			WHERE c.relnamespace = CAST(current_schema() AS REGNAMESPACE)
				AND c.relkind IN ('r', 'p')
				AND NOT EXISTS (
					SELECT 1
					FROM pg_attribute
					WHERE attrelid = to_regclass('schema_migrations')
						AND attname = 'applied_at'
				)
				AND NOT EXISTS (
					SELECT 1
					FROM pg_depend d
					WHERE d.classid = CAST('pg_class' AS REGCLASS)
						AND d.objid = c.oid
						AND d.deptype = 'e'
				)
		), '')`).Scan(&release, &encoding, &table); err != nil {
		return err
	}
	if encoding != "UTF8" && encoding != "SQL_ASCII" { // which takes texts as they are
		return fmt.Errorf("it keeps texts in %s, which lacks letters that people have in their names: make one by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	if table != "" {
		return fmt.Errorf("it has a table %q: %s", table, anothersRemedy)
	}
	return checkRelease(release)
}
