package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal: what a person sees and types at, and what the program has.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// screen is all that a person has seen.
type screen struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *screen) watch(person io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := person.Read(buf)
		s.mu.Lock()
		s.seen.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.text(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q does not come up on the screen, which shows %q", text, s.text())
		}
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	got := make(chan string, 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"token":"7|good","device_id":"6"}`)
	}))
	defer api.Close()
	person, program := openTerminal(t)
	var shown screen
	go shown.watch(person)
	terminal := &Terminal{In: program, Out: program, Err: program}
	if !terminal.isLive() {
		t.Error("a terminal is not recognised as one")
	}
	ended := make(chan error, 1)
	go func() { ended <- (&LoginCmd{API: api.URL}).Run(context.Background(), terminal) }()
	shown.await(t, "E-mail: ")
	fmt.Fprint(person, "ivan@example.com\n")
	shown.await(t, "Password: ")
	// The echo is switched off after the question is written: wait for the switch, as a person's slowness does.
	for {
		state, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if state.Lflag&unix.ECHO == 0 {
			break
		}
	}
	fmt.Fprint(person, "hunter2\n")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if body := <-got; !strings.Contains(body, `"email":"ivan@example.com","password":"hunter2"`) {
		t.Errorf("sent %s", body)
	}
	shown.await(t, "Signed in")
	if strings.Contains(shown.text(), "hunter2") || !strings.Contains(shown.text(), "ivan@example.com") {
		t.Errorf("the screen shows %q", shown.text())
	}
}
