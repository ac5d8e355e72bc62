package shadowsocks_test

import (
	"crypto/rand"
	"encoding/base64"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/shadowsocks"
	"stile/internal/testport"
)

// TestForeignClient2022 exchanges streams and packets through v2fly's client, with both methods.
func TestForeignClient2022(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "client2022")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join("testdata", "client2022")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("v2fly's client cannot be built: %v\n%s", err, output)
	}
	site := startPages(t)
	for _, method := range []string{accesskey.Method2022AES128, accesskey.Method2022AES256} {
		t.Run(method, func(t *testing.T) {
			identity := make([]byte, accesskey.PSKSize(method))
			_, _ = rand.Read(identity)
			plane, ledger, key := serve(t, func(ledger *dataplane.Ledger, egress *dataplane.Egress) (*shadowsocks.Plane2022, error) {
				return shadowsocks.New2022(t.Context(), shadowsocks.Config2022{
					Config: shadowsocks.Config{Host: "127.0.0.1", Ports: 2, Ledger: ledger, Egress: egress}, Method: method, IdentityPSK: identity,
				})
			})
			first, _ := plane.Ports()
			server := first + 1 // a key works on each
			local := testport.Free(t, 1)
			site.exchange(t, startClient(t, local, exec.Command(binary,
				"-local", strconv.Itoa(local), "-server", strconv.Itoa(server), "-method", method,
				"-identity", base64.StdEncoding.EncodeToString(identity),
				"-psk", base64.StdEncoding.EncodeToString(accesskey.Seed(key.Seed).PSK(method)),
			)), ledger, key)
		})
	}
}
