// Package testbrowser drives Debian's Chromium and Firefox in tests, headless: the one with the DevTools protocol, the other with
// WebDriver BiDi. Both are JSON over a websocket. The browsers have fresh profiles, reach this machine alone and end with the test.
//
// It knows nothing of what it shows.
package testbrowser

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Browser is a running browser, perhaps with an extension in it.
type Browser interface {
	// Open shows a page in a new tab of the size of an extension's popup. It does not fail when the page doesn't come.
	Open(url string) Page
	// Extension is the address of the extension's pages, ending in "/".
	Extension() string
	// KillWorker ends the extension's worker, as a browser does when it is idle.
	KillWorker()
}

// Page is a tab.
type Page interface {
	// Eval runs an expression, waits if it is a promise, and returns its value as JSON. It runs past the page's policy, and
	// as if the user had just done something.
	Eval(expression string) (json.RawMessage, error)
	// Load goes to an address, waits until the tab is at rest and reports whether it got another page.
	Load(url string) bool
	// Shot is what the tab shows, as PNG.
	Shot() []byte
}

// The size of a popup, in CSS pixels.
const (
	PopupWidth  = 360
	PopupHeight = 560
)

// Patience bounds everything that a browser is waited for, on a busy machine.
const Patience = 90 * time.Second

// program finds an installed program, or names the Debian package.
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := mourn(t, cmd.Process.Pid)
	stop = sync.OnceFunc(func() {
		defer over()
		_ = cmd.Process.Signal(syscall.SIGTERM) // it writes down what it keeps
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its helpers write to the profile still
		_ = log.Close()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() && testing.Verbose() {
			if text, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("the browser said:\n%s", text[max(0, len(text)-2000):])
			}
		}
	})
	return stop
}

// mourn kills a process group when this process has ended before it said that the group is over.
func mourn(t testing.TB, group int) (over func()) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `read -r _ || kill -s KILL -- "-$1"`, "mourn", strconv.Itoa(group))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the tests is not for it
	said, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		_, _ = io.WriteString(said, "\n")
		_ = cmd.Wait()
	}
}

// Until waits for something to become true.
func Until(t testing.TB, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !check(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Value evaluates an expression of a page as a T.
func Value[T any](t testing.TB, p Page, expression string) T {
	t.Helper()
	raw, err := p.Eval(expression)
	var v T
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		t.Fatalf("%.200s: %v (%.200s)", expression, err, raw)
	}
	return v
}

// Quote writes a string as JavaScript.
func Quote(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

// asText is an expression whose value is the JSON of another's: both protocols carry strings alike.
func asText(expression string) string {
	return fmt.Sprintf("(async () => JSON.stringify((await (%s)) ?? null))()", strings.TrimSuffix(expression, ";"))
}
