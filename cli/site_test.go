package cli_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// The link that serve prints makes the first operator, once; the dashboard and the API answer beside each other.
func TestSetupLinkMakesTheFirstOperator(t *testing.T) {
	m := newMachine(t, "")
	link := regexp.MustCompile(`http://\S+/setup/\S+`).FindString(m.log.String())
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	// visit opens a page, or sends a form when there is one, and returns the status, the path it led to, and the page.
	visit := func(address string, form url.Values) (int, string, string) {
		t.Helper()
		var resp *http.Response
		if form == nil {
			resp, err = browser.Get(address)
		} else {
			resp, err = browser.PostForm(address, form)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Request.URL.Path, string(body)
	}
	if status, _, body := visit(link, nil); status != http.StatusOK || !strings.Contains(body, `name="email"`) {
		t.Fatalf("the page behind %s: %d\n%s", link, status, body)
	}
	form := url.Values{"email": {"root@example.com"}, "password": {"password123"}}
	if status, path, body := visit(link, form); status != http.StatusOK || path != "/admin" {
		t.Fatalf("the set-up leads to %s: %d\n%s", path, status, body)
	}
	if status, _, _ := visit(link, form); status != http.StatusNotFound {
		t.Errorf("the link works twice: %d", status)
	}
	if out := m.stile("user", "list", "--json"); !strings.Contains(out, `"role": "owner"`) {
		t.Errorf("no owner: %s", out)
	}
	if strings.Contains(m.log.String(), "root@example.com") || strings.Count(m.log.String(), link[len(link)-48:]) != 1 {
		t.Errorf("the log names the operator, or the link again:\n%s", m.log)
	}

	for path, want := range map[string]string{
		"/api/nope": "application/json", "/api": "application/json", "/openapi.yaml": "application/yaml", "/healthz": "application/json", "/sub/nothing": "application/json",
		"/docs": "text/html; charset=utf-8", "/nope": "text/html; charset=utf-8", "/account": "text/html; charset=utf-8",
	} {
		resp, err := browser.Get(m.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
