package shadowsocks_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stile/dataplane"
	"stile/dataplane/shadowsocks"
)

// benchTarget looks public, so that outline-ss-server, which refuses private targets, reaches it too. It is an address
// of the loopback interface in a network namespace of the benchmark's own.
const benchTarget = "11.22.33.44"

const repeats = 3

var loads = []load{{"down 1", 1, false}, {"down 64", 64, false}, {"up 64", 64, true}}

// BenchmarkPeers prints tables: CPU per GB as a ratio to a plain Go relay in the same run, CPU per new connection and
// memory by number of keys, and how long a revoked key's streams live; beside shadowsocks-libev and outline-ss-server.
func BenchmarkPeers(b *testing.B) {
	if os.Getenv(namespaceVariable) == "" {
		inNamespace(b)
		return
	}
	outlineServer := buildOutline(b)
	s := startSite(b, benchTarget)
	b.Run("Throughput", func(b *testing.B) { benchThroughput(b, s, outlineServer) })
	b.Run("Lookup", func(b *testing.B) { benchLookup(b, s, outlineServer) })
	b.Run("Revocation", func(b *testing.B) { benchRevocation(b, s) })
}

// inNamespace runs the same benchmark again in a network namespace, where its addresses are nobody else's.
func inNamespace(b *testing.B) {
	if _, err := exec.LookPath("ip"); err != nil {
		b.Fatal("ip is needed: apt-get install iproute2")
	}
	script := `ip link set lo up && ip addr add ` + benchTarget + `/32 dev lo &&
		sysctl -qw net.ipv4.ip_local_port_range="10000 65535" net.ipv4.tcp_tw_reuse=1; exec "$0" "$@"`
	executable, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	command := exec.Command("sh", "-c", script, executable,
		"-test.run=^$", "-test.bench="+flag.Lookup("test.bench").Value.String(), "-test.benchtime=1x", "-test.timeout=30m")
	command.Env = append(os.Environ(), namespaceVariable+"=1")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := command.Run(); err != nil {
		b.Fatal(err)
	}
}

// contender is a server with its client.
type contender struct {
	name string
	*process
	dial dialer
}

func benchThroughput(b *testing.B, s *site, outlineServer string) {
	aes, chacha := "aes-256-gcm", "chacha20-ietf-poly1305"
	plane := startPlane(b, 4001, 1, benchTarget+"/32")
	relay := startRelay(b, 4000, s.address)
	libevAES, libevChacha := startLibev(b, 4002, aes), startLibev(b, 4003, chacha)
	peer := startOutline(b, outlineServer, 4004, 1)
	contenders := []contender{
		{"stile aes-256-gcm", plane, outlineDialer(plane.address, aes, s.address, true)},
		{"stile chacha20", plane, outlineDialer(plane.address, chacha, s.address, true)},
		{"outline-ss-server chacha20", peer, outlineDialer(peer.address, chacha, s.address, false)},
		{"ss-libev aes-256-gcm", libevAES, outlineDialer(libevAES.address, aes, s.address, false)},
		{"ss-libev chacha20", libevChacha, outlineDialer(libevChacha.address, chacha, s.address, false)},
	}
	measure := func(p *process, dial dialer, l load) (float64, float64) {
		return throughput(b, p, dial, l, s, 500*time.Millisecond, 1500*time.Millisecond)
	}
	for b.Loop() {
		fmt.Printf("\nCPU seconds per GB as a ratio to a plain Go relay, median of %d (least–most), and Gbit/s\n%-28s", repeats, "")
		for _, l := range loads {
			fmt.Printf("%-30s", l.name)
		}
		rows := make([]string, len(contenders))
		for _, l := range loads {
			ratios, rates := make([][]float64, len(contenders)), make([][]float64, len(contenders))
			for range repeats {
				before, _ := measure(relay, plainDialer(relay.address), l)
				costs := make([]float64, len(contenders))
				for i, c := range contenders {
					cost, rate := measure(c.process, c.dial, l)
					costs[i] = cost
					rates[i] = append(rates[i], rate)
				}
				after, _ := measure(relay, plainDialer(relay.address), l)
				for i := range costs {
					ratios[i] = append(ratios[i], costs[i]*2/(before+after))
				}
			}
			for i := range contenders {
				middle, least, most := median(ratios[i])
				rate, _, _ := median(rates[i])
				rows[i] += fmt.Sprintf("%-30s", fmt.Sprintf("%.2f (%.2f–%.2f)  %.1f", middle, least, most, rate))
				b.ReportMetric(middle, strings.NewReplacer(" ", "-").Replace(contenders[i].name+"-"+l.name)+"-ratio")
			}
		}
		for i, c := range contenders {
			fmt.Printf("\n%-28s%s", c.name, rows[i])
		}
		fmt.Println()
	}
}

