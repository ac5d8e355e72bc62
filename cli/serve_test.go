package cli_test

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/cli"
)

func TestDemoOnce(t *testing.T) {
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if code := cli.Run(ctx, []string{"demo", "--once", "--listen", "127.0.0.1:0"}, &cli.Terminal{Out: &out, Err: &errs, In: strings.NewReader("")}); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, &out, &errs)
	}
	for _, want := range []string{
		`curl --request POST "http://127.0.0.1:`, `/api/login"`, `/api/user"`, `/api/subscription"`, `/api/userApp"`, `/api/servers"`, `/api/key"`,
		`/api/logout"`, "active_connections of server 1 rose to 1", `{"message":"Выход из системы выполнен успешно"}`,
		"a new connection with the key gets nothing", "All 8 steps worked.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not print %q:\n%s", want, &out)
		}
	}
}

func TestSecondServeIsRefused(t *testing.T) {
	m := newMachine(t, "")
	cmd := exec.Command(stileBinary, "serve", "--listen", "127.0.0.1:0", "--shadowsocks-ports", "0")
	cmd.Env = m.env()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another stile process uses "+m.data) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSetupLinkUntilAnOperatorExists(t *testing.T) {
	m := newMachine(t, "")
	if !strings.Contains(m.log.String(), m.url+"/setup/") {
		t.Errorf("no set-up link:\n%s", m.log)
	}
	m.stop()
	m.stile("user", "add", "root@example.com", "--operator")
	before := len(m.log.String())
	m.start()
	if strings.Contains(m.log.String()[before:], "/setup/") {
		t.Errorf("a set-up link although there is an operator:\n%s", m.log)
	}
}

// SIGTERM under load: every request that reached the program is answered, and the exit code is 0.
func TestStopAnswersWhatWasAsked(t *testing.T) {
	m := newMachine(t, "")
	m.addUser("user@example.com")
	d := m.signIn("user@example.com", "laptop")
	var answered, failed atomic.Int64
	var stopping atomic.Bool
	var wg sync.WaitGroup
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	defer transport.CloseIdleConnections()
	for range 32 {
		wg.Go(func() {
			for {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, m.url+"/api/user", nil)
				req.Header.Set("Authorization", "Bearer "+d.token)
				resp, err := (&http.Client{Transport: transport}).Do(req)
				if err != nil {
					// A connection that was refused, or reset by the kernel before it was accepted, was never the program's;
					// anything else it took and dropped.
					isOutside := strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "connection reset")
					if !stopping.Load() || !isOutside {
						failed.Add(1)
						t.Errorf("a request failed: %v", err)
					}
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Errorf("a request was answered with %d", resp.StatusCode)
					return
				}
				answered.Add(1)
			}
		})
	}
	m.until("requests are answered", func() bool { return answered.Load() > 100 || failed.Load() > 0 })
	stopping.Store(true)
	if code := m.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, m.log)
	}
	wg.Wait()
	if answered.Load() == 0 || failed.Load() != 0 {
		t.Errorf("%d answered, %d failed", answered.Load(), failed.Load())
	}
}

func TestAddressesWhenListeningEverywhere(t *testing.T) {
	m := newMachine(t, "", "--listen", ":0", "--node-host", "localhost", "--node-listen", "127.0.0.1")
	if !strings.HasPrefix(m.url, "http://localhost:") {
		t.Errorf("the API is announced at %s", m.url)
	}
	m.addUser("user@example.com")
	key := m.signIn("user@example.com", "laptop").key()
	if !strings.HasPrefix(key.Server.APIURL, "http://localhost:") || key.Shadowsocks.Host != "localhost" {
		t.Errorf("ping at %s, keys for %s", key.Server.APIURL, key.Shadowsocks.Host)
	}
}

// Flags of the embedded node that do nothing are named, and are no fault.
func TestFlagsThatDoNothingAreNamed(t *testing.T) {
	m := newMachine(t, "", "--no-node", "--https-port", "443")
	for _, flag := range []string{"--https-port", "--shadowsocks-ports", "--allow-target"} { // the latter of machine.start
		if said := m.log.String(); !strings.Contains(said, "this does nothing") || !strings.Contains(said, "flag="+flag) {
			t.Errorf("%s is not named:\n%s", flag, said)
		}
	}
}
