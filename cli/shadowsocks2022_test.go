package cli_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/accesskey"
	"stile/wire"
)

// An operator gives the embedded node's server a method of Shadowsocks 2022. Clients that others wrote, v2fly's, and our
// own then carry with nothing but the answer of /api/key; Outline's are told that they can't.
func TestForeignClient2022(t *testing.T) {
	v2fly := buildClient2022(t)
	m := newMachine(t, "")
	m.addUser("anna@example.com")
	phone := m.signIn("anna@example.com", "phone")
	before := phone.key()
	if before.Shadowsocks.Method != accesskey.MethodAES256GCM || before.DynamicKey == nil {
		t.Fatalf("a server that was asked for nothing: %+v", before)
	}
	if said := m.stile("server", "set", "1", "--method", accesskey.Method2022AES256); !strings.Contains(said, "stile config status") {
		t.Errorf("server set says %q", said)
	}
	key := phone.keyOf(accesskey.Method2022AES256)
	if key.Key != (accesskey.ShadowsocksEndpoint{
		Shadowsocks: accesskey.Shadowsocks{Method: accesskey.Method2022AES256, Password: key.Shadowsocks.Password},
		Host:        key.Shadowsocks.Host, Port: key.Shadowsocks.Port, Name: key.Server.Name,
	}).URI() || key.DynamicKey != nil || key.Shadowsocks.Prefix != nil || key.KeyID != before.KeyID {
		t.Errorf("key %+v, Shadowsocks %+v", key, key.Shadowsocks)
	}
	site := greetingSite(t).URL
	page := v2fly.start(t, key.Shadowsocks)
	if got, err := page(site); err != nil {
		t.Errorf("v2fly's client: %q, %v\n%s", got, err, m.log)
	}
	if err := loadThrough(key.Key, site, time.Minute); err != nil {
		t.Errorf("our client: %v", err)
	}
	_, place, _ := strings.Cut(strings.Split(*before.DynamicKey, "#")[0], "/api/") // the port of the API is another now
	if said := fetch(t, m.url+"/api/"+place); !strings.Contains(said, `"protocol_unavailable"`) {
		t.Errorf("Outline's client is told %s", said)
	}
	var app wire.AppResponse
	if status := phone.get("/api/userApp", &app); status != http.StatusOK || app.SubscriptionURL == nil {
		t.Fatalf("userApp: %d", status)
	}
	for format, want := range map[string]string{
		"outline": `"protocol_unavailable"`, "base64": base64.StdEncoding.EncodeToString([]byte(key.Key + "\n")),
		"clash":    `"cipher":"2022-blake3-aes-256-gcm","password":"` + key.Shadowsocks.Password,
		"sing-box": `"password":"` + key.Shadowsocks.Password,
	} {
		if said := fetch(t, *app.SubscriptionURL+"?format="+format); !strings.Contains(said, want) {
			t.Errorf("%s: %s\nwant %s", format, said, want)
		}
	}
	phone.rotated(key.ServerID)
	if got, err := page(site); err == nil {
		t.Errorf("a key that was replaced carries %q", got)
	}
}

// The same on a machine of its own: the node knows the identity PSK by its door, which it got when it joined.
func TestAJoinedNodeSpeaks2022(t *testing.T) {
	nodes := "127.0.0.1:" + freePort(t)
	m := newMachine(t, "", "--no-node", "--nodes-listen", nodes, "--nodes-url", "https://"+nodes)
	n := m.joinNode([]string{"--ports", freePort(t), "--method", accesskey.Method2022AES128})
	m.addUser("anna@example.com")
	phone := m.signIn("anna@example.com", "phone")
	m.until("the node is listed", func() bool { return len(phone.online()) == 1 })
	key := phone.key()
	site := greetingSite(t).URL
	if got, err := buildClient2022(t).start(t, key.Shadowsocks)(site); err != nil {
		t.Errorf("v2fly's client: %q, %v\n%s", got, err, n.log)
	}
	if identity, _, _ := strings.Cut(key.Shadowsocks.Password, ":"); strings.Contains(n.log.String()+m.log.String(), identity) {
		t.Error("the identity PSK is in a log")
	}
}

// client2022 is v2fly's client as a program.
type client2022 string

func buildClient2022(t *testing.T) client2022 {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "client2022")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join("..", "dataplane", "shadowsocks", "testdata", "client2022")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("v2fly's client cannot be built: %v\n%s", err, output)
	}
	return client2022(binary)
}

// start runs the client with a key's values and returns what loads a page through it.
func (c client2022) start(t *testing.T, key *wire.ShadowsocksKey) func(url string) (string, error) {
	t.Helper()
	identity, user, _ := strings.Cut(key.Password, ":")
	local := freePort(t)
	var output bytes.Buffer
	cmd := exec.Command(string(c), "-local", local, "-server", strconv.Itoa(key.Port), "-method", key.Method, "-identity", identity, "-psk", user)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := net.JoinHostPort("127.0.0.1", local)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("v2fly's client does not listen: %s", output.String())
		}
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: address}), DisableKeepAlives: true,
	}}
	return func(url string) (string, error) {
		resp, err := client.Get(url)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		return string(body), err
	}
}

// fetch returns what an address answers with 200.
func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, resp.StatusCode, err)
	}
	return string(body)
}
