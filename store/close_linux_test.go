package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stile/accesskey"
	"stile/vpn"
)

// filesIn are the files of a directory that this process has open.
func filesIn(t *testing.T, dir string) (open []string) {
	t.Helper()
	const all = "/proc/self/fd"
	entries, err := os.ReadDir(all)
	ok(t, err)
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(all, e.Name())); err == nil && strings.HasPrefix(name, dir) {
			open = append(open, filepath.Base(name))
		}
	}
	return open
}

func TestCloseLeavesNoFileOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "stile.db"))
	h := setup(t, s)
	key, err := s.IssueKey(t.Context(), h.newKey(accesskey.Seed{9}), vpn.Audit{Action: "key.issue"})
	ok(t, err)
	_, err = s.Key(t.Context(), key.ID)
	ok(t, err)
	_, err = s.NodeSnapshot(t.Context(), h.server.ID, func(vpn.NodeKey) error { return nil })
	ok(t, err)
	if len(filesIn(t, dir)) == 0 {
		t.Error("nothing is open")
	}
	ok(t, s.Close())
	if left := filesIn(t, dir); len(left) > 0 {
		t.Errorf("open after Close: %v", left)
	}
}
