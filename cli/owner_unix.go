//go:build unix

package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// handOver gives what a command of root has made in the directory to the directory's owner: the service, which runs as
// another user, could not open it otherwise. A file with a second name is left: it may be somebody else's.
func (d dataDir) handOver() error {
	if os.Geteuid() != 0 {
		return nil
	}
	owner, err := os.Stat(string(d))
	if err != nil {
		return err
	}
	to, ok := owner.Sys().(*syscall.Stat_t)
	if !ok || to.Uid == 0 {
		return nil
	}
	for _, name := range []string{
		"lock", "secret.key", "stile.db", "stile.db-wal", "stile.db-shm", "stile.db.high-water", // of the service
		"identity.json", "joining.json", // of a node
	} {
		if err := giveTo(filepath.Join(string(d), name), int(to.Uid), int(to.Gid)); err != nil {
			return d.mend(err)
		}
	}
	return nil
}

// giveTo gives a file of root's to another user. Between the look and the gift nobody can put another file in its place.
func giveTo(path string, uid, gid int) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		return nil // it is gone, or a link by now
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if of, ok := info.Sys().(*syscall.Stat_t); !ok || !info.Mode().IsRegular() || of.Uid != 0 || of.Nlink != 1 {
		return nil
	}
	return f.Chown(uid, gid)
}
