package cli_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/accesskey"
	"stile/internal/testport"
	"stile/wire"
)

// A client that somebody else wrote, Debian's ss-local, is configured from nothing but the answer of /api/key.
func TestForeignClient(t *testing.T) {
	m := newMachine(t, "")
	m.addUser("anna@example.com")
	key := m.signIn("anna@example.com", "phone").key()
	socks := startSSLocal(t, key.Shadowsocks)

	page := make([]byte, 100<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(page)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page)
	}))
	defer site.Close()
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: socks})}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	hash := sha256.New()
	if n, err := io.Copy(hash, resp.Body); err != nil || n != int64(len(page)) {
		t.Fatalf("%d bytes: %v", n, err)
	}
	if want := sha256.Sum256(page); !bytes.Equal(hash.Sum(nil), want[:]) {
		t.Error("the page arrived damaged")
	}
}

// startSSLocal runs ss-local with a key's values and returns the address of its SOCKS proxy.
func startSSLocal(t *testing.T, key *wire.ShadowsocksKey) string {
	t.Helper()
	path, err := exec.LookPath("ss-local")
	if err != nil {
		t.Fatal("this test needs ss-local: apt-get install shadowsocks-libev")
	}
	port := freePort(t)
	cmd := exec.Command(path, "-s", key.Host, "-p", strconv.Itoa(key.Port), "-k", key.Password, "-m", key.Method, "-b", "127.0.0.1", "-l", port, "-u")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := net.JoinHostPort("127.0.0.1", port)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil { // it opens its socket for datagrams later than this one, but before it answers
			_, _ = conn.Write([]byte{5, 1, 0})
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			_, err = io.ReadFull(conn, make([]byte, 2))
			_ = conn.Close()
		}
		if err == nil {
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("ss-local does not listen: %v", err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(testport.Free(t, 1))
}

// Datagrams come back through the same client.
func TestForeignClientUDP(t *testing.T) {
	m := newMachine(t, "")
	m.addUser("anna@example.com")
	socks := startSSLocal(t, m.signIn("anna@example.com", "phone").key().Shadowsocks)
	echo, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echo.Close() }()
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := echo.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(buf[:n], from)
		}
	}()
	conn, err := net.Dial("udp", socks)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	to := echo.LocalAddr().(*net.UDPAddr)
	// RFC 1928, section 7: two reserved bytes, no fragment, an IPv4 address, a port.
	header := append([]byte{0, 0, 0, 1}, to.IP.To4()...)
	header = binary.BigEndian.AppendUint16(header, uint16(to.Port))
	buf := make([]byte, 2048)
	for i := range 20 {
		want := fmt.Sprintf("datagram %d", i)
		if _, err := conn.Write(append(header, want...)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := conn.Read(buf)
		if err != nil || n < len(header) || string(buf[len(header):n]) != want {
			t.Fatalf("%q came back as %q: %v", want, buf[:n], err)
		}
	}
}

// The same client is configured from nothing but a device's subscription link, and its key is dead when the device is removed.
func TestForeignClientFromSubscription(t *testing.T) {
	m := newMachine(t, "")
	m.addUser("anna@example.com")
	phone := m.signIn("anna@example.com", "phone")
	var app wire.AppResponse
	if status := phone.get("/api/userApp", &app); status != http.StatusOK || app.SubscriptionURL == nil {
		t.Fatalf("userApp: %d, %v", status, app.SubscriptionURL)
	}
	read := func() (int, string) {
		t.Helper()
		resp, err := http.Get(*app.SubscriptionURL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	_, body := read()
	links, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	link, _, _ := strings.Cut(string(links), "\n")
	endpoint, err := accesskey.ParseShadowsocks(link)
	if err != nil {
		t.Fatal(err)
	}
	socks := startSSLocal(t, &wire.ShadowsocksKey{Host: endpoint.Host, Port: endpoint.Port, Password: endpoint.Password, Method: endpoint.Method})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") }))
	defer site.Close()
	page := func() (string, error) {
		client := http.Client{Timeout: time.Minute, Transport: &http.Transport{
			Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: socks}), DisableKeepAlives: true,
		}}
		resp, err := client.Get(site.URL)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	if got, err := page(); err != nil || got != "the page" {
		t.Fatalf("%q: %v", got, err)
	}
	if status, err := phone.call(t.Context(), http.MethodDelete, "/api/devices/"+strconv.FormatInt(app.Device.ID, 10), nil, nil); err != nil || status != http.StatusOK {
		t.Fatalf("removal: %d %v", status, err)
	}
	if status, _ := read(); status != http.StatusNotFound {
		t.Errorf("the link of a removed device: %d", status)
	}
	if got, err := page(); err == nil {
		t.Errorf("the key of a removed device carries %q", got)
	}
	if secret := (*app.SubscriptionURL)[len(*app.SubscriptionURL)-22:]; strings.Contains(m.log.String(), secret) {
		t.Error("the link is in the log")
	}
}
