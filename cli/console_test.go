package cli_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"stile/wire"
)

// TestConsoleShowsTheJoinLine: the first operator adds a server in the console and gets the line that its machine joins by.
func TestConsoleShowsTheJoinLine(t *testing.T) {
	add := func(t *testing.T, flags ...string) string {
		m := newMachine(t, "", flags...)
		link := regexp.MustCompile(`(http://[^/]+)/setup/\S+`).FindStringSubmatch(m.log.String())
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		send := func(address string, form url.Values) string {
			resp, err := browser.PostForm(address, form)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode >= 400 {
				t.Fatalf("%s: %d, %v\n%s", address, resp.StatusCode, err, body)
			}
			return string(body)
		}
		send(link[0], url.Values{"email": {"root@example.com"}, "password": {"password123"}})
		page := send(link[1]+"/admin/servers", url.Values{"name": {"Oslo"}, "country": {"NO"}, "host": {"o.example.net"}, "ports": {"8388"}})
		if out := m.stile("server", "list"); !strings.Contains(out, "Oslo") {
			t.Errorf("no server: %s", out)
		}
		return page
	}
	t.Run("listening", func(t *testing.T) {
		page := add(t, "--nodes-listen", "127.0.0.1:0", "--nodes-url", "https://control.example.net:8443")
		line := regexp.MustCompile(`stile node join (stilejoin1_[A-Za-z0-9_-]+)`).FindStringSubmatch(page)
		if line == nil {
			t.Fatalf("no line:\n%s", page)
		}
		token, err := wire.ParseJoinToken(line[1])
		if err != nil || token.URL != "https://control.example.net:8443" || token.NodeID != 2 {
			t.Errorf("%+v: %v", token, err)
		}
	})
	t.Run("alone", func(t *testing.T) {
		if page := add(t); strings.Contains(page, "stilejoin1_") || !strings.Contains(page, "--nodes-listen") {
			t.Errorf("the page does not say what to do:\n%s", page)
		}
	})
}
