package shadowsocks_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/shadowsocks"
	"stile/internal/testport"
)

// servePlane runs a plane that reaches 127.0.0.1, with one key.
func servePlane(t *testing.T, ports int) (*shadowsocks.Plane, *dataplane.Ledger, dataplane.Key) {
	t.Helper()
	return serve(t, func(ledger *dataplane.Ledger, egress *dataplane.Egress) (*shadowsocks.Plane, error) {
		return shadowsocks.New(t.Context(), shadowsocks.Config{Host: "127.0.0.1", Ports: ports, Ledger: ledger, Egress: egress})
	})
}

func serve[P dataplane.Plane](
	t *testing.T, listen func(*dataplane.Ledger, *dataplane.Egress) (P, error),
) (P, *dataplane.Ledger, dataplane.Key) {
	t.Helper()
	ledger := dataplane.NewLedger(time.Now)
	t.Cleanup(ledger.Close)
	egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	plane, err := listen(ledger, egress)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- plane.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	seed, err := accesskey.New()
	if err != nil {
		t.Fatal(err)
	}
	key := dataplane.Key{ID: 981, Seed: seed}
	ledger.Apply([]dataplane.Key{key}, nil, true)
	if err := plane.Apply([]dataplane.Key{key}, nil, true); err != nil {
		t.Fatal(err)
	}
	return plane, ledger, key
}

// ssLocal starts Debian's Shadowsocks client with what an ss:// URI says and returns its SOCKS address.
func ssLocal(t *testing.T, uri, method string) string {
	t.Helper()
	path, err := exec.LookPath("ss-local")
	if err != nil {
		t.Fatal("ss-local is needed: apt-get install shadowsocks-libev")
	}
	endpoint, err := accesskey.ParseShadowsocks(uri)
	if err != nil {
		t.Fatal(err)
	}
	local := testport.Free(t, 1)
	config := filepath.Join(t.TempDir(), "config.json")
	text := fmt.Sprintf(`{"server":%q,"server_port":%d,"local_address":"127.0.0.1","local_port":%d,"method":%q,"password":%q,"mode":"tcp_and_udp","timeout":60}`,
		endpoint.Host, endpoint.Port, local, method, endpoint.Password)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startClient(t, local, exec.Command(path, "-c", config, "-u"))
}

// startClient runs a client until the test ends and returns its SOCKS address once it listens.
func startClient(t *testing.T, port int, command *exec.Cmd) string {
	t.Helper()
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	local := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", local); err == nil {
			_ = conn.Close()
			return local
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen:\n%s", command.Path, output.String())
		}
	}
}

// TestDebiansClient exchanges streams and packets through a client that others wrote, which knows nothing of prefixes.
func TestDebiansClient(t *testing.T) {
	site := startPages(t)
	for _, method := range []string{"aes-256-gcm", "chacha20-ietf-poly1305"} {
		t.Run(method, func(t *testing.T) {
			plane, ledger, key := servePlane(t, 4)
			first, count := plane.Ports()
			uri := accesskey.Seed(key.Seed).Shadowsocks().URI("127.0.0.1", accesskey.Port(first, count, key.ID), "test")
			site.exchange(t, ssLocal(t, uri, method), ledger, key)
		})
	}
}

// pages is a site with one large page, which answers an upload with its hash.
type pages struct {
	*httptest.Server
	page []byte
	want [sha256.Size]byte
}

func startPages(t *testing.T) *pages {
	t.Helper()
	s := &pages{page: make([]byte, 100_000_000)}
	_, _ = rand.Read(s.page)
	s.want = sha256.Sum256(s.page)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			sum := sha256.New()
			_, _ = io.Copy(sum, r.Body)
			_, _ = w.Write(sum.Sum(nil))
			return
		}
		_, _ = w.Write(s.page)
	}))
	t.Cleanup(s.Close)
	return s
}

// exchange loads the page, sends it back and exchanges packets through a client's SOCKS5 listener.
func (s *pages) exchange(t *testing.T, socks string, ledger *dataplane.Ledger, key dataplane.Key) {
	t.Helper()
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: socks})}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	response, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, response.Body)
	_ = response.Body.Close()
	if err != nil || !bytes.Equal(sum.Sum(nil), s.want[:]) {
		t.Errorf("download: %d of %d bytes, %v, right hash %v", n, len(s.page), err, bytes.Equal(sum.Sum(nil), s.want[:]))
	}
	if response, err = client.Post(s.URL, "application/octet-stream", bytes.NewReader(s.page)); err != nil {
		t.Fatal(err)
	}
	echoed, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || !bytes.Equal(echoed, s.want[:]) {
		t.Errorf("upload: the target saw another hash, %v", err)
	}
	if u := ledger.Usage(nil); len(u) != 1 || u[0].KeyID != key.ID || u[0].Up < n || u[0].Down < n {
		t.Errorf("usage %+v, want at least %d bytes both ways of key %d", u, n, key.ID)
	}
	udpThroughSocks(t, socks)
}

// udpThroughSocks exchanges packets with an echo server through a SOCKS5 proxy (RFC 1928, section 7).
func udpThroughSocks(t *testing.T, socks string) {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		packet := make([]byte, 2048)
		for {
			n, from, err := server.ReadFromUDP(packet)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDP(packet[:n], from)
		}
	}()
	to := server.LocalAddr().(*net.UDPAddr)
	relay, err := net.Dial("udp", socks)
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	header := []byte{0, 0, 0, 1, 127, 0, 0, 1}
	header = binary.BigEndian.AppendUint16(header, uint16(to.Port))
	answer := make([]byte, 2048)
	for i := range 50 {
		packet := append(bytes.Clone(header), bytes.Repeat([]byte(strconv.Itoa(i)), 500)...)
		if _, err := relay.Write(packet); err != nil {
			t.Fatal(err)
		}
		_ = relay.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := relay.Read(answer); err != nil || !bytes.Equal(answer[:n], packet) {
			t.Fatalf("packet %d: %d bytes came back, %v", i, n, err)
		}
	}
}
