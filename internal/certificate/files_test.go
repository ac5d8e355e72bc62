package certificate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFilesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	chain, key := filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	log, said := testLog()
	if _, err := NewFiles(chain, key, log); err == nil || !strings.Contains(err.Error(), chain) {
		t.Fatalf("no files: %v", err)
	}
	first := writePair(t, chain, key, testName)
	f, err := NewFiles(chain, key, log)
	if err != nil {
		t.Fatal(err)
	}
	l := loopback(t)
	serve(t, l, f)
	sees := func(want string) {
		t.Helper()
		leaf, err := shown(l, testName)
		if err != nil || leaf.SerialNumber.String() != want {
			t.Errorf("shown: %v, %v\n%s", leaf, err, said)
		}
	}
	sees(first.SerialNumber.String())
	f.refresh()
	if said.String() != "" {
		t.Errorf("nothing changed, and it says\n%s", said)
	}

	at := time.Now()
	touch := func(path string) { // two writes within a tick of the disk's clock look alike
		at = at.Add(time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	second := writePair(t, chain, key, testName)
	touch(chain)
	f.refresh()
	sees(second.SerialNumber.String())

	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, breakIt := range map[string]func() error{
		"half a file": func() error { return os.WriteFile(key, good[:len(good)/2], 0o600) },
		"no file":     func() error { return os.Remove(key) },
	} {
		before := strings.Count(said.String(), "the old one stays")
		if err := breakIt(); err != nil {
			t.Fatal(err)
		}
		f.refresh()
		f.refresh()
		if got := strings.Count(said.String(), "the old one stays"); got != before+1 {
			t.Errorf("%s: complained %d times", name, got-before)
		}
		sees(second.SerialNumber.String())
		if err := os.WriteFile(key, good, 0o600); err != nil {
			t.Fatal(err)
		}
		touch(key)
		f.refresh()
	}
	third := writePair(t, chain, key, testName)
	touch(chain)
	f.refresh()
	sees(third.SerialNumber.String())
	run(t, f) // ends with its context
}
