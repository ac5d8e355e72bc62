package extension_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stile/extension"
	"stile/extension/bundle"
)

// browser is a running browser with the extension in it.
type browser interface {
	// open shows a page in a new tab. It does not fail when the page doesn't load.
	open(url string) page
	// extension is the address of the extension's pages, ending in "/".
	extension() string
	// killWorker ends the extension's worker, as a browser does when it is idle.
	killWorker()
}

// page is a tab.
type page interface {
	// eval runs an expression, waits if it is a promise, and returns its value as JSON.
	eval(expression string) (json.RawMessage, error)
	// load goes to another address and waits until that page is there or has failed.
	load(url string)
	// shot is the tab as PNG.
	shot() []byte
	close()
}

// size of the popup, in CSS pixels.
const (
	popupWidth  = 360
	popupHeight = 560
)

// startTime bounds the start of a browser on a busy machine.
const startTime = 90 * time.Second

// unpack writes the extension as it is built now into a directory.
func unpack(t testing.TB, target extension.Target, c extension.Config) string {
	t.Helper()
	built, err := bundle.Build(".")
	if err != nil {
		t.Fatal(err)
	}
	files, err := extension.Assemble(built, target, c)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), string(target))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// program finds an installed browser, or names the Debian package.
func program(t testing.TB, debian string, paths ...string) string {
	t.Helper()
	for _, path := range paths {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not installed: apt-get install %s", paths[0], debian)
	return ""
}

// start runs a browser with an environment of its own and ends it with the test, or when it is told to.
func start(t testing.TB, name, home string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "LANG=C.UTF-8", "MOZ_REMOTE_ALLOW_SYSTEM_ACCESS=1")
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it writes down what it keeps
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
		_ = log.Close()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			if text, err := os.ReadFile(log.Name()); err == nil && testing.Verbose() {
				t.Logf("the browser said:\n%s", tail(string(text), 2000))
			}
		}
	})
	return stop
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// until waits for something to become true.
func until(t testing.TB, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTime); !check(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// value evaluates an expression of a page as a T.
func value[T any](t testing.TB, p page, expression string) T {
	t.Helper()
	raw, err := p.eval(expression)
	var v T
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		t.Fatalf("%s: %v (%s)", expression, err, raw)
	}
	return v
}

// quote writes a string as JavaScript.
func quote(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

// asText is an expression whose value is the JSON of another's: both protocols carry strings alike.
func asText(expression string) string {
	return fmt.Sprintf("(async () => JSON.stringify((await (%s)) ?? null))()", strings.TrimSuffix(expression, ";"))
}
