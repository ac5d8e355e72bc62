package storetest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver with which databases are made
)

// Postgres returns the address of an empty database of its own in a throw-away PostgreSQL cluster, which is started by
// the first call in the process and ends, files and all, with the process. It needs Debian's package postgresql.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	c, err := sharedCluster()
	if err != nil {
		t.Fatalf("PostgreSQL for the tests: %v", err)
	}
	name := "t" + strconv.FormatInt(c.databases.Add(1), 10)
	if err := c.admin("CREATE DATABASE " + name); err != nil {
		t.Fatalf("PostgreSQL for the tests: %v", err)
	}
	t.Cleanup(func() {
		if err := c.admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("PostgreSQL for the tests: %v", err)
		}
	})
	return c.dsn(name)
}

// sharedCluster starts the process's cluster once.
var sharedCluster = sync.OnceValues(startCluster) //nolint:gochecknoglobals // one server for all tests of a process

// cluster is a running PostgreSQL server.
type cluster struct {
	dir       string // socket, data and log
	lifeline  io.Closer
	databases atomic.Int64
}

// guard runs the server until its standard input ends, which it does when the test process is gone, however it went;
// then it stops the server by its own process id and removes the directory.
const guard = `
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=200 -c shared_buffers=64MB \
	>"$2/log" 2>&1 &
server=$!
read -r _
kill -INT "$server"
wait "$server"
rm -rf "$2"
`

// errNoPostgres tells what to install.
var errNoPostgres = errors.New("no /usr/lib/postgresql/*/bin/postgres: install Debian's package \"postgresql\" (apt-get install postgresql)")

func startCluster() (*cluster, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errNoPostgres
	}
	bin := filepath.Dir(slices.MaxFunc(found, byVersion))
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stile-pg") // short: it holds a socket
	if err != nil {
		return nil, err
	}
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			return nil, err
		}
	}
	c := &cluster{dir: dir}
	if err := c.start(bin, account); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

// byVersion orders …/postgresql/15/bin/postgres by the number.
func byVersion(a, b string) int {
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for a directory that is no version
		return n
	}
	return cmp.Compare(version(a), version(b))
}

// serverAccount is whom the server runs as: nobody special, or the user "postgres" for root, whom it refuses.
func serverAccount() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // nil is "as we are"
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w (Debian's package postgresql makes this user)", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// start makes the cluster and waits until it answers.
func (c *cluster) start(bin string, account *syscall.Credential) error {
	prepare := exec.Command(filepath.Join(bin, "initdb"),
		"-D", filepath.Join(c.dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	prepare.Dir = c.dir
	prepare.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	if out, err := prepare.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	server := exec.Command("/bin/sh", "-c", guard, "guard", bin, c.dir)
	server.Dir = c.dir
	server.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true} // a terminal's interrupt is not for it
	lifeline, err := server.StdinPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	c.lifeline = lifeline
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = c.admin("SELECT 1"); err == nil {
			return nil
		}
		if time.Now().After(until) {
			log, _ := os.ReadFile(filepath.Join(c.dir, "log")) // best effort: err says what matters
			return errors.Join(err, lifeline.Close(), server.Wait(), fmt.Errorf("log:\n%s", log))
		}
	}
}

// dsn is the address of one of the cluster's databases.
func (c *cluster) dsn(database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {c.dir}, "user": {"postgres"}}.Encode()}
	return u.String()
}

// admin runs a command in the cluster's own database.
func (c *cluster) admin(command string) error {
	db, err := sql.Open("pgx", c.dsn("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err = db.ExecContext(ctx, command)
	return err
}
