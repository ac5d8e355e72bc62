package httpsproxy_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"stile/accesskey"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// credentialsOfStrangers are what somebody without a key may send, who knows how ours look and even a user's name.
func credentialsOfStrangers(rng *rand.Rand) []string {
	secret := secretOf(testKey(1))
	elsewhere := accesskey.Seed(testKey(1).Seed).HTTPS(accesskey.DoorOf([32]byte{7}, 2))
	made := func(n int) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		var b strings.Builder
		for range n {
			b.WriteByte(alphabet[rng.IntN(len(alphabet))])
		}
		return b.String()
	}
	whole := basic(secret.Username, secret.Password)
	return []string{
		"", "Basic", "Basic ", "Basic =", "Basic !!!", "Bearer abc", "Digest username=\"a\"", "basic " + strings.Repeat("QQ", 4000),
		basic("", ""), basic("a", "b"), basic("user", "password123"), basic("\xff\x00", "\x00"),
		basic(made(23), made(32)), basic(made(12), made(32)), basic(secret.Username, made(32)), basic(secret.Username, ""),
		basic(secret.Username, secret.Password[:31]), basic(secret.Username, secret.Password+"A"), basic(secret.Username[:12], secret.Password),
		basic(secret.Username[:12]+made(11), secret.Password), basic(made(12)+secret.Username[12:], secret.Password),
		basic(elsewhere.Username, elsewhere.Password), basic(secret.Password, secret.Username), whole + "AAAA", whole[:len(whole)-2],
		strings.Replace(whole, "Basic ", "Bearer ", 1), "Basic " + base64.RawURLEncoding.EncodeToString([]byte(secret.Username)),
	}
}

// TestStrangersMeetAWebServer sends a thousand odd requests.
func TestStrangersMeetAWebServer(t *testing.T) {
	h := newHouse(t, 3)
	rng := rand.New(rand.NewPCG(1, 2))
	hosts := []string{"example.com:443", "127.0.0.1:80", "[::1]:443", "127.0.0.1", "site.test:80", "a.invalid:443", strings.Repeat("a", 16) + ".invalid:443", "*", "-"}
	methods := []string{"CONNECT", "GET", "POST", "OPTIONS", "TRACE", "HEAD", "PUT", "BREW"}
	sent := 0
	check := func(what string, status string) {
		t.Helper()
		sent++
		opened := strings.Contains(status, "200") && !strings.HasSuffix(what, "OPTIONS *") // which net/http itself answers
		if strings.Contains(status, "407") || opened {
			t.Errorf("%s: %s", what, status)
		}
	}
	for round := 0; sent < 1000; round++ {
		for _, credential := range credentialsOfStrangers(rng) {
			method, host := methods[rng.IntN(len(methods))], hosts[rng.IntN(len(hosts))]
			header := http.Header{"Proxy-Authorization": {credential}}
			if method == http.MethodConnect && host == "*" {
				host = "x:1"
			}
			resp, err := h.ask(method, host, []string{"/", "/ping", "/a?b"}[rng.IntN(3)], header)
			if err != nil {
				t.Fatalf("HTTP/2 %s %s: %v", method, host, err)
			}
			if resp.Header.Get("Proxy-Authenticate") != "" {
				t.Errorf("HTTP/2 %s %s: %v", method, host, resp.Header)
			}
			check(fmt.Sprintf("HTTP/2 %s %s", method, host), fmt.Sprint(resp.StatusCode))
			if round > 3 {
				continue // a handshake each takes its time
			}
			target := []string{"/", "http://" + host + "/", "https://" + host + "/", host, "*", "//x"}[rng.IntN(6)]
			extra := []string{"", "Host: a\r\n", "Proxy-Authorization: " + credential + "\r\n", "Expect: 100-continue\r\n", "Transfer-Encoding: odd\r\n", "Upgrade: h2c\r\n"}[rng.IntN(6)]
			head := h.raw(method + " " + target + " HTTP/1." + fmt.Sprint(rng.IntN(3)) + "\r\nHost: " + host + "\r\nProxy-Authorization: " + credential + "\r\n" + extra + "\r\n")
			status, _, _ := strings.Cut(head, "\r\n")
			if strings.Contains(head, "Proxy-Authenticate") {
				t.Errorf("HTTP/1.1: %s", head)
			}
			check("HTTP/1.1 "+method+" "+target, status)
		}
	}
	if got := h.raw("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 405 ") {
		t.Errorf("an anonymous CONNECT: %s", got)
	}
	if got := h.raw("GET /ping HTTP/1.1\r\nHost: nl1.example.net\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
		t.Errorf("the site's own page: %s", got)
	}
	if usage := h.ledger.Usage(nil); len(usage) != 0 {
		t.Errorf("strangers used a key: %+v", usage)
	}
}

