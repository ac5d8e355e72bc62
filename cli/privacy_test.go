package cli_test

import (
	"bytes"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stile/client"
	"stile/internal/testca"
	"stile/wire"
)

// The canaries: where a user comes from and where the user goes. No other part of the tests uses these addresses.
const (
	canarySource      = "127.83.71.59"
	canaryDestination = "127.93.41.37"
	canaryName        = "canary-destination.test"
)

// After every flow, neither the user's address nor the destination is anywhere in what the service keeps or says, and
// its metrics tell nobody apart.
func TestPrivacy(t *testing.T) {
	m := newMachine(t, "", "--log-level", "debug", "--metrics-listen", "127.0.0.1:0")
	m.addUser("user@example.com")
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	useSource(t)
	d := m.signIn("user@example.com", "laptop")
	d.post("/api/login", map[string]any{"email": "user@example.com", "password": "wrong", "device_id": "x", "device_name": "x"}, nil)
	for _, path := range []string{"/api/user", "/api/subscription", "/api/userApp", "/api/nope"} {
		d.get(path, nil)
	}
	browse(t, m.url)
	key := d.key()
	listener, err := net.Listen("tcp", canaryDestination+":0")
	if err != nil {
		t.Fatal(err)
	}
	site := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 1<<20))
	})}}
	site.Start()
	defer site.Close()
	tunnel, err := client.NewTunnel(key.Key)
	if err != nil {
		t.Fatal(err)
	}
	through := &http.Client{Transport: &http.Transport{DialContext: tunnel.DialContext, DisableKeepAlives: true}}
	resp, err := through.Get(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp, err := through.Get((&url.URL{Scheme: "http", Host: canaryName}).String()); err == nil {
		_ = resp.Body.Close()
	}
	m.until("the traffic is booked", func() bool {
		var me struct {
			Traffic struct {
				Used int64 `json:"used_bytes"`
			} `json:"traffic"`
		}
		d.get("/api/subscription", &me)
		return me.Traffic.Used > 1<<20
	})
	canaries := canaryForms()
	search := func(when string) {
		for form, needle := range canaries {
			if bytes.Contains([]byte(m.log.String()), needle) {
				t.Errorf("%s: the log names the canary (%s)", when, form)
			}
		}
		searchFiles(t, when, m.data, canaries)
	}
	search("while it runs")
	samples := m.scrape()
	checkLabels(t, samples)
	if total(samples, "stile_node_traffic_bytes_total", "direction", "down") < 1<<20 || total(samples, "stile_usage_reports_total", "outcome", "booked") < 1 {
		t.Error("the metrics do not count the traffic")
	}
	_, text := m.monitored("/metrics")
	for what, needle := range map[string]string{
		"e-mail": "user@", "device": "laptop", "token": d.token, "seed": key.Shadowsocks.Password, "host": key.Shadowsocks.Host, "target": listener.Addr().String(),
	} {
		if needle == "" || strings.Contains(text, needle) {
			t.Errorf("the metrics hold the %s %q", what, needle)
		}
	}
	for form, needle := range canaries {
		if strings.Contains(text, string(needle)) {
			t.Errorf("the metrics name the canary (%s)", form)
		}
	}
	d.post("/api/logout", nil, nil)
	if code := m.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	search("after it stopped")
}

