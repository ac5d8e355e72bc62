package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect is all in which the two engines differ.
type dialect struct {
	name string
	// text fills the placeholders of SQL texts: {{id}}, {{key}}, {{bytes}}, {{clustered}} and {{passing}} (what is not worth
	// a log) in migrations, {{bytewise}} behind a text that is ordered by its bytes, {{lock}} and {{share}} behind a SELECT whose rows are to be held until the commit (SQLite has one
	// writer, so it needs neither), {{given}} before the VALUES of an INSERT that brings ids, {{live_key}} behind the CROSS JOIN of
	// pairs with their live keys.
	text *strings.Replacer
	// hasPeers tells that other processes write at the same time, each holding single rows.
	hasPeers bool
	// numbersParameters tells that a parameter is $1 and never "?".
	numbersParameters bool
	// pipeline runs statements of a transaction in one round trip; nil where that gains nothing.
	pipeline func(context.Context, *sql.Conn, preparations, []statement) error
	// begin opens a write transaction.
	begin string
	// impatient makes the writer's connection answer soon when another process holds the write lock; "" = nothing to do.
	impatient string
	// hasWater tells that a high-water file lies beside the database.
	hasWater bool
	// origin is the question for the database's origin; "" with a high-water file.
	origin string
	// isForbidden reports that a question may not be asked, or has no answer here.
	isForbidden func(error) bool
	// fits refuses a server or a database that is not for Stile, while nobody else migrates; nil = there is nothing to ask.
	fits func(context.Context, *sql.Conn) error
	// soundness is the question whose answer is "ok" when the file is whole; "" = the engine has no such question.
	soundness string
	// migrating makes a transaction the only one that migrates.
	migrating string
	// skipIDs makes the ids that a table hands out follow the largest it holds, after some were given; %s is the table.
	// "" = the engine sees to it.
	skipIDs string
	// drawXID draws the number of a transaction, and oldestXID asks for the lowest number of those that run; "" = rows are seen in
	// the order of their ids.
	drawXID, oldestXID string
	// snapshot reads everything of one transaction as of its first read.
	snapshot *sql.TxOptions
	// isUnique reports a violated unique constraint.
	isUnique func(error) bool
	// isFull reports that there is no room, or that the disk fails.
	isFull func(error) bool
	// isDamaged reports that the file is not, or not wholly, what the engine wrote; nil = it says so itself.
	isDamaged func(error) bool
	// isBusy reports that another process holds the write lock: to be tried again soon.
	isBusy func(error) bool
	// isAnswer reports that the engine itself refused a statement, so that none after it was done; it is asked where there is
	// a pipeline.
	isAnswer func(error) bool
	// isRolledBack reports that the engine undid the transaction because of others, so that it may be run again.
	isRolledBack func(error) bool
	// readers is the size of the pool of reading connections.
	readers int
	// lookups is how many more are for what requests ask all the time, and openLookup opens one.
	lookups    int
	openLookup func(ctx context.Context, d *dialect, dsn string, away *far) (lookupEngine, error)
}

var sqliteDialect = dialect{
	name: "SQLite",
	text: strings.NewReplacer(
		"{{id}}", "INTEGER PRIMARY KEY AUTOINCREMENT",
		"{{key}}", "INTEGER PRIMARY KEY",
		"{{bytes}}", "BLOB",
		"{{clustered}}", " WITHOUT ROWID",
		"{{passing}}", "",
		"{{bytewise}}", "",
		"{{given}}", "",
		"{{lock}}", "",
		"{{share}}", "",
		"{{skip}}", "",
		"{{live_key}}", "access_key AS k ON k.device_id = pair.column1 AND k.server_id = pair.column2 AND k.removed_at = 0",
	),
	begin:        "BEGIN IMMEDIATE",
	impatient:    "PRAGMA busy_timeout = 5",
	hasWater:     true,
	soundness:    "PRAGMA quick_check(1)",
	migrating:    "SELECT 1",
	snapshot:     &sql.TxOptions{ReadOnly: true},
	isUnique:     sqliteCode(sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY),
	isFull:       sqliteCode(sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY_DIRECTORY, sqlite3.SQLITE_READONLY_CANTINIT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_SHMSIZE),
	isDamaged:    sqliteCode(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
	isBusy:       sqliteCode(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_BUSY_SNAPSHOT),
	isRolledBack: func(error) bool { return false },
	readers:      4,
	lookups:      2,
	openLookup:   openSQLiteLookups,
}

var postgresDialect = dialect{
	name: "PostgreSQL",
	text: strings.NewReplacer(
		"{{id}}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
		"{{key}}", "BIGINT PRIMARY KEY",
		"{{bytes}}", "BYTEA",
		"{{clustered}}", "",
		"{{passing}}", "UNLOGGED ",
		"{{bytewise}}", `COLLATE "C"`,
		"{{given}}", "OVERRIDING SYSTEM VALUE",
		"{{lock}}", "FOR NO KEY UPDATE",
		"{{share}}", "FOR SHARE",
		"{{skip}}", "FOR NO KEY UPDATE SKIP LOCKED",
		// OFFSET 0 keeps the planner from any other way, such as reading the whole index for a handful of pairs.
		"{{live_key}}", `LATERAL (
			SELECT *
			FROM access_key
			WHERE device_id = pair.column1
				AND server_id = pair.column2
				AND removed_at = 0
			OFFSET 0
		) AS k`,
	),
	hasPeers:          true,
	drawXID:           "SELECT pg_current_xact_id()::text::bigint",
	oldestXID:         "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
	pipeline:          postgresPipeline,
	numbersParameters: true,
	begin:             "BEGIN",
	origin:            postgresOrigin,
	isForbidden:       postgresClass(""),
	fits:              fitsPostgres,
	migrating:         "SELECT pg_advisory_xact_lock(7526413)",
	skipIDs:           "SELECT setval(s, GREATEST(pg_sequence_last_value(s::regclass), (SELECT MAX(id) FROM %[1]s))) FROM pg_get_serial_sequence('%[1]s', 'id') AS s",
	snapshot:          &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
	isUnique:          postgresClass("23505"),
	isFull:            postgresClass("53"), // insufficient resources, disk_full among them
	isBusy:            func(error) bool { return false },
	isAnswer:          isPostgresAnswer,
	isRolledBack:      postgresClass("40"),
	readers:           14,
	lookups:           1,
	openLookup:        openPostgresLookups,
}

// postgresOrigin reads the timeline off the name of a WAL file, whose first 8 digits it is.
const postgresOrigin = `
	SELECT CAST(system_identifier AS TEXT) || '/' || CAST(timeline AS TEXT), timeline
	FROM (
		SELECT system_identifier, CAST(CAST(('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8)) AS BIT(32)) AS BIGINT) AS timeline
		FROM pg_control_system()
	) AS here`

// sqliteCode tests for one of the extended result codes.
func sqliteCode(codes ...int) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*sqlite.Error](err)
		if !ok {
			return false
		}
		for _, code := range codes {
			if e.Code() == code {
				return true
			}
		}
		return false
	}
}

