package cli_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stile/internal/testca"
)

// Firefox carries a page over HTTP; its credentials come from its own password store.
func TestFirefoxThroughHTTPSProxy(t *testing.T) {
	dir := t.TempDir()
	authority := testca.New(t)
	root, cert, key := authority.Files(t, dir, "127.0.0.1")
	m := newMachine(t, "", "--https-port", freePort(t), "--tls-cert", cert, "--tls-key", key)
	m.addUser("anna@example.com")
	credential := m.signIn("anna@example.com", "laptop").key().HTTPS

	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<p>hello from "+r.Host+"</p>") })
	plain := httptest.NewServer(page)
	defer plain.Close()

	f := startFirefox(t, credential.Port)
	f.trustAuthority(root)
	if text, err := f.visit(plain.URL); err == nil && strings.Contains(text, "hello") {
		t.Errorf("before it has credentials: %q", text)
	}
	f.trust(credential.Port, credential.Username, credential.Password, credential.Realm)
	_, _ = f.visit(credential.ProbeURL) // answers 204: there is nothing to show
	text, err := f.visit(plain.URL)
	if want := "hello from " + plain.Listener.Addr().String(); err != nil || text != want {
		t.Errorf("%q, %v", text, err)
	}
}

// firefox is a headless browser, driven by Marionette: JSON with its length before it.
type firefox struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Reader
	calls int
}

func startFirefox(t *testing.T, proxyPort int) *firefox {
	t.Helper()
	path, err := exec.LookPath("firefox-esr")
	if err != nil {
		t.Fatal("this test needs Firefox: apt-get install firefox-esr")
	}
	profile, port := t.TempDir(), freePort(t)
	prefs := map[string]any{
		"marionette.port": json.Number(port), "network.proxy.type": 2, "signon.autologin.proxy": true,
		"network.proxy.autoconfig_url":            fmt.Sprintf("data:,function FindProxyForURL(){return 'HTTPS 127.0.0.1:%d'}", proxyPort),
		"network.proxy.allow_hijacking_localhost": true, "network.captive-portal-service.enabled": false,
		"network.connectivity-service.enabled": false, "app.update.enabled": false, "dom.security.https_first": false,
		"datareporting.policy.dataSubmissionEnabled": false, "browser.safebrowsing.downloads.remote.enabled": false,
		"services.settings.server": "http://127.0.0.1:9/",
	}
	var lines strings.Builder
	for name, value := range prefs {
		raw, _ := json.Marshal(value)
		fmt.Fprintf(&lines, "user_pref(%q, %s);\n", name, raw)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--marionette", "--remote-allow-system-access")
	cmd.Env = append(os.Environ(), "HOME="+profile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	f := &firefox{t: t}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if f.conn, err = net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("Firefox does not listen")
		}
	}
	t.Cleanup(func() { _ = f.conn.Close() })
	_ = f.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	f.in = bufio.NewReader(f.conn)
	if _, err := f.read(); err != nil {
		t.Fatal(err)
	}
	f.must("WebDriver:NewSession", map[string]any{"pageLoadStrategy": "normal", "unhandledPromptBehavior": "dismiss"})
	f.must("WebDriver:SetTimeouts", map[string]any{"pageLoad": 15000})
	return f
}

// read reads one packet.
func (f *firefox) read() (json.RawMessage, error) {
	length, err := f.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		return nil, err
	}
	raw := make([]byte, n)
	_, err = io.ReadFull(f.in, raw)
	return raw, err
}

// call runs a command: [0, id, name, parameters] is answered by [1, id, error, result].
func (f *firefox) call(name string, params map[string]any) (json.RawMessage, error) {
	f.calls++
	raw, err := json.Marshal([]any{0, f.calls, name, params})
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(raw), raw); err != nil {
		return nil, err
	}
	answer, err := f.read()
	if err != nil {
		f.t.Fatalf("%s: Firefox is gone: %v", name, err)
	}
	var parts [4]json.RawMessage
	if err := json.Unmarshal(answer, &parts); err != nil {
		return nil, err
	}
	if string(parts[2]) != "null" {
		return nil, fmt.Errorf("%s: %s", name, parts[2])
	}
	return parts[3], nil
}

func (f *firefox) must(name string, params map[string]any) json.RawMessage {
	f.t.Helper()
	result, err := f.call(name, params)
	if err != nil {
		f.t.Fatal(err)
	}
	return result
}

// trustAuthority adds the certificate of an authority.
func (f *firefox) trustAuthority(file string) {
	f.t.Helper()
	raw, err := os.ReadFile(file)
	block, _ := pem.Decode(raw)
	if err != nil || block == nil {
		f.t.Fatal(err)
	}
	f.inBrowser(`Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(arguments[0], "CT,,");
		arguments[1](true);`, base64.StdEncoding.EncodeToString(block.Bytes))
}

// inBrowser runs a script with the rights of the browser; it ends by calling its last argument.
func (f *firefox) inBrowser(script string, args ...any) {
	f.t.Helper()
	f.must("Marionette:SetContext", map[string]any{"value": "chrome"})
	f.must("WebDriver:ExecuteAsyncScript", map[string]any{"script": script, "args": args})
	f.must("Marionette:SetContext", map[string]any{"value": "content"})
}

// trust keeps the credentials of the proxy in the browser's password store.
func (f *firefox) trust(port int, username, password, realm string) {
	f.t.Helper()
	f.inBrowser(`const [origin, realm, username, password, done] = arguments;
			const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
			login.init(origin, null, realm, username, password, "", "");
			Services.logins.addLoginAsync(login).then(() => done(true), e => done(String(e)));`,
		fmt.Sprintf("moz-proxy://127.0.0.1:%d", port), realm, username, password)
}

// visit opens an address and returns the text of the page.
func (f *firefox) visit(address string) (string, error) {
	if _, err := f.call("WebDriver:Navigate", map[string]any{"url": address}); err != nil {
		return "", err
	}
	raw, err := f.call("WebDriver:ExecuteScript", map[string]any{"script": "return document.body.innerText", "args": []any{}})
	if err != nil {
		return "", err
	}
	var text struct{ Value string }
	err = json.Unmarshal(raw, &text)
	return text.Value, err
}
