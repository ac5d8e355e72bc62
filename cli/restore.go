package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"stile/store"
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
	var kept replacement
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
			if kept, err = dir.putBack(c.Backup); err != nil {
				return err
			}
		}
	} else if c.Backup != "" {
		return errors.New("--database: put a backup back with PostgreSQL's own means, then run `stile restore` without a file")
	}
	epoch, err := c.begin(ctx)
	if err != nil {
		return errors.Join(c.refused(err), kept.undo())
	}
	t.printf("The database begins epoch %d. Nodes give back what they know to be revoked when they next connect.\n", epoch)
	if kept.old != "" {
		t.printf("What was there before is kept as %s.\n", kept.old)
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
	st, err := c.open(ctx, store.Config{MustExist: true})
	if err != nil {
		return 0, err
	}
	epoch, err = st.RaiseEpoch(ctx, c.Above, vpn.Audit{Action: "database.restored"})
	return epoch, errors.Join(err, st.Close())
}

// refused says what was not done.
func (c *RestoreCmd) refused(err error) error {
	switch {
	case c.Backup != "":
		return fmt.Errorf("%s is not put in place: %w", c.Backup, err)
	case errors.Is(err, store.ErrForeign):
		return fmt.Errorf("%w; put the backup there first", err)
	}
	return err
}

// databaseParts are what an SQLite database consists of, by the ends of the files' names.
func databaseParts() []string { return []string{"", "-wal", "-shm"} }

// replacement is a backup in the place of a database.
type replacement struct {
	place string // "" = nothing was put anywhere
	old   string // where that is which was there before; "" = there was nothing
}

// putBack puts a copy of a backup in the place of the SQLite database. What was there is kept, beside what an earlier call kept.
func (d dataDir) putBack(backup string) (replacement, error) {
	copied := d.sqlite() + ".copy"
	if err := copyDurably(backup, copied); err != nil {
		return replacement{}, fmt.Errorf("copy the backup: %w", err)
	}
	r := replacement{place: d.sqlite()}
	if _, err := os.Stat(d.sqlite()); err == nil {
		r.old = unused(d.sqlite() + ".replaced")
		if err := moveDatabase(d.sqlite(), r.old); err != nil {
			return replacement{}, err
		}
	}
	if err := os.Rename(copied, d.sqlite()); err != nil {
		return replacement{}, errors.Join(err, r.undo())
	}
	return r, syncDir(string(d))
}

// undo takes the backup away and puts what was there before in place again.
func (r replacement) undo() error {
	if r.place == "" {
		return nil
	}
	for _, part := range databaseParts() {
		if err := os.Remove(r.place + part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if r.old == "" {
		return nil
	}
	return moveDatabase(r.old, r.place)
}

// unused is the name, or the first with a number behind it, that no file has.
func unused(name string) string {
	found := name
	for i := 2; ; i++ {
		if _, err := os.Lstat(found); errors.Is(err, fs.ErrNotExist) {
			return found
		}
		found = fmt.Sprintf("%s.%d", name, i)
	}
}

// moveDatabase gives a database another name that no file has.
func moveDatabase(from, to string) error {
	for _, part := range databaseParts() {
		if err := os.Rename(from+part, to+part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
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
