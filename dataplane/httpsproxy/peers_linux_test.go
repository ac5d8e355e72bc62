package httpsproxy_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"stile/dataplane"
	"stile/dataplane/httpsproxy"
	"stile/dataplane/planebench"
	"stile/internal/testca"
)

// benchCert names the files of the benchmark's certificate to the server's process.
const benchCert = "STILE_BENCH_CERT"

// TestMain lets the test binary be the server of a benchmark.
func TestMain(m *testing.M) {
	planebench.Main(m, func(ctx context.Context, port int, _ string, ledger *dataplane.Ledger, egress *dataplane.Egress) (dataplane.Plane, error) {
		config, err := testca.Load(os.Getenv(benchCert))
		if err != nil {
			return nil, err
		}
		listener, err := httpsproxy.Listen(ctx, "127.0.0.1", port, slog.Default())
		if err != nil {
			return nil, err
		}
		return httpsproxy.New(httpsproxy.Config{Listener: listener, TLS: config, Door: door, Ledger: ledger, Egress: egress})
	})
}

// BenchmarkPeers prints tables: CPU per GB as a ratio to a plain Go relay in the same run, beside Debian's squid and, for
// HTTP/2, nghttpx before it; CPU per new tunnel by number of keys, and memory for each idle tunnel and each idle stranger.
// net/http is the client. The peers ask for no credentials.
func BenchmarkPeers(b *testing.B) {
	if os.Getenv(planebench.NamespaceVariable) == "" {
		planebench.InNamespace(b)
		return
	}
	ca := testca.New(b)
	dir := b.TempDir()
	ca.Files(b, dir, "127.0.0.1")
	b.Setenv(benchCert, dir)
	s := planebench.StartSite(b, planebench.Target)
	b.Run("Throughput", func(b *testing.B) {
		relay := planebench.StartRelay(b, 4000, s.Address)
		plane := planebench.StartPlane(b, 4001, 1, planebench.Target+"/32", "")
		squid := startSquid(b, 4002, dir)
		squid2 := startSquid(b, 4003, "")
		nghttpx := startNghttpx(b, 4004, dir, squid2)
		planebench.Compare(b, s, relay, []planebench.Contender{
			{Name: "stile HTTP/1.1", Process: plane, Dial: tunnelDialer(b, ca, 4001, s.Address, 1)},
			{Name: "stile HTTP/2", Process: plane, Dial: tunnelDialer(b, ca, 4001, s.Address, 2)},
			{Name: "squid HTTP/1.1", Process: squid, Dial: tunnelDialer(b, ca, 4002, s.Address, 1)},
			{Name: "nghttpx + squid HTTP/2", Process: nghttpx, Dial: tunnelDialer(b, ca, 4004, s.Address, 2)},
		})
	})
	b.Run("Tunnels", func(b *testing.B) {
		for b.Loop() {
			fmt.Printf("\nServer CPU ms per tunnel (dial, echo, teardown); resident MiB; KiB per idle tunnel\n")
			fmt.Printf("%-20s%8s %10s %10s %10s\n", "", "keys", "ms", "MiB", "KiB/idle")
			for _, version := range []int{1, 2} {
				var first float64
				for _, keys := range []int{1, 100_000} {
					p := planebench.StartPlane(b, 4101, keys, planebench.Target+"/32", "")
					loaded := p.Resident(b) / 1024
					dial := tunnelDialer(b, ca, 4101, s.Address, version)
					idle := planebench.IdleMemory(b, p, dial, 1000)
					planebench.Connections(b, p, dial, 400, 1, keys) // warm up
					ms := planebench.Connections(b, p, dial, 4000, 1, keys)
					fmt.Printf("stile HTTP/%-9d%8d %10.3f %10.1f %10.1f\n", version, keys, ms, loaded, idle)
					if first == 0 {
						first = ms
					} else {
						b.ReportMetric(first/ms, fmt.Sprintf("tunnels/s-100k/1-HTTP%d", version))
					}
					p.Stop()
				}
			}
			for _, version := range []int{1, 2} {
				p := planebench.StartPlane(b, 4102, 1, planebench.Target+"/32", "")
				fmt.Printf("stranger HTTP/%-6d%8s %10s %10s %10.1f\n", version, "–", "–", "–", strangerMemory(b, p, ca, version))
				p.Stop()
			}
		}
	})
}