// The same for a node on another machine: neither its directory and log nor the control plane's hold the user's address
// or the destination, by Shadowsocks and by the HTTPS proxy, also where a destination does not answer.
func TestPrivacyOfJoinedNodes(t *testing.T) {
	metrics := "127.0.0.1:" + freePort(t)
	_, cert, certKey := testca.New(t).Files(t, t.TempDir(), "127.0.0.1")
	nodes := freePort(t)
	m := newMachine(t, "", "--no-node", "--nodes-listen", "127.0.0.1:"+nodes, "--log-level", "debug")
	n := m.joinNode([]string{"--ports", freePort(t), "--https-port", freePort(t)}, "--tls-cert", cert, "--tls-key", certKey, "--metrics-listen", metrics)
	m.addUser("user@example.com")
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	useSource(t)
	d := m.signIn("user@example.com", "laptop")
	m.until("the node is listed", func() bool { return len(d.online()) == 1 })
	key := d.key()
	listener, err := net.Listen("tcp", canaryDestination+":0")
	if err != nil {
		t.Fatal(err)
	}
	site := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 1<<20))
	})}}
	site.Start()
	defer site.Close()

	shadowsocks := net.JoinHostPort("127.0.0.1", strconv.Itoa(key.Shadowsocks.Port))
	entry := newForwarder(t, func() (net.Conn, error) {
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(canarySource)}}).Dial("tcp", shadowsocks)
	})
	uri := strings.Replace(key.Key, shadowsocks, entry.address, 1)
	if err := loadThrough(uri, site.URL, time.Minute); err != nil || uri == key.Key {
		t.Fatalf("from the canary's address: %v\n%s", err, n.log)
	}
	_ = loadThrough(uri, "http://"+canaryName, 5*time.Second)           // does not resolve
	_ = loadThrough(uri, "http://"+canaryDestination+":1", time.Second) // refuses
	for _, to := range []string{site.URL, "http://" + canaryName, "http://" + canaryDestination + ":1"} {
		out, err := exec.Command("curl", "-sS", "--max-time", "10", "--interface", canarySource, "--proxy-insecure", "--proxy", key.HTTPS.URI(),
			"--noproxy", "", "--proxytunnel", "-o", "/dev/null", to).CombinedOutput()
		if to == site.URL && err != nil {
			t.Fatalf("Debian's curl: %v\n%s", err, out)
		}
	}
	m.until("the traffic of both is booked", func() bool {
		var me wire.SubscriptionResponse
		d.get("/api/subscription", &me)
		return me.Traffic.UsedBytes > 2<<20
	})
	resp, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || !bytes.Contains(said, []byte("stile_node_traffic_bytes_total")) {
		t.Fatalf("the node's metrics: %v\n%s", err, said)
	}
	canaries := canaryForms()
	search := func(when string) {
		for form, needle := range canaries {
			for what, text := range map[string]string{"the node's log": n.log.String(), "the log": m.log.String(), "the node's metrics": string(said)} {
				if bytes.Contains([]byte(text), needle) {
					t.Errorf("%s: the canary is in %s (%s)", when, what, form)
				}
			}
		}
		searchFiles(t, when, n.data, canaries)
		searchFiles(t, when, m.data, canaries)
	}
	search("while it runs")
	d.post("/api/logout", nil, nil)
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-n.ended
	if code := m.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	search("after it stopped")
}

// browse signs in to the dashboard from the canary's address, once wrongly, looks around, and leaves a session there.
func browse(t *testing.T, base string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: http.DefaultClient.Transport}
	for _, password := range []string{"wrong", testPassword} {
		resp, err := browser.PostForm(base+"/signin", url.Values{"email": {"user@example.com"}, "password": {password}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	for _, path := range []string{"/account", "/account/devices", "/account/servers", "/account/settings", "/account/export", "/docs", "/nope"} {
		resp, err := browser.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK && path != "/nope" || resp.Request.URL.Path != path {
			t.Errorf("%s leads to %s: %d", path, resp.Request.URL.Path, resp.StatusCode)
		}
	}
}

// useSource lets the requests of this test come from the canary's address.
func useSource(t *testing.T) {
	t.Helper()
	old := http.DefaultClient.Transport
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(canarySource)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	http.DefaultClient.Transport = transport
	t.Cleanup(func() { transport.CloseIdleConnections(); http.DefaultClient.Transport = old })
}

// canaryForms are the ways in which an address or a name could be written down.
func canaryForms() map[string][]byte {
	forms := map[string][]byte{"name": []byte(canaryName)}
	for what, address := range map[string]string{"source": canarySource, "destination": canaryDestination} {
		ip := net.ParseIP(address)
		forms[what+", text"] = []byte(address)
		forms[what+", 4 bytes"] = ip.To4()
		forms[what+", 16 bytes"] = ip.To16()
	}
	return forms
}

func searchFiles(t *testing.T, when, dir string, canaries map[string][]byte) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for form, needle := range canaries {
			if bytes.Contains(raw, needle) {
				t.Errorf("%s: %s holds the canary (%s)", when, filepath.Base(path), form)
			}
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("%s: searched %d files: %v", when, files, err)
	}
}
