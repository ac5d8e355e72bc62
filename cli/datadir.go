package cli

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// dataDir is the directory that holds the database, the secret that seals seeds, and the embedded node's state.
type dataDir string

// defaultDataDir is /var/lib/NAME for root, and by the XDG base directory specification for everyone else.
func defaultDataDir(name string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name)
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, name)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return name + "-data"
	}
	return filepath.Join(home, ".local", "share", name)
}

func (d dataDir) sqlite() string { return filepath.Join(string(d), "stile.db") }
func (d dataDir) node() string   { return filepath.Join(string(d), "node") }
func (d dataDir) secret() string { return filepath.Join(string(d), "secret.key") }

// create makes the directory, closed to other users.
func (d dataDir) create() error {
	return d.mend(os.MkdirAll(string(d), 0o700))
}

// missing says that there is nothing in the directory, or not even that.
func (d dataDir) missing() error {
	what := "there is no data directory %s"
	if _, err := os.Stat(string(d)); err == nil {
		what = "directory %s holds no data of Stile"
	}
	return fmt.Errorf(what+": the first `stile serve` makes it; if the service keeps it elsewhere, say where with --data (or STILE_DATA)", d)
}

// mend says what to do about a data directory that does not let its files be used.
func (d dataDir) mend(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("data directory %s: %w (be the user whom the service runs as, or choose another directory with --data)", d, err)
	}
	return fmt.Errorf("data directory: %w (choose another with --data)", err)
}

// loadSecret returns the key that seals seeds at rest. It is made at the first start; whoever loses it loses every
// access key, so back it up apart from the database.
func (d dataDir) loadSecret() ([32]byte, error) {
	var secret [32]byte
	_, noDatabase := os.Stat(d.sqlite()) // looked for first: a first start makes it after the secret
	raw, err := os.ReadFile(d.secret())
	if errors.Is(err, fs.ErrNotExist) {
		if noDatabase == nil {
			return secret, d.noSecret(d.sqlite())
		}
		return d.makeSecret()
	}
	if err != nil {
		return secret, d.mend(err)
	}
	if n, err := hex.Decode(secret[:], []byte(strings.TrimSpace(string(raw)))); err != nil || n != len(secret) {
		return secret, fmt.Errorf("%s: want 64 hex digits; restore it from your backup", d.secret())
	}
	return secret, nil
}

// noSecret says that a database is useless without the secret that goes with it.
func (d dataDir) noSecret(database string) error {
	return fmt.Errorf("%s is missing, and without it the access keys in %s cannot be read: restore it from your backup", d.secret(), database)
}

// makeSecret writes a new secret. O_EXCL lets two first starts agree on one.
func (d dataDir) makeSecret() ([32]byte, error) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // crypto/rand never fails
	temp, err := os.CreateTemp(string(d), ".secret-*")
	if err != nil {
		return secret, d.mend(err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(hex.EncodeToString(secret[:]) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return secret, fmt.Errorf("write the secret: %w", err)
	}
	// A link, unlike a rename, fails when the other start was faster.
	switch err := os.Link(temp.Name(), d.secret()); {
	case errors.Is(err, fs.ErrExist):
		return d.loadSecret()
	case err != nil:
		return secret, fmt.Errorf("keep the secret: %w", err)
	}
	return secret, syncDir(string(d))
}

// syncDir makes names in a directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
