package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEndpointNamesTheFlagAtFault(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]endpointFlags{
		"--tls-cert and --tls-key go together": {TLSCert: "x"},
		"--acme and --tls-cert: choose one":    {TLSCert: "x", TLSKey: "x", ACME: true},
		"are for --acme":                       {ACMERoot: "x"},
		"--acme-root":                          {ACME: true, ACMERoot: empty + "-not-there"},
		"holds no certificate":                 {ACME: true, ACMERoot: empty},
		empty:                                  {TLSCert: empty, TLSKey: empty},
		"--ping-listen":                        {PingListen: "127.0.0.1:99999"},
		"--acme-listen":                        {ACME: true, ACMEHTTPListen: "127.0.0.1:99999"},
	} {
		err := f.check()
		if err == nil {
			_, err = f.open(t.Context(), "nl1.example.net", t.TempDir(), slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
	f := endpointFlags{ACME: true}
	if _, err := f.open(t.Context(), "192.0.2.1", t.TempDir(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "no public name") {
		t.Errorf("a certificate for an address: %v", err)
	}
}
