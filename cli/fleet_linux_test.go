package cli_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stile/client"
	"stile/internal/testca"
	"stile/wire"
)

// fleet is a control plane on c, a node on n, and a user with a site of the test on u: real processes in network
// namespaces.
type fleet struct {
	*machine
	network *network
	node    *nodeProcess
	site    string
	server  int64
	ca      string // file of the authority that certified the node's name
}

// nodeProcess is `stile node run` on a machine of its own.
type nodeProcess struct {
	f       *fleet
	data    string
	args    []string // of `stile node run`
	log     *lockedBuffer
	process *exec.Cmd
	ended   chan struct{}
}

// newFleet starts all of it and joins the node.
func newFleet(t testing.TB, dsn string) *fleet {
	t.Helper()
	w := newNetwork(t)
	f := &fleet{network: w, machine: &machine{t: t, data: t.TempDir(), dsn: dsn, log: new(lockedBuffer), within: w.on("c"), client: w.httpClient("u"),
		args: []string{"--listen", "198.18.0.1:8000", "--no-node", "--nodes-listen", "198.18.0.1:8443"}}}
	f.stile("plan", "add", "standard", "--devices", "1000", "--days", "30", "--tier", "1")
	f.start()
	f.site = w.serveSite()
	line := f.stile("server", "add", "Амстердам 1", "--country", "NL", "--city", "Amsterdam", "--host", "198.18.0.2", "--ports", "8388-8389", "--https-port", "8444", "--json")
	var made struct {
		ID   int64  `json:"id"`
		Join string `json:"join"`
	}
	if err := json.Unmarshal([]byte(line), &made); err != nil {
		t.Fatal(err)
	}
	f.server = made.ID
	ca, cert, key := testca.New(t).Files(t, t.TempDir(), "198.18.0.2")
	f.ca = ca
	f.node = &nodeProcess{f: f, data: t.TempDir(), log: new(lockedBuffer), args: []string{"--tls-cert", cert, "--tls-key", key}}
	out, err := f.node.command(append(strings.Fields(made.Join)[1:], "--data", f.node.data)...)
	if err != nil {
		t.Fatalf("node join: %v\n%s", err, out)
	}
	f.node.start()
	began := time.Now()
	f.online(true)
	t.Logf("online %v after its start", time.Since(began).Round(time.Millisecond))
	return f
}

// serveSite serves pages of any size on u: /N has N bytes.
func (w *network) serveSite() string {
	l := w.listen("u", "198.18.0.3:80")
	site := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		size, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/"), 10, 64)
		if err != nil {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		_, _ = io.CopyN(rw, zeros{}, size)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = site.Serve(l) })
	w.t.Cleanup(func() { _ = site.Close(); serving.Wait() })
	return "http://198.18.0.3"
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// command runs stile on the node's machine until it ends.
func (n *nodeProcess) command(args ...string) (string, error) {
	args = append(n.f.network.on("n"), append([]string{stileBinary}, args...)...)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return string(out), err
}

// start runs the node.
func (n *nodeProcess) start() {
	n.f.t.Helper()
	args := append(n.f.network.on("n"), stileBinary, "node", "run", "--data", n.data, "--allow-target", "198.18.0.3/32", "--usage-every", "200ms")
	args = append(args, n.args...)
	n.process = exec.Command(args[0], args[1:]...)
	n.process.Stdout, n.process.Stderr = n.log, n.log
	if err := n.process.Start(); err != nil {
		n.f.t.Fatal(err)
	}
	process, ended := n.process, make(chan struct{})
	n.ended = ended
	go func() { _ = process.Wait(); close(ended) }()
	n.f.t.Cleanup(func() { _ = process.Process.Kill(); <-ended })
}

// stop ends the node as a reboot does, with a signal or with none (SIGKILL).
func (n *nodeProcess) stop(s syscall.Signal) {
	n.f.t.Helper()
	_ = n.process.Process.Signal(s)
	select {
	case <-n.ended:
	case <-time.After(time.Minute):
		n.f.t.Fatalf("the node does not stop:\n%s", n.log)
	}
}

// online waits until the service lists the server or does not.
func (f *fleet) online(want bool) {
	f.t.Helper()
	d := f.viewer()
	f.until(fmt.Sprintf("online: %v", want), func() bool {
		var list wire.ServersResponse
		status := d.post("/api/servers", map[string]any{}, &list)
		return status == http.StatusOK && (len(list.Data) > 0) == want
	})
}

