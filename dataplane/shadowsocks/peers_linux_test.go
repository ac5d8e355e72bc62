package shadowsocks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/planebench"
	"stile/dataplane/shadowsocks"
)

// BenchmarkPeers prints tables: CPU per GB as a ratio to a plain Go relay in the same run, CPU per new connection and
// memory by number of keys, and how long a revoked key's streams live; beside shadowsocks-libev and outline-ss-server.
func BenchmarkPeers(b *testing.B) {
	if os.Getenv(planebench.NamespaceVariable) == "" {
		planebench.InNamespace(b)
		return
	}
	outlineServer := buildOutline(b)
	s := planebench.StartSite(b, planebench.Target)
	b.Run("Throughput", func(b *testing.B) { benchThroughput(b, s, outlineServer) })
	b.Run("Lookup", func(b *testing.B) { benchLookup(b, s, outlineServer) })
	b.Run("Revocation", func(b *testing.B) { benchRevocation(b, s) })
	b.Run("OutlineRevocation", func(b *testing.B) { benchOutlineRevocation(b, s, outlineServer) })
}

func benchThroughput(b *testing.B, s *planebench.Site, outlineServer string) {
	aes, chacha := "aes-256-gcm", "chacha20-ietf-poly1305"
	plane := planebench.StartPlane(b, 4001, 1, planebench.Target+"/32", "")
	aes128, aes256 := accesskey.Method2022AES128, accesskey.Method2022AES256
	short := planebench.StartPlane(b, 4005, 1, planebench.Target+"/32", aes128)
	long := planebench.StartPlane(b, 4006, 1, planebench.Target+"/32", aes256)
	relay := planebench.StartRelay(b, 4000, s.Address)
	libevAES, libevChacha := startLibev(b, 4002, aes), startLibev(b, 4003, chacha)
	peer := startOutline(b, outlineServer, 4004, 1)
	contenders := []planebench.Contender{
		{Name: "stile aes-256-gcm", Process: plane, Dial: outlineDialer(plane.Address, aes, s.Address, true)},
		{Name: "stile chacha20", Process: plane, Dial: outlineDialer(plane.Address, chacha, s.Address, true)},
		{Name: "stile 2022 aes-128-gcm", Process: short, Dial: dialer2022(short.Address, aes128, s.Address)},
		{Name: "stile 2022 aes-256-gcm", Process: long, Dial: dialer2022(long.Address, aes256, s.Address)},
		{Name: "outline-ss-server chacha20", Process: peer, Dial: outlineDialer(peer.Address, chacha, s.Address, false)},
		{Name: "ss-libev aes-256-gcm", Process: libevAES, Dial: outlineDialer(libevAES.Address, aes, s.Address, false)},
		{Name: "ss-libev chacha20", Process: libevChacha, Dial: outlineDialer(libevChacha.Address, chacha, s.Address, false)},
	}
	planebench.Compare(b, s, relay, contenders)
}

