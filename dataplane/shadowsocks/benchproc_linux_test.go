package shadowsocks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/planebench"
	"stile/dataplane/shadowsocks"
)

// TestMain lets the test binary be a server of a benchmark.
func TestMain(m *testing.M) {
	planebench.Main(m, func(ctx context.Context, port int, method string, ledger *dataplane.Ledger, egress *dataplane.Egress) (dataplane.Plane, error) {
		if method != "" {
			return shadowsocks.New2022(ctx, shadowsocks.Config2022{
				Config: shadowsocks.Config{Host: "127.0.0.1", Port: port, Ports: 1, Ledger: ledger, Egress: egress},
				Method: method, IdentityPSK: shadowsocks.IdentityOfTests(method),
			})
		}
		return shadowsocks.New(ctx, shadowsocks.Config{Host: "127.0.0.1", Port: port, Ports: 1, Ledger: ledger, Egress: egress})
	})
}

// startLibev runs Debian's ss-server with key 1.
func startLibev(b *testing.B, port int, method string) *planebench.Process {
	path, err := exec.LookPath("ss-server")
	if err != nil {
		b.Fatal("ss-server is needed: apt-get install shadowsocks-libev")
	}
	text, _ := json.Marshal(map[string]any{
		"server": "127.0.0.1", "server_port": port, "method": method, "mode": "tcp_only",
		"password": accesskey.Seed(planebench.Key(1).Seed).Shadowsocks().Password,
	})
	config := filepath.Join(b.TempDir(), "libev.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		b.Fatal(err)
	}
	return planebench.Start(b, exec.Command(path, "-c", config), planebench.Local(port), 10*time.Second)
}

// startOutline runs outline-ss-server, built from bench/peers, with keys 1 to n.
func startOutline(b *testing.B, binary string, port, n int) *planebench.Process {
	config := filepath.Join(b.TempDir(), "outline.yml")
	writeOutline(b, config, port, planebench.Keys(n))
	return planebench.Start(b, exec.Command(binary, "-config", config, "-replay_history", "10000"), planebench.Local(port), time.Minute)
}

// writeOutline writes outline-ss-server's configuration with some keys.
func writeOutline(b *testing.B, config string, port int, keys []dataplane.Key) {
	var text strings.Builder
	fmt.Fprintf(&text, "services:\n  - listeners:\n      - type: tcp\n        address: %q\n    keys:\n", planebench.Local(port))
	for _, key := range keys {
		fmt.Fprintf(&text, "      - {id: %q, cipher: chacha20-ietf-poly1305, secret: %q}\n",
			strconv.FormatInt(key.ID, 10), accesskey.Seed(key.Seed).Shadowsocks().Password)
	}
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
}

// buildOutline builds outline-ss-server, which has a module of its own so that ours does not depend on it.
func buildOutline(b *testing.B) string {
	binary := filepath.Join(b.TempDir(), "outline-ss-server")
	build := exec.Command("go", "build", "-o", binary, "github.com/Jigsaw-Code/outline-ss-server/cmd/outline-ss-server")
	build.Dir = filepath.Join("..", "..", "bench", "peers")
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("outline-ss-server cannot be built: %v\n%s", err, output)
	}
	return binary
}
