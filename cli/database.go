package cli

import (
	"context"
	"errors"
	"fmt"
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

// open makes the data directory if need be and opens the store.
func (f databaseFlags) open(ctx context.Context) (*store.Store, error) {
	return f.openObserved(ctx, nil)
}

// openObserved is open for a store that tells of its writes.
func (f databaseFlags) openObserved(ctx context.Context, observe func(writes int, took time.Duration)) (*store.Store, error) {
	dir := dataDir(f.Data)
	if err := dir.create(); err != nil {
		return nil, err
	}
	dsn := f.Database
	switch {
	case dsn == "":
		dsn = dir.sqlite()
	case !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://"):
		return nil, errors.New("--database: want postgres://USER:PASSWORD@HOST/NAME") // what was given may hold a password
	}
	secret, err := dir.loadSecret()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{DSN: dsn, Secret: secret, Observe: observe})
}

// use runs one command of an operator on the service. The running service notices changes within a second.
func (f databaseFlags) use(ctx context.Context, do func(*vpn.Service) error) error {
	return f.useStore(ctx, func(_ *store.Store, service *vpn.Service) error { return do(service) })
}

// useStore is use for commands that also need the store.
func (f databaseFlags) useStore(ctx context.Context, do func(*store.Store, *vpn.Service) error) error {
	st, err := f.open(ctx)
	if err != nil {
		return err
	}
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