// postgresClass tests for an SQLSTATE or, with two characters, a class of them.
func postgresClass(prefix string) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*pgconn.PgError](err)
		return ok && strings.HasPrefix(e.Code, prefix)
	}
}

// readerMap lets readers of many rows see the first GiB of the file without a system call and a copy per page. Look-ups do
// without: SQLite gives the map up whenever somebody has written. So does the writer: what it writes is never cut off the
// file, so that readers are safe.
const readerMap = "1073741824"

// engine picks the dialect of a DSN and returns what opens a connection for the writer and one for readers. away is where a far
// server is remembered not to answer.
func engine(dsn string, away *far) (d *dialect, writer, reader driver.Connector, err error) {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		config, err := postgresConfig(dsn)
		if err != nil {
			return &postgresDialect, nil, nil, err
		}
		writer = farConnector{stdlib.GetConnector(*config), away, &config.Config}
		return &postgresDialect, writer, farConnector{readingConnector(config), away, &config.Config}, nil
	}
	if err := createPrivate(dsn); err != nil {
		return nil, nil, nil, err
	}
	// A commit then waits for the data and the file's size and not for its timestamps, as in the SQLite of every distribution.
	// Where there is no such call, the driver goes on with fsync.
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return nil, nil, nil, err
	}
	if writer, err = sqliteConnector(dsn, "16384"); err != nil {
		return nil, nil, nil, err
	}
	reader, err = sqliteConnector(dsn, "2048", "query_only(1)", "mmap_size("+readerMap+")")
	return &sqliteDialect, writer, reader, err
}

// createPrivate makes an empty database file that only its owner may read, where there is none.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// sqliteConnector opens connections to a file with a page cache of so many KiB.
func sqliteConnector(path, cacheKiB string, pragmas ...string) (driver.Connector, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	pragmas = append([]string{
		"busy_timeout(10000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"wal_autocheckpoint(10000)",
		"temp_store(MEMORY)",
		"cache_size(-" + cacheKiB + ")",
	}, pragmas...)
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	return sqlite.NewConnector(u.String())
}

// isPostgresAnswer tells an error of a statement from the end of a connection, whose last word may be one, too.
func isPostgresAnswer(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.SeverityUnlocalized == "ERROR"
}

// postgresConfig says how to connect to a server. A statement is planned once, maybe while its tables are all but empty
// and without statistics, and that plan serves until there are some. So every hot statement of this package names its
// rows by an index (column = or IN parameters; "+ 0" keeps the planner from taking another one) and joins nothing to lists.
func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, unreadable(err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWait
	}
	config.DialFunc = dialFar(config.ConnectTimeout)
	lookUpHost := config.LookupFunc
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) { // which the time-out does not cover
		ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
		defer cancel()
		return lookUpHost(ctx, host)
	}
	config.RuntimeParams["application_name"] = "stile"
	config.RuntimeParams["enable_seqscan"] = "off"
	config.RuntimeParams["jit"] = "off"
	config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	return config, nil
}

// pool opens n connections that stay open, and proves that one works. While another process makes the file what the
// pragmas ask for, SQLite refuses at once instead of waiting.
func (d *dialect) pool(ctx context.Context, c driver.Connector, n int) (*sql.DB, error) {
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	err := d.patiently(func() error { return db.PingContext(ctx) })
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// patiently repeats f while another process holds the write lock. The engine's own waiting sleeps longer and longer
// and would starve beside a busy process.
func (d *dialect) patiently(f func() error) error {
	for until := time.Now().Add(busyWait); ; time.Sleep(time.Millisecond) {
		err := f()
		if err == nil || !d.isBusy(err) || time.Now().After(until) {
			return err
		}
	}
}
