package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"stile/vpn"
)

// RestoreCmd is `stile restore`.
type RestoreCmd struct {
	databaseFlags
	Backup string `arg:"" optional:"" type:"existingfile" help:"Copy of an SQLite database to put in place. Without it: the database was put back by other means."`
	Above  int64  `help:"Begin an epoch above this one, which the log says a node follows."`
}

// Run puts a backup in place, if one is given, and begins an epoch: all nodes then compare their keys with the database,
// give back what they know to be revoked, and report the traffic that it lacks.
func (c *RestoreCmd) Run(ctx context.Context, t *Terminal) error {
	undo := func() error { return nil }
	if c.Database == "" {
		dir := dataDir(c.Data)
		if err := c.find(dir); err != nil {
			return err
		}
		lock, err := dir.lock()
		if err != nil {
			return err
		}
		defer func() { _ = lock.Close() }()
		if c.Backup != "" {
			if undo, err = dir.putBack(c.Backup); err != nil {
				return err
			}
		}
	} else if c.Backup != "" {
		return errors.New("--database: put a backup back with PostgreSQL's own means, then run `stile restore` without a file")
	}
	epoch, err := c.begin(ctx)
	if err != nil {
		if c.Backup != "" {
			err = fmt.Errorf("%s is not put in place: %w", c.Backup, err)
		}
		return errors.Join(err, undo())
	}
	t.printf("The database begins epoch %d. Nodes give back what they know to be revoked when they next connect.\n", epoch)
	if c.Backup != "" {
		t.printf("What was there before is kept as %s.\n", dataDir(c.Data).replaced())
	}
	return nil
}

// find looks for what a restore begins with: the database or, where a backup takes its place, the secret that goes with it.
func (c *RestoreCmd) find(dir dataDir) error {
	_, err := os.Stat(string(dir))
	_, noSecret := os.Stat(dir.secret())
	switch {
	case errors.Is(err, fs.ErrNotExist) || c.Backup == "" && c.isNew():
		return dir.missing()
	case c.Backup != "" && errors.Is(noSecret, fs.ErrNotExist):
		return dir.noSecret(c.Backup)
	}
	return nil
}

// begin opens the database, which notices most restores by itself, and raises the epoch in any case.
func (c *RestoreCmd) begin(ctx context.Context) (epoch int64, err error) {
	st, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	epoch, err = st.RaiseEpoch(ctx, c.Above, vpn.Audit{Action: "database.restored"})
	return epoch, errors.Join(err, st.Close())
}

func (d dataDir) replaced() string { return d.sqlite() + ".replaced" }

// parts are what an SQLite database consists of, by the ends of the files' names.
func parts() []string { return []string{"", "-wal", "-shm"} }

// putBack replaces the SQLite database by a copy of a backup and returns what puts the old one in place again.
func (d dataDir) putBack(backup string) (undo func() error, err error) {
	copied := d.sqlite() + ".copy"
	if err := copyDurably(backup, copied); err != nil {
		return nil, fmt.Errorf("copy the backup: %w", err)
	}
	move := func(from, to string) error {
		for _, part := range parts() {
			err := os.Remove(to + part)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				err = os.Rename(from+part, to+part)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	if err := move(d.sqlite(), d.replaced()); err != nil {
		return nil, err
	}
	if err := os.Rename(copied, d.sqlite()); err != nil {
		return nil, errors.Join(err, move(d.replaced(), d.sqlite()))
	}
	return func() error { return move(d.replaced(), d.sqlite()) }, syncDir(string(d))
}

// copyDurably copies a file to one that only its owner may read.
func copyDurably(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
