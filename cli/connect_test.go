package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stile/client"
)

// answers is a transport that answers a call after the other, from memory.
type answers struct {
	bodies  []string // "" is no network
	askedAt []time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	a.askedAt = append(a.askedAt, time.Now())
	if len(a.bodies) == 0 {
		return nil, errors.New("asked once too often")
	}
	body := a.bodies[0]
	a.bodies = a.bodies[1:]
	if body == "" {
		return nil, io.ErrUnexpectedEOF
	}
	status := http.StatusOK
	if strings.Contains(body, "Unauthenticated") {
		status = http.StatusUnauthorized
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// The access is looked at as often as the server asks for, through troubles of the network, until it ends.
func TestConnectWatchesTheAccess(t *testing.T) {
	const allowed = `{"access":{"allowed":true},"poll_after":%d}`
	for name, c := range map[string]struct {
		bodies []string
		at     []time.Duration
		want   string
	}{
		"expired": {
			[]string{fmt.Sprintf(allowed, 600), "", fmt.Sprintf(allowed, 0), `{"access":{"allowed":false,"reason":"subscription_expired","message":"Expired."},"links":{"renew":"https://r"}}`},
			[]time.Duration{0, 600 * time.Second, 1200 * time.Second, 1200*time.Second + pollAtLeast},
			"the access has ended: Expired. https://r",
		},
		"signed out": {
			[]string{"", `{"message":"Unauthenticated."}`},
			[]time.Duration{0, pollAtLeast},
			"Unauthenticated",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &answers{bodies: c.bodies}
				api, err := client.New("http://api.test", "7|good", client.Options{Transport: transport})
				if err != nil {
					t.Fatal(err)
				}
				from := time.Now()
				err = (&connection{account: &account{Client: api}}).watch(t.Context())
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("watch = %v, want %q", err, c.want)
				}
				var at []time.Duration
				for _, asked := range transport.askedAt {
					at = append(at, asked.Sub(from))
				}
				if fmt.Sprint(at) != fmt.Sprint(c.at) {
					t.Errorf("asked at %v, want %v", at, c.at)
				}
			})
		})
	}
}

func TestConnectShowsTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer stop()
		c := &connection{proxy: client.NewProxy(nil)}
		if err := c.showTraffic(ctx, &Terminal{Out: &out}); err != nil {
			t.Fatal(err)
		}
		const line = "\r\x1b[K↑ 0 B  ↓ 0 B  open 0"
		if got, want := out.String(), line+line+"\r\x1b[K"; got != want {
			t.Errorf("wrote %q, want %q", got, want)
		}
	})
}

func TestLoginWarnsOfPlainHTTP(t *testing.T) {
	for api, isWarned := range map[string]bool{
		"http://127.0.0.1:8000": false, "http://localhost:8000": false, "http://[::1]:8000": false, "https://vpn.example.net": false,
		"http://vpn.example.net": true, "http://192.0.2.1": true,
	} {
		var out bytes.Buffer
		warnOfPlainHTTP(&Terminal{Err: &out}, api)
		if got := strings.Contains(out.String(), "not encrypted"); got != isWarned {
			t.Errorf("%s: warned %v, want %v: %s", api, got, isWarned, out.String())
		}
	}
}

func TestPrivateAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:8000": true, "http://localhost": true, "http://10.1.2.3": true, "http://[fe80::1]": true, "http://nas": true,
		"https://vpn.example.net": false, "https://192.0.2.1": false, "https://[2001:db8::1]:8443": false,
	} {
		if got := isPrivate(address); got != want {
			t.Errorf("isPrivate(%q) = %v, want %v", address, got, want)
		}
	}
}
