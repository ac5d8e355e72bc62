package cli_test

import (
	"bufio"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// What a page shows live comes through the whole program as it is said, and a stream that is open does not keep the program
// from stopping.
func TestLiveThroughTheProgram(t *testing.T) {
	m := newMachine(t, "")
	m.addUser("user@example.com")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	signedIn, err := browser.PostForm(m.url+"/signin", url.Values{"email": {"user@example.com"}, "password": {testPassword}})
	if err != nil {
		t.Fatal(err)
	}
	defer signedIn.Body.Close()
	if signedIn.StatusCode != http.StatusOK {
		t.Fatal(signedIn.Status)
	}
	resp, err := browser.Get(m.url + "/account/servers/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), `"l1":0`) { // online at the second reading, if not at the first
	}
	if !strings.Contains(lines.Text(), `"c1":0`) {
		t.Errorf("%q does not tell of the embedded node: %v", lines.Text(), lines.Err())
	}
	if code := m.stop(); code != 0 { // it would be 1 after half a minute of waiting
		t.Errorf("exit code %d\n%s", code, m.log)
	}
	for lines.Scan() {
	}
}