// TestOnlyTheProbeAndStaleCredentialsAreChallenged covers every request that gets a 407.
func TestOnlyTheProbeAndStaleCredentialsAreChallenged(t *testing.T) {
	h := newHouse(t, 2)
	live, gone := secretOf(h.keys[0]), secretOf(h.keys[1])
	status := func(method, host string, header http.Header) int {
		t.Helper()
		resp, err := h.ask(method, host, "/", header)
		if err != nil {
			t.Fatal(err)
		}
		wantsAuth := resp.Header.Get("Proxy-Authenticate") != ""
		if wantsAuth != (resp.StatusCode == http.StatusProxyAuthRequired) || wantsAuth && !strings.Contains(resp.Header.Get("Proxy-Authenticate"), `realm="Stile"`) {
			t.Errorf("status %d with %v", resp.StatusCode, resp.Header)
		}
		return resp.StatusCode
	}
	for _, c := range []struct {
		name, method, host string
		header             http.Header
		want               int
	}{
		{"anonymous probe", "CONNECT", live.Probe + ":443", nil, 407},
		{"anonymous probe on another port", "CONNECT", live.Probe + ":80", nil, 407},
		{"anonymous probe by GET", "GET", live.Probe, nil, 407},
		{"probe in capitals", "GET", strings.ToUpper(live.Probe), nil, 407},
		{"wrong password at the probe", "GET", live.Probe, http.Header{"Proxy-Authorization": {basic(live.Username, "x")}}, 407},
		{"probe with credentials", "GET", live.Probe, header(h.keys[0]), 204},
		{"another's probe with credentials", "GET", gone.Probe, header(h.keys[0]), 204},
	} {
		if got := status(c.method, c.host, c.header); got != c.want {
			t.Errorf("%s: status %d, want %d", c.name, got, c.want)
		}
		if c.method == "GET" {
			head := h.raw(c.method + " http://" + c.host + "/ HTTP/1.1\r\nHost: " + c.host + "\r\n" + headerLine(c.header) + "\r\n")
			if !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", c.want)) {
				t.Errorf("%s: %s", c.name, head)
			}
		}
	}
	h.apply(nil, []int64{h.keys[1].ID})
	if got := status("CONNECT", "site.test:80", header(h.keys[1])); got != 407 {
		t.Errorf("the credential of a removed key: status %d, want 407", got)
	}
	if got := status("GET", "site.test", header(h.keys[1])); got != 407 {
		t.Errorf("a plain request with the credential of a removed key: status %d, want 407", got)
	}
	if got := status("CONNECT", gone.Probe+":443", nil); got != 405 {
		t.Errorf("the probe of a removed key: status %d, want 405", got)
	}
	h.ledger.Apply(nil, []int64{h.keys[0].ID}, false) // the plane does not know yet
	if got := status("CONNECT", "site.test:80", header(h.keys[0])); got != 407 {
		t.Errorf("a key that the ledger refuses: status %d, want 407", got)
	}
}

func headerLine(header http.Header) string {
	if header == nil {
		return ""
	}
	return "Proxy-Authorization: " + header["Proxy-Authorization"][0] + "\r\n"
}
