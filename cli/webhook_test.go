package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stile/wire"
)

// hookReceiver is somebody else's program that is told of events.
type hookReceiver struct {
	*httptest.Server
	mu  sync.Mutex
	got map[int64][]wire.Event // by user
}

func receiveHooks(t *testing.T) *hookReceiver {
	r := &hookReceiver{got: map[int64][]wire.Event{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var e wire.Event
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.UserID != nil && e.Event == "device.sign_in" {
			r.got[e.SubjectID] = append(r.got[e.SubjectID], e)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// has reports how many of the devices were told of.
func (r *hookReceiver) has(devices []int64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, id := range devices {
		if len(r.got[id]) > 0 {
			n++
		}
	}
	return n
}

// A receiver that hangs holds up the end of the program, but not the answers to others meanwhile.
func TestAStoppingProgramAnswersWhileItSends(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	defer slow.Close()
	m := newMachine(t, "")
	m.stile("webhook", "add", slow.URL, "--events", "user.*")
	m.addUser("user@example.com")
	<-asked
	if err := m.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for told := time.Now(); time.Since(told) < 3*time.Second; time.Sleep(100 * time.Millisecond) { // within the receiver's ten seconds
		resp, err := http.Get(m.url + "/")
		if err == nil {
			err = resp.Body.Close()
		}
		if err != nil && time.Since(told) < 8*time.Second {
			t.Errorf("no answer after %v: %v", time.Since(told), err)
			break
		}
	}
	close(release)
	<-m.ended
	if code := m.process.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, m.log)
	}
}

// kill -9 while events are written and sent loses none of those whose change was answered.
func TestKillLosesNoEvent(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		m, r := newMachine(t, dsn), receiveHooks(t)
		m.addUser("user@example.com")
		m.stile("webhook", "add", r.URL, "--events", "device.*")
		var devices []int64
		for round := range crashRounds(t) {
			answered := make(chan struct{}, 1)
			var mu sync.Mutex
			var signing sync.WaitGroup
			for i := range 4 {
				signing.Go(func() {
					for n := range 50 {
						d := &device{m: m}
						var answer wire.LoginResponse
						name := fmt.Sprintf("device-%d-%d-%d", round, i, n)
						status, err := d.call(t.Context(), http.MethodPost, "/api/login",
							map[string]any{"email": "user@example.com", "password": testPassword, "device_id": name, "device_name": name}, &answer)
						if err != nil {
							return
						}
						var id int64
						if _, err := fmt.Sscan(answer.DeviceID, &id); status == http.StatusOK && err == nil {
							mu.Lock()
							devices = append(devices, id)
							mu.Unlock()
							select {
							case answered <- struct{}{}:
							default:
							}
						}
					}
				})
			}
			select {
			case <-answered: // or there would be nothing to lose
			case <-time.After(time.Minute):
			}
			time.Sleep(rand.N(time.Second))
			m.kill()
			signing.Wait()
			m.start()
		}
		if len(devices) == 0 {
			t.Fatal("no sign-in was answered in any round")
		}
		// What was under way when the program died is free again after half a minute.
		for deadline := time.Now().Add(3 * time.Minute); r.has(devices) < len(devices); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d events arrived\n%s", r.has(devices), len(devices), m.log)
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		total := 0
		for id, events := range r.got {
			total += len(events)
			for _, e := range events {
				if e.ID != events[0].ID {
					t.Errorf("device %d has the events %d and %d", id, events[0].ID, e.ID)
				}
			}
		}
		t.Logf("%d events of %d sign-ins that were answered, %d of them more than once", total, len(devices), total-len(r.got))
	})
}

// An operator makes a webhook, tries it, sees what was sent, and removes it.
func TestWebhookCommands(t *testing.T) {
	m, r := newMachine(t, ""), receiveHooks(t)
	var made struct {
		ID     int64
		Secret string
		Events []string
		Active bool
	}
	if err := json.Unmarshal([]byte(m.stile("webhook", "add", r.URL, "--events", "user.*,device.sign_in", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(made.Secret, "whsec_") || !made.Active || len(made.Events) != 2 {
		t.Errorf("made %+v", made)
	}
	id := fmt.Sprint(made.ID)
	if out := m.stile("webhook", "test", id); !strings.Contains(out, "Delivered: status 200") {
		t.Errorf("test: %s", out)
	}
	m.addUser("user@example.com")
	m.until("it is told", func() bool {
		return strings.Count(m.stile("webhook", "deliveries", id, "--json"), `"delivered"`) == 2
	})
	for _, text := range []string{m.stile("webhook", "list"), m.stile("webhook", "list", "--json"), m.log.String()} {
		if strings.Contains(text, made.Secret) {
			t.Errorf("the secret is shown again:\n%s", text)
		}
	}
	var list []struct {
		ID    int64
		Event string
	}
	if err := json.Unmarshal([]byte(m.stile("webhook", "deliveries", id, "--limit", "1", "--json")), &list); err != nil || len(list) != 1 || list[0].Event != "user.add" {
		t.Fatalf("deliveries: %+v, %v", list, err)
	}
	m.stile("webhook", "redeliver", fmt.Sprint(list[0].ID))
	m.until("it is sent once more", func() bool {
		return strings.Contains(m.stile("webhook", "deliveries", id, "--limit", "1", "--json"), `"attempts": 2`)
	})
	m.stile("webhook", "set", id, "--url", "http://127.0.0.1:1/hook", "--off")
	if out := m.stile("webhook", "list"); !strings.Contains(out, "off") || !strings.Contains(out, "http://127.0.0.1:1/hook") {
		t.Errorf("list: %s", out)
	}
	m.stile("webhook", "set", id, "--on")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"connection refused", []string{"test", id}},
		{"no webhook 99; `stile webhook list`", []string{"test", "99"}},
		{"events: want", []string{"add", r.URL, "--events", "key.*"}},
		{"url: want", []string{"add", "ftp://example.com", "--events", "*"}},
	} {
		cmd := exec.Command(stileBinary, append([]string{"webhook"}, c.args...)...)
		cmd.Env = m.env()
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("webhook %v: %v, %s", c.args, err, out)
		}
	}
	m.stile("webhook", "remove", id)
	if out := m.stile("webhook", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("list: %s", out)
	}
}

// A node's coming is told, and the page of mails stands beside the API.
func TestServeTellsOfItsNode(t *testing.T) {
	m := &machine{t: t, data: t.TempDir(), log: new(lockedBuffer)}
	m.stile("plan", "add", "standard")
	m.stile("webhook", "add", "http://127.0.0.1:1/", "--events", "node.*")
	m.start()
	m.until("the node is told", func() bool { return strings.Contains(m.stile("webhook", "deliveries", "1", "--json"), "node.online") })
	resp, err := http.Post(m.url+"/mail/off/nonsense", "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || resp.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
}