// inStep waits until the node has all that is in the database, as `stile node list` shows it.
func (f *fleet) inStep() {
	f.t.Helper()
	f.until("the node is in step", func() bool {
		var nodes []struct {
			State string `json:"state"`
			Lag   int64  `json:"lag"`
			Rev   int64  `json:"rev"`
		}
		if err := json.Unmarshal([]byte(f.stile("node", "list", "--json")), &nodes); err != nil {
			f.t.Fatal(err)
		}
		return len(nodes) == 1 && nodes[0].State == "online" && nodes[0].Lag == 0 && nodes[0].Rev > 0
	})
}

// viewer is a device that looks at lists.
func (f *fleet) viewer() *device {
	const email = "viewer@example.com"
	if !strings.Contains(f.stile("user", "list"), email) {
		f.addUser(email)
	}
	return f.signIn(email, "viewer")
}

// user makes an account with a device, and its key.
func (f *fleet) user(email string) (*device, wire.IssuedKey) {
	f.t.Helper()
	f.addUser(email)
	d := f.signIn(email, "phone")
	return d, d.key()
}

// through returns a client that goes through a key, from u.
func (f *fleet) through(key wire.IssuedKey) *http.Client {
	f.t.Helper()
	tunnel, err := client.NewTunnel(key.Key)
	if err != nil {
		f.t.Fatal(err)
	}
	transport := &http.Transport{DialContext: f.network.dialer("u", tunnel.DialContext), DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// load makes one connection through a key and loads so many bytes.
func (f *fleet) load(key wire.IssuedKey, size int64) error {
	resp, err := f.through(key).Get(fmt.Sprintf("%s/%d", f.site, size))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes came", n, size)
	}
	return err
}

// curl loads so many bytes through a key's HTTPS proxy, from u: Debian's curl with nothing but the answer of /api/key.
func (f *fleet) curl(key wire.IssuedKey, size int64) error {
	f.t.Helper()
	if key.HTTPS == nil {
		return errors.New("the key has no https")
	}
	args := append(f.network.on("u"), "curl", "-sS", "--max-time", "30", "--proxy-cacert", f.ca, "--proxy", key.HTTPS.URI(), "--proxytunnel",
		"-o", "/dev/null", "-w", "%{http_connect} %{http_code} %{size_download}", fmt.Sprintf("%s/%d", f.site, size))
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if want := fmt.Sprintf("200 200 %d", size); err == nil && string(out) != want {
		err = fmt.Errorf("want %q", want)
	}
	if err != nil {
		return fmt.Errorf("curl (Debian's curl): %w: %s", err, out)
	}
	return nil
}

// used is what the database has counted for a device's user.
func (f *fleet) used(d *device) int64 {
	f.t.Helper()
	var s wire.SubscriptionResponse
	if status := d.get("/api/subscription", &s); status != http.StatusOK {
		f.t.Fatalf("/api/subscription: %d", status)
	}
	return s.Traffic.UsedBytes
}

func TestFleetJoinsCarriesAndRevokes(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		f := newFleet(t, dsn)
		d, key := f.user("a@example.com")
		if err := f.load(key, 1<<20); err != nil {
			t.Fatalf("the key is ready, and: %v\n%s", err, f.node.log)
		}
		f.until("the traffic is booked", func() bool { return f.used(d) > 1<<20 })
		f.inStep()
		if shown := f.stile("node", "show", strconv.FormatInt(f.server, 10)); !strings.Contains(shown, "online") || !strings.Contains(shown, "89 days") {
			t.Errorf("node show:\n%s", shown)
		}
		if out, err := f.node.command("node", "doctor", "--data", f.node.data); err != nil {
			t.Errorf("doctor: %v\n%s", err, out)
		}

		resp, err := f.through(key).Get(f.site + "/" + strconv.Itoa(1<<50)) // has no end
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		flowing := &download{ended: make(chan struct{})}
		go func() {
			defer close(flowing.ended)
			_, _ = io.Copy(io.Discard, resp.Body)
		}()
		if status := d.post("/api/logout", nil, nil); status != http.StatusOK {
			t.Fatalf("logout: %d", status)
		}
		answered := time.Now()
		select {
		case <-flowing.ended:
			t.Logf("the last byte came %v after the answer", time.Since(answered).Round(10*time.Microsecond))
		case <-time.After(time.Minute):
			t.Fatal("the revoked key goes on")
		}
		if err := f.load(key, 1); err == nil {
			t.Error("a revoked key connects")
		}

		f.stile("node", "revoke", strconv.FormatInt(f.server, 10))
		select {
		case <-f.node.ended:
		case <-time.After(time.Minute):
			t.Fatalf("the revoked node goes on:\n%s", f.node.log)
		}
		if code := f.node.process.ProcessState.ExitCode(); code != 78 || !strings.Contains(f.node.log.String(), "stile server join") {
			t.Errorf("exit code %d:\n%s", code, f.node.log)
		}
		f.node.start()
		<-f.node.ended
		if code := f.node.process.ProcessState.ExitCode(); code != 78 {
			t.Errorf("a revoked node that is started again ends with %d:\n%s", code, f.node.log)
		}
		f.online(false)
	})
}

