package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"stile/internal/password"
	"stile/store"
	"stile/vpn"
)

// databaseFlags say where the state is kept; serve and the operator's commands share them.
type databaseFlags struct {
	Data     string `default:"${data}" help:"Data directory: the database, the secret and the node's state."`
	Database string `placeholder:"postgres://…" help:"Keep the state in PostgreSQL 15 or newer instead of SQLite in the data directory."`
}

// dsn is where the store is.
func (f databaseFlags) dsn() (string, error) {
	switch {
	case f.Database == "":
		return dataDir(f.Data).sqlite(), nil
	case !strings.HasPrefix(f.Database, "postgres://") && !strings.HasPrefix(f.Database, "postgresql://"):
		return "", errors.New("--database: want postgres://USER:PASSWORD@HOST/NAME") // what was given may hold a password
	}
	return f.Database, nil
}

// isNew reports whether there is nothing yet: no database in the data directory nor, where that is elsewhere, its secret.
func (f databaseFlags) isNew() bool {
	file := dataDir(f.Data).sqlite()
	if f.Database != "" {
		file = dataDir(f.Data).secret()
	}
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist)
}

// open opens the store that there is, as cfg says. A slip in --data must not make another.
func (f databaseFlags) open(ctx context.Context, cfg store.Config) (*store.Store, error) {
	if _, err := f.dsn(); err != nil {
		return nil, err
	}
	if f.isNew() {
		return nil, dataDir(f.Data).missing()
	}
	return f.openAs(ctx, cfg)
}

// openOrMake is open that makes the data directory and the store if need be. observe, if it is not nil, is told of writes.
func (f databaseFlags) openOrMake(ctx context.Context, observe func(writes int, took time.Duration)) (*store.Store, error) {
	return f.openAs(ctx, store.Config{Observe: observe})
}

// openAs opens the store as cfg says, which names no database.
func (f databaseFlags) openAs(ctx context.Context, cfg store.Config) (*store.Store, error) {
	var err error
	if cfg.DSN, err = f.dsn(); err != nil {
		return nil, err
	}
	dir := dataDir(f.Data)
	if err := dir.create(); err != nil {
		return nil, err
	}
	if cfg.Secret, err = dir.loadSecret(); err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := dir.handOver(); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// use runs one command of an operator on the service. The running service notices changes within a second.
func (f databaseFlags) use(ctx context.Context, do func(*vpn.Service) error) error {
	return f.useStore(ctx, func(_ *store.Store, service *vpn.Service) error { return do(service) })
}

// useStore is use for commands that also need the store.
func (f databaseFlags) useStore(ctx context.Context, do func(*store.Store, *vpn.Service) error) error {
	st, err := f.open(ctx, store.Config{})
	if err != nil {
		return err
	}
	return useAndClose(st, do)
}

// useOrMake is useStore for commands that may come before the first `stile serve`: they make the data directory, and say so.
func (f databaseFlags) useOrMake(ctx context.Context, t *Terminal, do func(*store.Store, *vpn.Service) error) error {
	isNew := f.isNew()
	st, err := f.openOrMake(ctx, nil)
	if isNew && !f.isNew() { // also where the database then does not answer
		t.notef("A new data directory is made: %s\n", f.Data)
	}
	if err != nil {
		return err
	}
	return useAndClose(st, do)
}

func useAndClose(st *store.Store, do func(*store.Store, *vpn.Service) error) error {
	service := vpn.NewService(st, awayNodes{}, newPasswords(), vpn.Config{})
	return errors.Join(do(st, service), st.Close())
}

// awayNodes stands for nodes that another process, the running service, has at hand: it finds the changes in the
// database.
type awayNodes struct{}

func (awayNodes) Wake(...vpn.NodeRev)          {}
func (awayNodes) HasApplied(int64, int64) bool { return false }

func (awayNodes) WaitApplied(context.Context, int64, int64) bool { return false }
func (awayNodes) Refuses(int64, int64) bool                      { return false }
func (awayNodes) Live(int64) vpn.NodeLive                        { return vpn.NodeLive{} }

// passwords is the hasher in the domain's words.
type passwords struct{ *password.Hasher }

func newPasswords() passwords { return passwords{password.New(password.Options{})} }

// Verify implements vpn.Passwords.
func (p passwords) Verify(ctx context.Context, hash, word string) (ok, weak bool, err error) {
	ok, weak, err = p.Hasher.Verify(ctx, hash, word)
	if errors.Is(err, password.ErrBusy) {
		err = fmt.Errorf("%w: %w", vpn.ErrBusy, err)
	}
	return ok, weak, err
}
