package certificate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stile/internal/testport"
)

// programs is where TestMain puts Let's Encrypt's own ACME server for tests, and its DNS server.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "stile-certificate-test-"); err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-o", programs+"/", "github.com/letsencrypt/pebble/v2/cmd/pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv")
	build.Dir = "../../tools/pebble"
	if out, err := build.CombinedOutput(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// authority is a running ACME server. It looks names up in a DNS server of its own, and connects to our ports instead of
// 443 and 80.
type authority struct {
	t         *testing.T
	directory string
	root      *x509.CertPool
	names     string       // address of the DNS server's management
	https     net.Listener // what the authority takes for port 443
	http      net.Listener // what it takes for port 80
}

// newAuthority starts one whose certificates live as long as said.
func newAuthority(t *testing.T, life time.Duration) *authority {
	t.Helper()
	a := &authority{t: t, https: loopback(t), http: loopback(t), names: freeAddress(t)}
	dns := freeAddress(t)
	a.start("pebble-challtestsrv", "-defaultIPv4", "", "-defaultIPv6", "", "-dnsserver", dns, "-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", a.names)
	dir, address := t.TempDir(), freeAddress(t)
	chain, key := filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	a.root = x509.NewCertPool()
	a.root.AddCert(writePair(t, chain, key, "127.0.0.1"))
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": address, "managementListenAddress": freeAddress(t), "certificate": chain, "privateKey": key,
		"httpPort": port(a.http), "tlsPort": port(a.https), "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "x", "validityPeriod": int(life.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	a.directory = "https://" + address + "/dir"
	a.start("pebble", "-config", file, "-dnsserver", dns)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.root}, DisableKeepAlives: true}}
	until(t, "the authority answers", func() bool {
		resp, err := client.Get(a.directory)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	return a
}

func (a *authority) start(name string, args ...string) {
	a.t.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	var out safeBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if a.t.Failed() {
			a.t.Logf("%s said:\n%s", name, out.String())
		}
	})
}

// resolve gives a name the address of this machine.
func (a *authority) resolve(name string) {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"host": name, "addresses": []string{"127.0.0.1"}})
	if err != nil {
		a.t.Fatal(err)
	}
	until(a.t, "the name resolves", func() bool {
		resp, err := http.Post("http://"+a.names+"/add-a", "application/json", bytes.NewReader(body))
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

// safeBuffer is a buffer that is read while somebody writes.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func testLog() (*slog.Logger, *safeBuffer) {
	said := new(safeBuffer)
	return slog.New(slog.NewTextHandler(said, nil)), said
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(testport.Free(t, 1)))
}

func port(l net.Listener) int {
	_, p, _ := strings.Cut(l.Addr().String(), ":")
	n, _ := strconv.Atoi(p)
	return n
}

// writePair writes a certificate that signs itself, and returns it.
func writePair(t *testing.T, chain, key, name string) *x509.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, DNSNames: []string{name},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{chain: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: rawKey}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// serve answers on a listener with a source's certificate until the test ends.
func serve(t *testing.T, l net.Listener, s Source, protocols ...string) {
	t.Helper()
	server := &http.Server{
		TLSConfig: s.TLSConfig(protocols...), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
	}
	go func() { _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
}

// run keeps a source fresh until the test ends.
func run(t *testing.T, s Source) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// shown is the certificate that a client sees.
func shown(l net.Listener, name string) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0], nil
}

func until(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !check(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