// A node's HTTPS proxy, on a machine that knows neither the service's secret nor the database: a key carries a page, a
// revoked one does not and is asked for another, and strangers see a web server. The door comes with what the node is told
// when it joins, or, to one that joined before there was any, when it starts; it is in no log.
func TestANodesHTTPSProxyCarries(t *testing.T) {
	f := newFleet(t, "")
	d, key := f.user("a@example.com")
	if err := f.curl(key, 1<<20); err != nil {
		t.Fatalf("%v\n%s", err, f.node.log)
	}
	f.until("the traffic is booked", func() bool { return f.used(d) > 1<<20 })
	name := filepath.Join(f.node.data, "identity.json")
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the identity's file: %v, %v", info.Mode(), err)
	}
	var identity map[string]any
	read := func() {
		raw, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(raw, &identity)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read()
	door, _ := identity["door"].(string)
	if raw, err := base64.StdEncoding.DecodeString(door); err != nil || len(raw) != 32 {
		t.Fatalf("a door of %d bytes, %v", len(raw), err)
	}

	f.node.stop(syscall.SIGTERM)
	delete(identity, "door")
	delete(identity, "https_port")
	raw, err := json.Marshal(identity)
	if err == nil {
		err = os.WriteFile(name, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if said := f.stile("server", "set", strconv.FormatInt(f.server, 10), "--ports", "8390-8391", "--https-port", "8445"); !strings.Contains(said, "moves there within seconds") {
		t.Errorf("server set says %q", said)
	}
	f.node.start()
	f.until("the node has what it was not told before", func() bool { read(); return identity["door"] == door })
	f.until("the key goes on at the new port", func() bool {
		status := d.post("/api/key", map[string]any{"server_id": f.server}, &key)
		return status == http.StatusOK && key.Ready && key.HTTPS != nil && key.HTTPS.Port == 8445 && f.curl(key, 1000) == nil
	})
	if err := f.load(key, 1000); err != nil || key.Shadowsocks.Port < 8390 {
		t.Errorf("Shadowsocks on port %d: %v", key.Shadowsocks.Port, err)
	}
	d.rotated(f.server)
	if err := f.curl(key, 1000); err == nil || !strings.Contains(err.Error(), "407") {
		t.Errorf("a key that was replaced: %v", err)
	}
	if strings.Contains(f.node.log.String()+f.log.String(), door) {
		t.Error("the door is in a log")
	}
}

// outage is how long the control plane is away; `make soak` makes it ten minutes.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("STILE_TEST_OUTAGE")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 10*time.Second {
		t.Fatalf("STILE_TEST_OUTAGE=%q: want 10s or more", text)
	}
	return d
}

