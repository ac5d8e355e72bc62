package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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

// httpsMachine is a machine with an HTTPS proxy, and the certificate of its authority.
func httpsMachine(t *testing.T) (m *machine, ca string) {
	t.Helper()
	dir := t.TempDir()
	ca, cert, key := testca.New(t).Files(t, dir, "127.0.0.1")
	return newMachine(t, "", "--https-port", freePort(t), "--tls-cert", cert, "--tls-key", key), ca
}

func greetingSite(t *testing.T) *httptest.Server {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader("hello "), r.Body))
	}))
	t.Cleanup(site.Close)
	return site
}

// Debian's curl uses nothing but the answer of /api/key: by CONNECT and by plain requests.
func TestCurlThroughHTTPSProxy(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl: apt-get install curl")
	}
	m, ca := httpsMachine(t)
	m.addUser("anna@example.com")
	session := m.signIn("anna@example.com", "laptop")
	key := session.key().HTTPS
	if key == nil {
		t.Fatal("the server offers no https")
	}
	site := greetingSite(t)
	curl := func(args ...string) (string, error) {
		args = append([]string{"-sS", "--max-time", "30", "--proxy-cacert", ca, "--noproxy", "", "-w", " %{http_connect} %{http_code}"}, args...)
		out, err := exec.Command("curl", args...).CombinedOutput()
		return string(out), err
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"tunnel":              {[]string{"--proxy", key.URI(), "--proxytunnel", site.URL}, "hello  200 200"},
		"plain":               {[]string{"--proxy", key.URI(), "-d", "world", site.URL}, "hello world 000 200"},
		"after a 407":         {[]string{"--proxy", key.URI(), "--proxy-anyauth", key.ProbeURL}, " 000 204"},
		"anonymous":           {[]string{"--proxy", "https://127.0.0.1:" + strconv.Itoa(key.Port), "--proxytunnel", site.URL}, " 405 000"},
		"anonymous, plain":    {[]string{"--proxy", "https://127.0.0.1:" + strconv.Itoa(key.Port), "-o", "/dev/null", site.URL}, " 000 404"},
		"anonymous, no proxy": {[]string{"--cacert", ca, "-o", "/dev/null", "https://127.0.0.1:" + strconv.Itoa(key.Port) + "/"}, " 000 404"},
	} {
		if out, err := curl(c.args...); !strings.HasSuffix(out, c.want) || (err == nil) == strings.HasSuffix(c.want, "405 000") {
			t.Errorf("%s: %q, %v, want %q", name, out, err, c.want)
		}
	}
}

// `stile connect --protocol https` carries traffic, and goes on with the new key when its key is rotated.
func TestConnectByHTTPS(t *testing.T) {
	m, ca := httpsMachine(t)
	m.addUser("anna@example.com")
	site := greetingSite(t)
	env := append(m.env(), "SSL_CERT_FILE="+ca)
	login := exec.Command(stileBinary, "login", "--api", m.url, "--email", "anna@example.com", "--password-stdin")
	login.Env, login.Stdin = env, strings.NewReader(testPassword+"\n")
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	printed := exec.Command(stileBinary, "key", "--protocol", "https")
	printed.Env = env
	if out, err := printed.Output(); err != nil || !strings.HasPrefix(string(out), "https://") {
		t.Fatalf("stile key: %q, %v", out, err)
	}
	proxy := "127.0.0.1:" + freePort(t)
	connect, log := exec.Command(stileBinary, "connect", "--protocol", "https", "--listen", proxy), new(lockedBuffer)
	connect.Env, connect.Stdout, connect.Stderr = env, log, log
	if err := connect.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connect.Process.Kill(); _ = connect.Wait() })
	m.until("stile connect listens", func() bool { return strings.Contains(log.String(), "Ctrl-C ends it") })

	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: proxy}), DisableKeepAlives: true}
	get := func() string {
		resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Post(site.URL, "", strings.NewReader("world"))
		if err != nil {
			return err.Error()
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	if got := get(); got != "hello world" {
		t.Fatalf("through stile connect: %s\n%s", got, log)
	}
	anna := &device{m: m, token: tokenOfCLI(t, m)}
	anna.rotated(anna.key().ServerID)
	if got := get(); got != "hello world" {
		t.Errorf("after a rotation: %s\n%s", got, log)
	}
}

// tokenOfCLI is the token of the machine's own `stile login`.
func tokenOfCLI(t *testing.T, m *machine) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(m.data, "config", "stile", "session.json"))
	var kept struct{ Token string }
	if err == nil {
		err = json.Unmarshal(raw, &kept)
	}
	if err != nil || kept.Token == "" {
		t.Fatalf("no token: %v", err)
	}
	return kept.Token
}
