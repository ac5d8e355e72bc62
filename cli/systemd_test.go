package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemd hears what the program says of itself: ready when it answers, alive while it runs, stopping when it is asked to.
func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	hear := func(patience time.Duration) string {
		var b [100]byte
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		n, _ := conn.Read(b[:])
		return string(b[:n])
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "600000")
	m := newMachine(t, "")
	if got := hear(time.Minute); got != "READY=1" {
		t.Fatalf("%q first", got)
	}
	if resp, err := http.Get(m.url + "/readyz"); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("ready before it answers: %v", err)
	}
	for range 3 {
		if got := hear(time.Minute); got != "WATCHDOG=1" {
			t.Errorf("%q while it runs", got)
		}
	}
	if err := m.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for hear(300*time.Millisecond) != "" { // said before it hung
	}
	if got := hear(time.Second); got != "" {
		t.Errorf("%q from a process that hangs", got)
	}
	if err := m.process.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := hear(time.Minute); got != "WATCHDOG=1" {
		t.Errorf("%q after it went on", got)
	}
	if code := m.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var last string
	for got := hear(time.Minute); got != "" && last != "STOPPING=1"; got = hear(time.Second) {
		last = got
	}
	if last != "STOPPING=1" {
		t.Errorf("%q at the end", last)
	}
}

// maxExposure is what `systemd-analyze security` may say of our units, times ten: 0 is closed, 100 is open.
const maxExposure = "15"

// systemd takes the units as they are and finds little that they could do, and the program takes their flags.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("systemd-analyze is missing: install the Debian package systemd, or run `make deps`")
	}
	units, err := filepath.Glob("../deploy/*.service")
	if err != nil || len(units) != 2 {
		t.Fatalf("units: %v, %v", units, err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/stile (.+)$`)
	for _, unit := range units {
		raw, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		match := start.FindSubmatch(raw)
		if match == nil {
			t.Errorf("%s: no ExecStart", unit)
			continue
		}
		here := filepath.Join(t.TempDir(), filepath.Base(unit))
		if err := os.WriteFile(here, []byte(strings.ReplaceAll(string(raw), "/usr/local/bin/stile", stileBinary)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", here).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: verify: %v\n%s", unit, err, out)
		}
		if out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold="+maxExposure, here).CombinedOutput(); err != nil {
			t.Errorf("%s: security: %v\n%s", unit, err, out)
		}
		if unit == "../deploy/stile-node.service" && !strings.Contains(string(raw), "\nRestartPreventExitStatus=78\n") { // see TestFleetJoinsCarriesAndRevokes
			t.Errorf("%s: a node that was shut out is started again", unit)
		}
		if out, err := exec.Command(stileBinary, append(strings.Fields(string(match[1])), "--help")...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// testCertificate writes a certificate for loopback and its key into one file.
func testCertificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "both.pem")
	content := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})...)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The list of servers names the node's own ping once it has one, and clients of any origin can time it.
func TestServersNameTheNodesPing(t *testing.T) {
	certificate := testCertificate(t)
	for _, c := range []struct {
		scheme string
		args   []string
	}{
		{"http", []string{"--ping-listen", "127.0.0.1:0"}},
		{"https", []string{"--ping-listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", certificate}},
	} {
		m := newMachine(t, "", c.args...)
		m.addUser("user@example.com")
		url := m.signIn("user@example.com", "laptop").key().Server.APIURL
		if !strings.HasPrefix(url, c.scheme+"://127.0.0.1:") || strings.HasPrefix(url, m.url) {
			t.Errorf("%s: %s", c.scheme, url)
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		resp, err := client.Get(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Timing-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", url, resp.StatusCode, resp.Header)
		}
	}
}