// strangerMemory connects visitors of the site who stay, and returns what each costs the server, in KiB.
func strangerMemory(b *testing.B, p *planebench.Process, ca *testca.CA, version int) float64 {
	const visitors = 200 // fewer than one address may have
	before := p.Resident(b)
	for range visitors {
		config := ca.Client()
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: version == 2}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + p.Address + "/")
		if err != nil || resp.ProtoMajor != version {
			b.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	return (p.Resident(b) - before) / visitors
}

// startSquid runs Debian's squid as a proxy that allows everything and keeps nothing; with a certificate's directory it is
// spoken to over TLS.
func startSquid(b *testing.B, port int, certificate string) *planebench.Process {
	path, err := exec.LookPath("squid")
	if err != nil {
		b.Fatal("squid with OpenSSL is needed: apt-get install squid-openssl")
	}
	listen := fmt.Sprintf("http_port 127.0.0.1:%d", port)
	if certificate != "" {
		listen = fmt.Sprintf("https_port 127.0.0.1:%d tls-cert=%s tls-key=%s", port, filepath.Join(certificate, "cert.pem"), filepath.Join(certificate, "key.pem"))
	}
	config := filepath.Join(b.TempDir(), "squid.conf")
	text := listen + `
http_access allow all
cache deny all
access_log none
cache_store_log none
cache_log /dev/null
pid_filename none
netdb_filename none
workers 1
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	command := exec.Command(path, "-N", "-f", config)
	nobody := []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}} // squid refuses to be root
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: nobody, GidMappings: nobody}
	return planebench.Start(b, command, planebench.Local(port), time.Minute)
}

// startNghttpx runs Debian's nghttpx, which speaks HTTP/2, before a proxy.
func startNghttpx(b *testing.B, port int, certificate string, behind *planebench.Process) *planebench.Process {
	path, err := exec.LookPath("nghttpx")
	if err != nil {
		b.Fatal("nghttpx is needed: apt-get install nghttp2-proxy")
	}
	_, backend, _ := net.SplitHostPort(behind.Address)
	command := exec.Command(path, "--http2-proxy", "--single-process", "--conf=/dev/null", "--workers=2", "--errorlog-file=/dev/null",
		fmt.Sprintf("--frontend=127.0.0.1,%d", port), "--backend=127.0.0.1,"+backend,
		filepath.Join(certificate, "key.pem"), filepath.Join(certificate, "cert.pem"))
	p := planebench.Start(b, command, planebench.Local(port), time.Minute)
	p.Behind = behind
	return p
}

// connectionsOf2 is how many connections the tunnels of HTTP/2 share.
const connectionsOf2 = 8

// tunnelDialer is net/http's client of the plane in a version of HTTP.
func tunnelDialer(b *testing.B, ca *testca.CA, port int, target string, version int) planebench.Dialer {
	if version == 1 {
		c := newClient(b, ca, port)
		return func(key int64) (net.Conn, error) { return c.dial1(context.Background(), planebench.Key(key), target) }
	}
	shared := make(chan *client, connectionsOf2)
	clients := make([]*client, connectionsOf2)
	for i := range clients {
		clients[i] = newClient(b, ca, port)
		clients[i].shared.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 20, MaxReceiveBufferPerConnection: 64 << 20}
	}
	go func() {
		for i := 0; ; i++ {
			select {
			case shared <- clients[i%len(clients)]:
			case <-b.Context().Done():
				return
			}
		}
	}()
	return func(key int64) (net.Conn, error) {
		return (<-shared).dial2(context.Background(), planebench.Key(key), target)
	}
}