// The control plane is cut off; the node goes on, also across its own reboot, ends what expires meanwhile on time, and
// reports every byte afterwards.
func TestANodeOutlivesAnOutage(t *testing.T) {
	f := newFleet(t, "")
	stays, key := f.user("stays@example.com")
	_, expiring := f.user("expires@example.com")
	before := f.used(stays)
	if err := f.load(key, 1000); err != nil {
		t.Fatal(err)
	}
	f.until("the first bytes are booked", func() bool { return f.used(stays) > before })
	perLoad := f.settled(stays) - before // with what closing the connection takes

	long := outage(t)
	deadline := time.Now().Add(long / 2).Truncate(time.Second)
	f.stile("user", "expire", "expires@example.com", deadline.UTC().Format(time.RFC3339))
	f.inStep()
	f.network.cut("c")
	loads, failed := 1, 0
	rebooted := false
	for began := time.Now(); time.Since(began) < long; {
		if !rebooted && time.Since(began) > long/4 {
			f.node.stop(syscall.SIGTERM)
			f.node.start()
			f.listens()
			rebooted = true
		}
		if err := f.load(key, 1000); err != nil {
			failed++
			t.Errorf("an existing key fails: %v", err)
		}
		loads++
		asked := time.Now()
		err := f.load(expiring, 1)
		switch {
		case err != nil && time.Now().Before(deadline):
			t.Errorf("the other key fails before its time: %v", err)
		case err == nil && asked.After(deadline.Add(3*time.Second)):
			t.Error("a key connects after its time")
		}
		time.Sleep(100 * time.Millisecond)
	}
	f.network.mend("c")
	want := before + int64(loads)*perLoad
	// After a long outage the node tries again once a minute or so.
	f.untilWithin(3*time.Minute, fmt.Sprintf("every byte of %d is booked", want), func() bool { return f.used(stays) == want })
	t.Logf("%d connects, %d failed, %d bytes booked", loads, failed, want-before)
}

// listens waits until the node's ports are open.
func (f *fleet) listens() {
	f.t.Helper()
	f.until("the node listens", func() bool {
		var conn net.Conn
		err := f.network.do("u", func() (err error) {
			conn, err = net.DialTimeout("tcp", "198.18.0.2:8388", time.Second)
			return err
		})
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// settled returns what is booked once that has stopped to grow.
func (f *fleet) settled(d *device) int64 {
	f.t.Helper()
	last, since, looks := f.used(d), time.Now(), 0
	f.until("no more is booked", func() bool {
		looks++ // a busy machine may let little happen in two seconds
		if now := f.used(d); now != last {
			last, since, looks = now, time.Now(), 0
		}
		return time.Since(since) > 2*time.Second && looks > 20
	})
	return last
}

// onlines is how often the node has been welcomed so far.
func (f *fleet) onlines() int { return strings.Count(f.log.String(), "a node is online") }

// kill -9 of either side at random moments: what the plane counted and wrote down is booked, once. Of what it counted in
// the last interval before the node itself is killed, nothing may be booked twice.
func TestUsageIsBookedOnceThroughKills(t *testing.T) {
	f := newFleet(t, "")
	d, key := f.user("a@example.com")
	const size = 100_000
	if err := f.load(key, size); err != nil {
		t.Fatal(err)
	}
	perLoad := f.settled(d)
	if perLoad < size {
		t.Fatalf("%d bytes are booked for %d", perLoad, size)
	}
	booked, kills := perLoad, 0
	rounds := crashRounds(t)
	for round := range rounds {
		loads := int64(1 + rand.IntN(5))
		var traffic sync.WaitGroup
		traffic.Go(func() {
			for range loads {
				if err := f.load(key, size); err != nil {
					t.Errorf("round %d: an existing key fails: %v", round, err)
				}
			}
		})
		time.Sleep(rand.N(300 * time.Millisecond))
		f.kill()
		kills++
		traffic.Wait()
		if round%2 == 0 { // what is written down and not yet reported outlives the node too
			time.Sleep(2*time.Second + rand.N(200*time.Millisecond)) // ten intervals: a busy node is late
			f.node.stop(syscall.SIGKILL)
			f.node.start()
			f.listens()
			kills++
		}
		f.start()
		booked += loads * perLoad
		f.untilWithin(3*time.Minute, fmt.Sprintf("round %d: %d bytes are booked", round, booked), func() bool { return f.used(d) == booked })

		// In the middle of traffic the last interval of the node is lost, and nothing else.
		ended := make(chan error, 1)
		go func() { ended <- f.load(key, 50*size) }()
		time.Sleep(rand.N(300 * time.Millisecond))
		f.node.stop(syscall.SIGKILL)
		kills++
		whole := <-ended == nil
		welcomed := f.onlines()
		f.node.start()
		f.listens()
		f.until("the node is back", func() bool { return f.onlines() > welcomed })
		now := f.settled(d)
		if most := booked + 51*perLoad; now < booked || now > most || (!whole && now == most) {
			t.Fatalf("round %d: %d bytes are booked, between %d and %d were carried", round, now, booked, most)
		}
		booked = now
	}
	t.Logf("%d kills, %d bytes booked", kills, booked)
}
