package cli_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stile/internal/testca"
)

// Chromium opens the probe first, is asked for the credentials there, and keeps them for every site: over HTTPS, whose
// tunnel is a CONNECT in HTTP/2, and over HTTP.
func TestChromiumThroughHTTPSProxy(t *testing.T) {
	dir := t.TempDir()
	authority := testca.New(t)
	_, cert, key := authority.Files(t, dir, "127.0.0.1")
	m := newMachine(t, "", "--https-port", freePort(t), "--tls-cert", cert, "--tls-key", key)
	m.addUser("anna@example.com")
	credential := m.signIn("anna@example.com", "laptop").key().HTTPS

	var asked atomic.Int64
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "<p>hello from "+r.Host+"</p>")
	})
	plain, secure := httptest.NewServer(page), httptest.NewUnstartedServer(page)
	defer plain.Close()
	secure.TLS = authority.Server(t, "127.0.0.1")
	secure.StartTLS()
	defer secure.Close()

	proxy, err := testca.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := startChromium(t, "--proxy-server=https://127.0.0.1:"+strconv.Itoa(credential.Port), "--proxy-bypass-list=<-loopback>",
		"--ignore-certificate-errors-spki-list="+testca.Pin(proxy)+","+testca.Pin(secure.TLS))
	if text := c.visit(secure.URL); strings.Contains(text, "hello") || c.challenges != 0 {
		t.Errorf("before the probe: %q, %d challenges", text, c.challenges)
	}
	c.username, c.password = credential.Username, credential.Password
	c.visit(credential.ProbeURL) // answers 204: there is nothing to show
	if c.challenges != 1 {
		t.Fatalf("%d challenges at the probe, want 1", c.challenges)
	}
	for _, site := range []string{secure.URL, plain.URL} {
		if text := c.visit(site); text != "hello from "+site[strings.Index(site, "//")+2:] {
			t.Errorf("%s: %q", site, text)
		}
	}
	if c.challenges != 1 {
		t.Errorf("%d challenges in all, want 1: the browser keeps the credentials", c.challenges)
	}
	if asked.Load() < 2 {
		t.Errorf("the sites were asked %d times", asked.Load())
	}
}

// chromium is a headless browser, driven over the pipe of its debugging protocol.
type chromium struct {
	t                  *testing.T
	in                 *bufio.Reader
	out                io.Writer
	session            string
	calls              int
	username, password string
	challenges         int
}

func startChromium(t *testing.T, flags ...string) *chromium {
	t.Helper()
	const path = "/usr/lib/chromium/chromium"
	if _, err := os.Stat(path); err != nil {
		t.Fatal("this test needs Chromium: apt-get install chromium")
	}
	toRead, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, toWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--gaia-url=http://127.0.0.1:9/", "--user-data-dir=" + t.TempDir(),
		"--remote-debugging-pipe",
	}, flags...)...)
	cmd.ExtraFiles = []*os.File{toRead, toWrite} // 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = toRead.Close()
	_ = toWrite.Close()
	watch := time.AfterFunc(2*time.Minute, func() { _ = in.Close() })
	t.Cleanup(func() {
		watch.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = out.Close()
		_ = in.Close()
	})
	c := &chromium{t: t, in: bufio.NewReader(in), out: out}
	target := c.call("Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	c.session, _ = c.call("Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})["sessionId"].(string)
	c.call("Page.enable", nil)
	c.call("Fetch.enable", map[string]any{"handleAuthRequests": true})
	return c
}

// message is one of the debugging protocol: an answer, or an event.
type message struct {
	ID     int            `json:"id"`
	Method string         `json:"method"`
	Params map[string]any `json:"params"`
	Result map[string]any `json:"result"`
	Error  map[string]any `json:"error"`
}

func (c *chromium) send(method string, params any) int {
	c.t.Helper()
	c.calls++
	raw, err := json.Marshal(map[string]any{"id": c.calls, "method": method, "params": params, "sessionId": c.session})
	if err == nil && c.session == "" {
		raw, err = json.Marshal(map[string]any{"id": c.calls, "method": method, "params": params})
	}
	if err == nil {
		_, err = c.out.Write(append(raw, 0))
	}
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	return c.calls
}

// next reads a message, and lets paused requests go on.
func (c *chromium) next() message {
	c.t.Helper()
	raw, err := c.in.ReadBytes(0)
	if err != nil {
		c.t.Fatalf("Chromium is gone: %v", err)
	}
	var m message
	if err := json.Unmarshal(raw[:len(raw)-1], &m); err != nil {
		c.t.Fatal(err)
	}
	switch m.Method {
	case "Fetch.requestPaused":
		c.send("Fetch.continueRequest", map[string]any{"requestId": m.Params["requestId"]})
	case "Fetch.authRequired":
		c.challenges++
		c.send("Fetch.continueWithAuth", map[string]any{"requestId": m.Params["requestId"], "authChallengeResponse": map[string]any{
			"response": "ProvideCredentials", "username": c.username, "password": c.password,
		}})
	}
	return m
}

// call waits for the answer of a command.
func (c *chromium) call(method string, params any) map[string]any {
	c.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	for id := c.send(method, params); ; {
		if m := c.next(); m.ID == id {
			if m.Error != nil {
				c.t.Fatalf("%s: %v", method, m.Error)
			}
			return m.Result
		}
	}
}

// visit opens an address and returns the text of the page, "" when there is none.
func (c *chromium) visit(address string) string {
	c.t.Helper()
	if _, err := url.Parse(address); err != nil {
		c.t.Fatal(err)
	}
	if reason := c.call("Page.navigate", map[string]any{"url": address})["errorText"]; reason != nil && reason != "" {
		return ""
	}
	for loaded := false; !loaded; {
		loaded = c.next().Method == "Page.loadEventFired"
	}
	result, _ := c.call("Runtime.evaluate", map[string]any{"expression": "document.body.innerText"})["result"].(map[string]any)
	text, _ := result["value"].(string)
	return text
}
