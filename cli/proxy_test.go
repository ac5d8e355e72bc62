package cli_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/internal/testca"
)

// proxyHost is the service's name in doc/operations.md.
const proxyHost = "vpn.example.net"

// frontProxy is a proxy that others wrote, with the configuration that doc/operations.md gives to paste.
type frontProxy struct {
	language string // of the block in the document
	// change replaces what a test can't have: pairs of old and new.
	change func(f *front) []string
	// command starts it on the block as changed.
	command func(t *testing.T, f *front, block string) *exec.Cmd
	// waits: a request waits while Stile starts anew.
	waits bool
}

// front is what a proxy is given.
type front struct{ dir, cert, key, backend, address string }

var frontProxies = []frontProxy{
	{language: "nginx",
		change: func(f *front) []string {
			return []string{
				"listen 80;", "listen unix:" + f.dir + "/http;", "\tlisten [::]:80;\n", "",
				"listen 443 ssl http2;", "listen " + f.address + " ssl http2;", "\tlisten [::]:443 ssl http2;\n", "",
				"/etc/letsencrypt/live/vpn.example.net/fullchain.pem", f.cert, "/etc/letsencrypt/live/vpn.example.net/privkey.pem", f.key,
				"/var/log/nginx/stile.log", f.dir + "/error.log",
			}
		},
		command: func(t *testing.T, f *front, block string) *exec.Cmd {
			temporary := ""
			for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				temporary += of + "_temp_path " + f.dir + "/" + of + "; "
			}
			user := ""
			if os.Getuid() == 0 { // else its workers could not enter the directory
				user = "user root; "
			}
			file := writeFile(t, f.dir, "nginx.conf", user+"daemon off; worker_processes 1; pid "+f.dir+"/pid; events {} http { "+temporary+"\n"+block+"}\n")
			return exec.Command("/usr/sbin/nginx", "-e", "stderr", "-c", file)
		}},
	{language: "caddyfile", waits: true,
		change: func(f *front) []string {
			_, port, _ := net.SplitHostPort(f.address)
			return []string{
				"{\n\tlog default {", "{\n\tauto_https off\n\tadmin off\n\tlog default {",
				"lb_try_duration 10s", "lb_try_duration 60s", // as long as a busy machine may take
				"vpn.example.net {\n", "https://vpn.example.net:" + port + " {\n\tbind 127.0.0.1\n\ttls " + f.cert + " " + f.key + "\n",
			}
		},
		command: func(t *testing.T, f *front, block string) *exec.Cmd {
			cmd := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", writeFile(t, f.dir, "Caddyfile", block))
			cmd.Env = append(os.Environ(), "HOME="+f.dir, "XDG_CONFIG_HOME="+f.dir, "XDG_DATA_HOME="+f.dir)
			return cmd
		}},
}

// What the document gives to paste puts a proxy in front of the program as it should be: pages and their cookies are the
// service's, what is live comes at once, and users have their own addresses, whatever they claim.
func TestProxiesInFront(t *testing.T) {
	for _, p := range frontProxies {
		t.Run(p.language, func(t *testing.T) {
			ca, f := testca.New(t), &front{dir: t.TempDir(), backend: net.JoinHostPort("127.0.0.1", freePort(t)), address: net.JoinHostPort("127.0.0.1", freePort(t))}
			_, f.cert, f.key = ca.Files(t, f.dir, proxyHost)
			p.start(t, f)
			m := &machine{t: t, data: t.TempDir(), log: new(lockedBuffer), client: f.client(t, ca, "127.0.0.2"),
				args: []string{"--listen", f.backend, "--public-url", "https://" + proxyHost, "--trusted-proxy", "127.0.0.1/32", "--sign-in-failures", "1"}}
			m.stile("plan", "add", "standard")
			m.start()
			m.addUser("user@example.com")
			checkPages(t, m)
			checkThrottle(t, m, f.client(t, ca, "127.0.0.3"))
			if p.waits {
				checkRestart(t, m)
			} else {
				checkSilence(t, m, f)
			}
		})
	}
}

