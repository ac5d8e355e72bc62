package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stile/store/storetest"
	"stile/wire"
)

// stileBinary is the program as it is shipped, built once for all tests of this package.
var stileBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stile-cli-test-")
	if err != nil {
		panic(err)
	}
	stileBinary = filepath.Join(dir, "stile")
	build := exec.Command("go", "build", "-o", stileBinary, "stile/cmd/stile")
	if out, err := build.CombinedOutput(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// engines are the databases that every story is told on.
func engines(t *testing.T, story func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { story(t, "") })
	t.Run("postgres", func(t *testing.T) { story(t, storetest.Postgres(t)) })
}

// machine is a data directory with the program running on it.
type machine struct {
	t       testing.TB
	data    string
	dsn     string // "" is SQLite
	args    []string
	process *exec.Cmd
	ended   chan struct{}
	url     string
	log     *lockedBuffer
	mu      sync.Mutex
	// within starts a command somewhere else, such as in a network namespace; from there client reaches the API (nil = the usual one).
	within []string
	client *http.Client
	// isMovable: the embedded node's ports are not pinned by a flag.
	isMovable bool
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newMachine prepares a data directory with a plan and starts `stile serve` on it with the given further flags.
func newMachine(t testing.TB, dsn string, args ...string) *machine {
	t.Helper()
	m := &machine{t: t, data: t.TempDir(), dsn: dsn, args: args, log: new(lockedBuffer)}
	m.stile("plan", "add", "standard", "--devices", "1000", "--days", "30", "--tier", "1")
	m.start()
	return m
}

func (m *machine) env() []string {
	env := append(os.Environ(), "STILE_DATA="+m.data, "XDG_CONFIG_HOME="+m.data+"/config")
	if m.dsn != "" {
		env = append(env, "STILE_DATABASE="+m.dsn)
	}
	return env
}

var announcement = regexp.MustCompile(`Serving the API at (https?://\S+)/api`)

// start runs `stile serve` and waits until it is ready.
func (m *machine) start() {
	m.t.Helper()
	args := append([]string{stileBinary, "serve", "--listen", "127.0.0.1:0", "--usage-every", "200ms", "--allow-target", "127.0.0.0/8"}, m.args...)
	if !m.isMovable {
		args = append(args, "--shadowsocks-ports", "0")
	}
	args = append(slices.Clone(m.within), args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = m.env()
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd.Stderr = m.log
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	m.process, m.ended = cmd, ended
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			_, _ = fmt.Fprintln(m.log, lines.Text())
			if match := announcement.FindStringSubmatch(lines.Text()); match != nil {
				found <- match[1]
			}
		}
		_ = cmd.Wait()
		close(ended)
	}()
	m.t.Cleanup(func() { m.kill() })
	select {
	case m.url = <-found:
	case <-ended:
		m.t.Fatalf("stile serve ended:\n%s", m.log)
	case <-time.After(60 * time.Second):
		m.t.Fatalf("stile serve is not ready:\n%s", m.log)
	}
	m.until("the node is online", func() bool {
		resp, err := m.http().Get(m.url + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// http is the client that reaches the machine.
func (m *machine) http() *http.Client {
	if m.client == nil {
		return http.DefaultClient
	}
	return m.client
}

// kill ends the process as a power cut would, if it runs.
func (m *machine) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.process.Process.Kill()
	<-m.ended
}

// stop ends the process as an operator would, and returns its exit code.
func (m *machine) stop() int {
	m.t.Helper()
	if err := m.process.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	select {
	case <-m.ended:
	case <-time.After(60 * time.Second):
		m.t.Fatalf("stile serve does not stop:\n%s", m.log)
	}
	return m.process.ProcessState.ExitCode()
}

// stile runs an operator's command on the machine and returns what it prints.
func (m *machine) stile(args ...string) string {
	m.t.Helper()
	cmd := exec.Command(stileBinary, args...)
	cmd.Env = m.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("stile %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

const testPassword = "correct horse"

// addUser makes an account with a subscription.
func (m *machine) addUser(email string) {
	m.t.Helper()
	cmd := exec.Command(stileBinary, "user", "add", email, "--plan", "standard", "--password-stdin")
	cmd.Env = m.env()
	cmd.Stdin = strings.NewReader(testPassword + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("user add: %v\n%s", err, out)
	}
}

// until waits for something to become true.
func (m *machine) until(what string, check func() bool) {
	m.t.Helper()
	m.untilWithin(time.Minute, what, check)
}

// untilWithin is until that waits for so long at most.
func (m *machine) untilWithin(longest time.Duration, what string, check func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(longest); ; time.Sleep(10 * time.Millisecond) {
		if check() {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("never: %s\n%s", what, m.log)
		}
	}
}

// device is a signed-in client of the API.
type device struct {
	m     *machine
	token string
	id    string
}

// signIn signs a device of an account in.
func (m *machine) signIn(email, name string) *device {
	m.t.Helper()
	d := &device{m: m}
	var answer wire.LoginResponse
	if status := d.post("/api/login", map[string]any{"email": email, "password": testPassword, "device_id": name, "device_name": name}, &answer); status != http.StatusOK {
		m.t.Fatalf("login of %s: %d", email, status)
	}
	d.token, d.id = answer.Token, answer.DeviceID
	return d
}

func (d *device) post(path string, body, answer any) int {
	d.m.t.Helper()
	status, err := d.call(context.Background(), http.MethodPost, path, body, answer)
	if err != nil {
		d.m.t.Fatal(err)
	}
	return status
}

func (d *device) get(path string, answer any) int {
	d.m.t.Helper()
	status, err := d.call(context.Background(), http.MethodGet, path, nil, answer)
	if err != nil {
		d.m.t.Fatal(err)
	}
	return status
}

// call makes one request; the answer is read when its status is 200.
func (d *device) call(ctx context.Context, method, path string, body, answer any) (int, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, d.m.url+path, bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	resp, err := d.m.http().Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || answer == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.NewDecoder(resp.Body).Decode(answer)
}

// key returns the device's key on the first server of the list.
func (d *device) key() wire.IssuedKey {
	d.m.t.Helper()
	var list wire.ServersResponse
	if status := d.post("/api/servers", map[string]any{}, &list); status != http.StatusOK || len(list.Data) == 0 {
		d.m.t.Fatalf("servers: %d, %d of them\n%s", status, len(list.Data), d.m.log)
	}
	return d.ready(map[string]any{"server_id": list.Data[0].ID})
}

// ready asks for a key, and asks again for the one that the node had not confirmed when the service gave up to wait for it.
func (d *device) ready(in map[string]any) wire.IssuedKey {
	d.m.t.Helper()
	var key wire.IssuedKey
	d.m.until("the key is ready", func() bool {
		key = wire.IssuedKey{}
		if status := d.post("/api/key", in, &key); status != http.StatusOK {
			d.m.t.Fatalf("key: %d\n%s", status, d.m.log)
		}
		delete(in, "rotate") // there is a new one
		return key.Ready
	})
	return key
}

// keyOf is key, once the node serves a method.
func (d *device) keyOf(method string) wire.IssuedKey {
	d.m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		switch key := d.key(); {
		case key.Shadowsocks.Method == method:
			return key
		case time.Now().After(deadline):
			d.m.t.Fatalf("the method of the key is %s still\n%s", key.Shadowsocks.Method, d.m.log)
		}
	}
}

// rotated returns a new key of the device on a server.
func (d *device) rotated(server int64) wire.IssuedKey {
	d.m.t.Helper()
	return d.ready(map[string]any{"server_id": server, "rotate": true})
}
