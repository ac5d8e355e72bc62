package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSessionIsKeptForItsOwnerAlone(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	p, err := openProfile()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := p.session(); err != nil || s != (session{}) {
		t.Errorf("before any sign-in: %+v, %v", s, err)
	}
	want := session{API: "https://vpn.example.net", Email: "ivan@example.com", Token: "7|secret"}
	for range 2 { // the second time over the first
		if err := p.keep(want); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := p.session(); err != nil || got != want {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	id, err := p.deviceID()
	if err != nil || !strings.HasPrefix(id, "stile-") || len(id) < 26 {
		t.Errorf("deviceID = %q, %v", id, err)
	}
	if again, err := p.deviceID(); err != nil || again != id {
		t.Errorf("the second time deviceID = %q, %v; want %q", again, err, id)
	}
	modes := map[string]os.FileMode{".": 0o700, "session.json": 0o600, "device-id": 0o600}
	entries, err := os.ReadDir(string(p))
	if err != nil || len(entries) != 2 {
		t.Errorf("the directory holds %v, %v; want two files", entries, err)
	}
	for name, want := range modes {
		if info, err := os.Stat(filepath.Join(string(p), name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

func TestBrokenSessionNamesItsFile(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	p, err := openProfile()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.write(p.sessionFile(), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := openAccount(); err == nil || !strings.Contains(err.Error(), p.sessionFile()) {
		t.Errorf("openAccount = %v, want an error that names the file", err)
	}
}

func TestLanguageIsTheShells(t *testing.T) {
	for _, c := range []struct{ all, messages, lang, want string }{
		{"", "", "", "en"},
		{"", "", "ru_RU.UTF-8", "ru-RU"},
		{"", "en_GB.UTF-8", "ru_RU.UTF-8", "en-GB"},
		{"C", "", "ru_RU.UTF-8", "en"},
		{"C.UTF-8", "", "ru_RU.UTF-8", "en"},
		{"", "", "sr_RS@latin", "sr-RS"},
		{"POSIX", "", "", "en"},
	} {
		t.Setenv("LC_ALL", c.all)
		t.Setenv("LC_MESSAGES", c.messages)
		t.Setenv("LANG", c.lang)
		if got := language(); got != c.want {
			t.Errorf("language() with %q, %q, %q = %q, want %q", c.all, c.messages, c.lang, got, c.want)
		}
	}
}
