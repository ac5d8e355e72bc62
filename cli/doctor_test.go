package cli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Whose clock is years off is not sent to look at the network.
func TestAnAncientClockIsNamed(t *testing.T) {
	service := httptest.NewUnstartedServer(http.NotFoundHandler()) // whose certificate is good from 1970 on
	service.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	service.StartTLS()
	defer service.Close()
	roots := x509.NewCertPool()
	roots.AddCert(service.Certificate())
	ask := func(clock func() time.Time, roots *x509.CertPool) error {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Time: clock}}}
		_, err := client.Get(service.URL) //nolint:bodyclose // there is none
		return err
	}
	past := func() time.Time { return time.Unix(-1, 0) }
	if err := ask(past, roots); !isDated(err) || !strings.Contains(remedy(err, service.URL).Error(), "this machine's clock") {
		t.Errorf("a certificate that is not good yet: %v", err)
	}
	if err := ask(time.Now, x509.NewCertPool()); isDated(err) || !strings.Contains(remedy(err, service.URL).Error(), "stile doctor") {
		t.Errorf("a certificate of somebody else: %v", err)
	}
	if isDated(&url.Error{Op: "Get", Err: http.ErrServerClosed}) {
		t.Error("every failure is the clock's")
	}
}

// An https address means a proxy, and then all users have its address unless it is named.
func TestAProxyWantsToBeNamed(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		serve ServeCmd
		want  bool
	}{
		{ServeCmd{PublicURL: "http://vpn.example.net"}, false},
		{ServeCmd{PublicURL: "https://vpn.example.net"}, true},
		{ServeCmd{PublicURL: "https://vpn.example.net", TrustedProxy: proxies}, false},
	} {
		var said bytes.Buffer
		c.serve.NoNode = true
		if _, err := c.serve.config(slog.New(slog.NewTextHandler(&said, nil))); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(said.String(), "--trusted-proxy") != c.want {
			t.Errorf("%s: %s", c.serve.PublicURL, said.String())
		}
	}
}