func benchLookup(b *testing.B, s *planebench.Site, outlineServer string) {
	for b.Loop() {
		fmt.Printf("\nServer CPU ms per connection (dial, echo, teardown) and per probe; resident MiB; KiB per idle connection\n")
		fmt.Printf("%-20s%8s %10s %10s %10s %10s %10s\n", "", "keys", "tagged", "untagged", "probe", "MiB", "KiB/idle")
		relay := planebench.StartRelay(b, 4100, s.Address)
		fmt.Printf("%-20s%8s %10.3f\n", "plain relay", "", planebench.Connections(b, relay, planebench.PlainDialer(relay.Address), 2000, 1, 1))
		relay.Stop()
		for _, keys := range []int{1, 1_000, 100_000} {
			p := planebench.StartPlane(b, 4101, keys, planebench.Target+"/32", "")
			loaded := p.Resident(b) / 1024
			tagged := outlineDialer(p.Address, "aes-256-gcm", s.Address, true)
			idle := planebench.IdleMemory(b, p, tagged, 1000)
			planebench.Connections(b, p, tagged, 400, 1, keys) // warm up
			tag := planebench.Connections(b, p, tagged, 4000, 1, keys)
			// One key, as one client has: found by trial among the newest of its port, then by the address's hint.
			untagged := planebench.Connections(b, p, outlineDialer(p.Address, "aes-256-gcm", s.Address, false), 4000, keys, 1)
			fmt.Printf("%-20s%8d %10.3f %10.3f %10.3f %10.1f %10.1f\n", "stile", keys, tag, untagged, probes(b, p, 1500), loaded, idle)
			p.Stop()
		}
		for _, keys := range []int{1, 1_000, 100_000} {
			method := accesskey.Method2022AES128
			p := planebench.StartPlane(b, 4103, keys, planebench.Target+"/32", method)
			loaded := p.Resident(b) / 1024
			dial := dialer2022(p.Address, method, s.Address)
			idle := planebench.IdleMemory(b, p, dial, 1000)
			planebench.Connections(b, p, dial, 400, 1, keys) // warm up
			cost := planebench.Connections(b, p, dial, 4000, 1, keys)
			fmt.Printf("%-20s%8d %10.3f %10s %10.3f %10.1f %10.1f\n", "stile 2022", keys, cost, "–", probes(b, p, 1500), loaded, idle)
			p.Stop()
		}
		for _, keys := range []int{1, 1_000, 100_000} {
			p := startOutline(b, outlineServer, 4102, keys)
			loaded := p.Resident(b) / 1024
			dial := outlineDialer(p.Address, "chacha20-ietf-poly1305", s.Address, false)
			n, strangers := 2000, 500
			if keys > 1_000 {
				n, strangers = 40, 20
			}
			idle := "–" // its heap shrinks by more than the connections take when it has many keys
			if keys <= 1_000 {
				idle = fmt.Sprintf("%.1f", planebench.IdleMemory(b, p, dial, 1000))
			}
			untagged := planebench.Connections(b, p, dial, n, 1, keys)
			fmt.Printf("%-20s%8d %10s %10.3f %10.3f %10.1f %10s\n", "outline-ss-server", keys, "–", untagged, probes(b, p, strangers), loaded, idle)
			p.Stop()
		}
	}
}

// benchRevocation measures from the call of Apply to the end of a running download at the client.
func benchRevocation(b *testing.B, s *planebench.Site) {
	const samples = 300
	for b.Loop() {
		ledger := dataplane.NewLedger(time.Now)
		egress := dataplane.NewEgress(dataplane.EgressConfig{AllowTargets: []netip.Prefix{netip.MustParsePrefix(planebench.Target + "/32")}})
		plane, err := shadowsocks.New(b.Context(), shadowsocks.Config{Host: "127.0.0.1", Ports: 1, Ledger: ledger, Egress: egress})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ran := make(chan error, 1)
		go func() { ran <- plane.Run(ctx) }()
		first, _ := plane.Ports()
		dial := outlineDialer(planebench.Local(first), "aes-256-gcm", s.Address, true)
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

// benchOutlineRevocation takes one of two keys from outline-ss-server, as its manager does, and tells what becomes of the
// downloads of both.
func benchOutlineRevocation(b *testing.B, s *planebench.Site, binary string) {
	const wait = time.Minute
	config, port := filepath.Join(b.TempDir(), "outline.yml"), 4301
	for b.Loop() {
		keys := planebench.Keys(2)
		writeOutline(b, config, port, keys)
		p := planebench.Start(b, exec.Command(binary, "-config", config), planebench.Local(port), time.Minute)
		dial := outlineDialer(p.Address, "chacha20-ietf-poly1305", s.Address, false)
		var moved [2]atomic.Int64
		for i := range moved {
			conn, err := dial(keys[i].ID)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			_, _ = conn.Write([]byte("d"))
			go func() { _, _ = io.Copy(count{&moved[i]}, conn) }()
		}
		time.Sleep(time.Second)
		writeOutline(b, config, port, keys[1:])
		p.Reload(b)
		time.Sleep(wait)
		before := [2]int64{moved[0].Load(), moved[1].Load()}
		time.Sleep(time.Second)
		fmt.Printf("\noutline-ss-server, %v after its key was removed: a running download moves %d MB a second, another key's %d MB\n",
			wait, (moved[0].Load()-before[0])/1e6, (moved[1].Load()-before[1])/1e6)
		p.Stop()
	}
}

// count counts what is written to it.
type count struct{ n *atomic.Int64 }

func (c count) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

func revokeOne(b *testing.B, ledger *dataplane.Ledger, plane dataplane.Plane, dial planebench.Dialer, id int64) (milliseconds float64) {
	key := []dataplane.Key{planebench.Key(id)}
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
	case <-time.After(time.Minute):
		b.Fatal("a revoked download goes on")
		return 0
	}
}