// start runs the proxy until the test ends.
func (p *frontProxy) start(t *testing.T, f *front) {
	t.Helper()
	block := pasted(t, "../doc/operations.md", p.language)
	for change := append(p.change(f), "127.0.0.1:8000", f.backend); len(change) > 0; change = change[2:] {
		if !strings.Contains(block, change[0]) {
			t.Fatalf("the document's block has no %q:\n%s", change[0], block)
		}
		block = strings.ReplaceAll(block, change[0], change[1])
	}
	cmd, said := p.command(t, f, block), new(lockedBuffer)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run tools/deps", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("it said:\n%s", said)
		}
	})
}

// client reaches the proxy by the service's name, from an address of its own.
func (f *front) client(t *testing.T, ca *testca.CA, from string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		TLSClientConfig: ca.Client(), ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", f.address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

// checkPages signs in as a browser does, and looks at a page that goes on.
func checkPages(t *testing.T, m *machine) {
	t.Helper()
	form := url.Values{"email": {"user@example.com"}, "password": {testPassword}}
	req, err := http.NewRequest(http.MethodPost, m.url+"/signin", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://" + proxyHost, "Sec-Fetch-Site": "same-origin"} {
		req.Header.Set(name, value)
	}
	signedIn, err := m.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = signedIn.Body.Close()
	if at := signedIn.Request.URL.String(); signedIn.StatusCode != http.StatusOK || at != "https://"+proxyHost+"/account" || signedIn.ProtoMajor != 2 {
		t.Errorf("signing in ends at %s: %s over %s", at, signedIn.Status, signedIn.Proto)
	}
	if cookies := m.client.Jar.Cookies(req.URL); len(cookies) != 1 || !strings.HasPrefix(cookies[0].Name, "__Host-") {
		t.Errorf("cookies: %v", cookies)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err = http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/account/servers/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	live, err := m.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Body.Close()
	lines := bufio.NewScanner(live.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data:") {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("nothing came while the answer went on: %v", err)
	}
}

// checkThrottle guesses a password from one address that claims to be others, and then from another one.
func checkThrottle(t *testing.T, m *machine, other *http.Client) {
	t.Helper()
	guess := func(client *http.Client, claim string) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, m.url+"/api/login", strings.NewReader(`{"email":"user@example.com","password":"wrong","device_id":"d","device_name":"d"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Forwarded-For", claim)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	statuses := []int{}
	for i := range 4 { // a minute may begin in between
		statuses = append(statuses, guess(m.client, fmt.Sprintf("192.0.2.%d", i)))
	}
	if last := statuses[len(statuses)-1]; last != http.StatusTooManyRequests {
		t.Errorf("claimed addresses count: %v", statuses)
	}
	if status := guess(other, "127.0.0.2"); status != http.StatusUnauthorized {
		t.Errorf("another address is answered %d", status)
	}
}

// checkRestart asks while the program is stopped, and starts it.
func checkRestart(t *testing.T, m *machine) {
	t.Helper()
	if code := m.stop(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, m.log)
	}
	answered := make(chan string, 1)
	go func() {
		resp, err := m.client.Get(m.url + "/openapi.yaml")
		if err != nil {
			answered <- err.Error()
			return
		}
		_ = resp.Body.Close()
		answered <- strconv.Itoa(resp.StatusCode)
	}()
	m.start()
	if got := <-answered; got != "200" {
		t.Errorf("a request during a restart: %s", got)
	}
}

// checkSilence asks for a secret path while the program is stopped, of which the proxy is to keep nothing.
func checkSilence(t *testing.T, m *machine, f *front) {
	t.Helper()
	if code := m.stop(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, m.log)
	}
	resp, err := m.client.Get(m.url + "/sub/secret")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway {
		t.Errorf("without the program the proxy answers %s", resp.Status)
	}
	if raw, err := os.ReadFile(filepath.Join(f.dir, "error.log")); err != nil || len(raw) > 0 {
		t.Errorf("the proxy wrote down: %s, %v", raw, err)
	}
}

// pasted is the first block of a language in a document.
func pasted(t *testing.T, path, language string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "```"+language+"\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("%s has no block of %s", path, language)
	}
	return block
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