func benchLookup(b *testing.B, s *site, outlineServer string) {
	for b.Loop() {
		fmt.Printf("\nServer CPU ms per connection (dial, echo, teardown) and per probe; resident MiB; KiB per idle connection\n")
		fmt.Printf("%-20s%8s %10s %10s %10s %10s %10s\n", "", "keys", "tagged", "untagged", "probe", "MiB", "KiB/idle")
		relay := startRelay(b, 4100, s.address)
		fmt.Printf("%-20s%8s %10.3f\n", "plain relay", "", connections(b, relay, plainDialer(relay.address), 2000, 1, 1))
		relay.stop()
		for _, keys := range []int{1, 1_000, 100_000} {
			p := startPlane(b, 4101, keys, benchTarget+"/32")
			loaded := p.resident(b) / 1024
			tagged := outlineDialer(p.address, "aes-256-gcm", s.address, true)
			idle := idleMemory(b, p, tagged, 1000)
			connections(b, p, tagged, 400, 1, keys) // warm up
			tag := connections(b, p, tagged, 4000, 1, keys)
			// One key, as one client has: found by trial among the newest of its port, then by the address's hint.
			untagged := connections(b, p, outlineDialer(p.address, "aes-256-gcm", s.address, false), 4000, keys, 1)
			fmt.Printf("%-20s%8d %10.3f %10.3f %10.3f %10.1f %10.1f\n", "stile", keys, tag, untagged, probes(b, p, 1500), loaded, idle)
			p.stop()
		}
		for _, keys := range []int{1, 1_000, 100_000} {
			p := startOutline(b, outlineServer, 4102, keys)
			loaded := p.resident(b) / 1024
			dial := outlineDialer(p.address, "chacha20-ietf-poly1305", s.address, false)
			n, strangers := 2000, 500
			if keys > 1_000 {
				n, strangers = 40, 20
			}
			idle := "–" // its heap shrinks by more than the connections take when it has many keys
			if keys <= 1_000 {
				idle = fmt.Sprintf("%.1f", idleMemory(b, p, dial, 1000))
			}
			untagged := connections(b, p, dial, n, 1, keys)
			fmt.Printf("%-20s%8d %10s %10.3f %10.3f %10.1f %10s\n", "outline-ss-server", keys, "–", untagged, probes(b, p, strangers), loaded, idle)
			p.stop()
		}
	}
}

// benchRevocation measures from the call of Apply to the end of a running download at the client.
func benchRevocation(b *testing.B, s *site) {
	const samples = 300
	for b.Loop() {
		ledger := dataplane.NewLedger(time.Now)
		egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix(benchTarget + "/32")}})
		plane, err := shadowsocks.New(b.Context(), shadowsocks.Config{Host: "127.0.0.1", Ports: 1, Ledger: ledger, Egress: egress})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ran := make(chan error, 1)
		go func() { ran <- plane.Run(ctx) }()
		first, _ := plane.Ports()
		dial := outlineDialer(local(first), "aes-256-gcm", s.address, true)
		var took []float64
		for i := range samples {
			took = append(took, revokeOne(b, ledger, plane, dial, int64(i+1)))
		}
		cancel()
		<-ran
		ledger.Close()
		slices.Sort(took)
		p50, p99 := took[samples/2], took[samples*99/100]
		fmt.Printf("\nRevocation, from Apply to the last byte of a running download, %d samples: p50 %.2f ms, p99 %.2f ms, most %.2f ms\n",
			samples, p50, p99, took[samples-1])
		b.ReportMetric(p99, "ms-p99")
	}
}

func revokeOne(b *testing.B, ledger *dataplane.Ledger, plane dataplane.Plane, dial dialer, id int64) (milliseconds float64) {
	key := []dataplane.Key{benchKey(id)}
	ledger.Apply(key, nil, false)
	_ = plane.Apply(key, nil, false)
	conn, err := dial(id)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("d"))
	if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil {
		b.Fatal(err)
	}
	ended := make(chan time.Time, 1)
	go func() {
		if _, err := io.Copy(io.Discard, conn); !errors.Is(err, net.ErrClosed) {
			ended <- time.Now()
		}
	}()
	from := time.Now()
	ledger.Apply(nil, []int64{id}, false)
	_ = plane.Apply(nil, []int64{id}, false)
	select {
	case at := <-ended:
		return float64(at.Sub(from).Microseconds()) / 1000
	case <-time.After(10 * time.Second):
		b.Fatal("a revoked download goes on")
		return 0
	}
}

func median(values []float64) (middle, least, most float64) {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2], sorted[0], sorted[len(sorted)-1]
}
