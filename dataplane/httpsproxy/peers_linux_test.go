package httpsproxy_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"

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

// BenchmarkPeers prints tables: CPU per GB as a ratio to a plain Go relay in the same run, CPU per new tunnel by number of
// keys, and memory for each idle tunnel. net/http is the client; nobody else's server for the same credentials is linked.
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
		planebench.Compare(b, s, relay, []planebench.Contender{
			{Name: "stile HTTP/1.1", Process: plane, Dial: tunnelDialer(b, ca, 4001, s.Address, 1)},
			{Name: "stile HTTP/2", Process: plane, Dial: tunnelDialer(b, ca, 4001, s.Address, 2)},
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
		}
	})
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
