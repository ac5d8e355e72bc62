package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stile/accesskey"
	"stile/hub"
	"stile/store"
	"stile/vpn"
	"stile/wire"
)

// simNode is a node without planes: a real client of the listener, with a certificate of its own, that acknowledges
// whatever it is sent.
type simNode struct {
	id     int64
	url    string
	client *http.Transport
	hello  wire.Hello

	mu      sync.Mutex
	cancel  context.CancelFunc
	session uint64
	stream  string
	pos     vpn.NodePosition
}

// simFleet is simulated nodes and what they count together.
type simFleet struct {
	nodes    []*simNode
	bytes    atomic.Int64 // on all connections, both ways, TLS and HTTP included
	frames   atomic.Int64 // of those, frames for nodes
	welcomed atomic.Int64
	inStep   atomic.Int64
	running  sync.WaitGroup
}

// counted counts a connection's bytes.
type counted struct {
	net.Conn
	bytes *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// addSimNodes makes servers, with the nodes that have joined as them, and keys keys on each.
func (m *machine) addSimNodes(n, keys int, url string, dial func(context.Context, string, string) (net.Conn, error)) *simFleet {
	m.t.Helper()
	st := m.openStore()
	defer func() { _ = st.Close() }()
	ctx := context.Background()
	authority, _, err := hub.OpenAuthority(ctx, st, nil)
	m.must(err)
	ca, err := x509.ParseCertificate(authority.Certificate())
	m.must(err)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	f := &simFleet{nodes: make([]*simNode, n)}
	m.parallel(n, func(i int) error {
		s, err := st.AddServer(ctx, vpn.Server{Name: fmt.Sprintf("sim %d", i), CountryCode: "NL", Host: "192.0.2.1", State: vpn.ServerDrained,
			Protocols: []vpn.Protocol{vpn.Shadowsocks}, ShadowsocksPort: 8388, ShadowsocksPorts: 1}, vpn.Audit{Action: "server.add"})
		if err != nil {
			return err
		}
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		spki, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return err
		}
		until := time.Now().Add(hub.CertificateLife)
		token := vpn.TokenHash(sha256.Sum256(spki))
		if err := st.SetJoinToken(ctx, s.ID, token, time.Now().Add(time.Hour), vpn.Audit{Action: "node.token"}); err != nil {
			return err
		}
		if err := st.RedeemJoin(ctx, vpn.Joining{NodeID: s.ID, Token: token, Key: sha256.Sum256(spki), CertifiedUntil: until}, vpn.Audit{Action: "node.join"}); err != nil {
			return err
		}
		certificate, err := authority.CertifyNode(s.ID, public, until)
		if err != nil {
			return err
		}
		var protocols http.Protocols
		protocols.SetHTTP2(true)
		f.nodes[i] = &simNode{id: s.ID, url: url, client: &http.Transport{
			Protocols: &protocols,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				return counted{conn, &f.bytes}, err
			},
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}, RootCAs: roots, ServerName: wire.ControlName,
				Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: private}}},
		}}
		return nil
	})
	const serversEach = 20 // of a device: as a person has it
	devices := make([]int64, keys*(n/serversEach+1))
	user := int64(0)
	if keys > 0 {
		u, err := st.AddUser(ctx, vpn.NewUser{Email: "sim@example.com", Locale: "en"}, vpn.Audit{Action: "user.add"})
		m.must(err)
		user = u.ID
	}
	m.parallel(len(devices), func(i int) error {
		in, err := st.SignIn(ctx, vpn.NewSession{UserID: user, ClientID: strconv.Itoa(i), Name: "d", Platform: vpn.PlatformLinux,
			TokenHash: sha256.Sum256(fmt.Append(nil, "sim", i)), DeviceLimit: len(devices)}, vpn.Audit{Action: "device.sign_in"})
		devices[i] = in.DeviceID
		return err
	})
	m.parallel(n*keys, func(i int) error {
		seed, err := accesskey.New()
		if err != nil {
			return err
		}
		_, err = st.IssueKey(ctx, vpn.NewKey{UserID: user, DeviceID: devices[i%keys+keys*(i/keys/serversEach)], ServerID: f.nodes[i/keys].id, Seed: seed}, vpn.Audit{Action: "key.issue"})
		return err
	})
	for _, s := range f.nodes {
		s.pos, err = st.NodePosition(ctx, s.id)
		m.must(err)
	}
	return f
}

func (m *machine) openStore() *store.Store {
	m.t.Helper()
	raw, err := os.ReadFile(m.data + "/secret.key")
	m.must(err)
	var secret [32]byte
	_, err = hex.Decode(secret[:], bytes.TrimSpace(raw))
	m.must(err)
	dsn := m.dsn
	if dsn == "" {
		dsn = m.data + "/stile.db"
	}
	st, err := store.Open(context.Background(), store.Config{DSN: dsn, Secret: secret})
	m.must(err)
	return st
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// parallel calls f for 0 to n-1, 128 at a time.
func (m *machine) parallel(n int, f func(i int) error) {
	m.t.Helper()
	var next, failed atomic.Int64
	var working sync.WaitGroup
	for range min(128, n) {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == 0; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					failed.Add(1)
					m.t.Error(err)
				}
			}
		})
	}
	working.Wait()
	if failed.Load() > 0 {
		m.t.FailNow()
	}
}

// connect starts all nodes, each of which says where it stands: at its position, or nowhere.
func (f *simFleet) connect(isCold bool) {
	f.welcomed.Store(0)
	f.inStep.Store(0)
	for _, s := range f.nodes {
		s.hello = wire.Hello{Proto: wire.Protocol, NodeID: s.id, BootID: 1}
		if !isCold {
			s.hello.Epoch, s.hello.Rev, s.hello.Count, s.hello.Digest = s.pos.Epoch, s.pos.Rev, int64(s.pos.Count), s.pos.Digest
		}
		ctx, cancel := context.WithCancel(context.Background())
		s.mu.Lock()
		s.cancel = cancel
		s.mu.Unlock()
		f.running.Go(func() { f.run(ctx, s) })
	}
}

func (f *simFleet) disconnect() {
	for _, s := range f.nodes {
		s.cancel()
	}
	f.running.Wait()
	for _, s := range f.nodes {
		s.client.CloseIdleConnections()
	}
}

// run keeps a link as a node does: with full jitter from one second on.
func (f *simFleet) run(ctx context.Context, s *simNode) {
	for failures := 0; ctx.Err() == nil; failures++ {
		after := f.link(ctx, s)
		pause := time.Duration(randomUpTo(int64(min(time.Minute, time.Second<<min(failures, 6)))))
		if after > 0 {
			pause, failures = after-time.Duration(randomUpTo(int64(time.Second))), failures-1
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func randomUpTo(n int64) int64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	v := int64(0)
	for _, c := range b[:7] {
		v = v<<8 | int64(c)
	}
	return v % n
}

func (s *simNode) do(ctx context.Context, path, stream string, body []byte) (*http.Response, time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	if stream != "" {
		r.Header.Set(wire.StreamHeader, stream)
	}
	answer, err := s.client.RoundTrip(r)
	if err != nil {
		return nil, 0, err
	}
	if answer.StatusCode/100 != 2 {
		_ = answer.Body.Close()
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return nil, time.Duration(seconds) * time.Second, errors.New(answer.Status)
	}
	return answer, 0, nil
}

func (s *simNode) send(ctx context.Context, f wire.Frame) error {
	answer, _, err := s.do(ctx, wire.PathFrames, s.stream, wire.Append(nil, f))
	if err == nil {
		_ = answer.Body.Close()
	}
	return err
}

// link is one stream; it returns how long the control plane asks to wait.
func (f *simFleet) link(ctx context.Context, s *simNode) time.Duration {
	answer, after, err := s.do(ctx, wire.PathStream, "", nil)
	if err != nil {
		return after
	}
	defer func() { _ = answer.Body.Close() }()
	s.stream = answer.Header.Get(wire.StreamHeader)
	if s.send(ctx, &s.hello) != nil {
		return 0
	}
	r := bufio.NewReaderSize(answer.Body, 1024)
	var rev, epoch int64
	var digest wire.Digest
	for {
		frame, err := wire.Read(r)
		if err != nil {
			return 0
		}
		f.frames.Add(int64(len(wire.Encode(frame))))
		var reply wire.Frame
		switch frame := frame.(type) {
		case *wire.Welcome:
			s.session, epoch = frame.Session, frame.Epoch
			f.welcomed.Add(1)
			if frame.Mode == wire.ModeResume {
				rev, digest = s.hello.Rev, s.hello.Digest
				f.inStep.Add(1)
				reply = &wire.Ack{Session: s.session, Epoch: epoch, Rev: rev}
			}
		case *wire.SnapshotBegin:
			epoch, digest = frame.Epoch, frame.Digest
		case *wire.SnapshotEnd:
			rev = frame.Rev
			f.inStep.Add(1)
			reply = &wire.Ack{Session: s.session, Epoch: epoch, Rev: rev}
		case *wire.Delta:
			rev, digest = frame.ToRev, frame.Digest
			reply = &wire.Ack{Session: s.session, Epoch: epoch, Rev: rev}
		case *wire.ServerBeat:
			reply = &wire.NodeBeat{Session: s.session, Epoch: epoch, Rev: rev, Digest: digest}
		}
		if reply != nil && s.send(ctx, reply) != nil {
			return 0
		}
	}
}

// raiseLimit raises the soft limit of open files of this process and what it starts.
func raiseLimit(t testing.TB) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}

// resident is a process's memory in bytes.
func resident(t testing.TB, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// processorTime is what a process has used of the processors.
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // behind the name; utime and stime are the 12th and 13th from there
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// percentile of durations, in milliseconds.
func percentile(d []time.Duration, p float64) float64 {
	d = slices.Sorted(slices.Values(d))
	if len(d) == 0 {
		return -1
	}
	return float64(d[int(p*float64(len(d)-1))].Microseconds()) / 1000
}

// number reads a size of a benchmark from the environment.
func number(t testing.TB, name string, fallback int) int {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number", name, text)
	}
	return n
}

// probe asks the API every few milliseconds until ctx ends, and returns the times of the answers.
func (d *device) probe(ctx context.Context) <-chan []time.Duration {
	out := make(chan []time.Duration, 1)
	go func() {
		var took []time.Duration
		for ctx.Err() == nil {
			began := time.Now()
			if status, err := d.call(context.Background(), http.MethodGet, "/api/user", nil, nil); err == nil && status == http.StatusOK {
				took = append(took, time.Since(began))
			}
			time.Sleep(3 * time.Millisecond)
		}
		out <- took
	}()
	return out
}

// fromEverywhere dials from an address of its own each time, as nodes do: the control plane bounds what one address may.
func fromEverywhere() func(context.Context, string, string) (net.Conn, error) {
	var next atomic.Uint32
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		n := next.Add(1)
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1+byte(n>>16), byte(n>>8), byte(n))}}
		return dialer.DialContext(ctx, network, address)
	}
}

// storm is a control plane with simulated nodes, each with so many keys, and who asks its API.
func storm(b *testing.B, n, keys int, args ...string) (*machine, *simFleet, *device) {
	raiseLimit(b)
	const listen = "127.0.0.1:18443"
	m := newMachine(b, "", append([]string{"--no-node", "--nodes-listen", listen}, args...)...)
	m.addUser("prober@example.com")
	prober := m.signIn("prober@example.com", "prober")
	m.stop()
	began := time.Now()
	f := m.addSimNodes(n, keys, "https://"+listen, fromEverywhere())
	b.Logf("%d nodes with %d keys made in %v", n, keys, time.Since(began).Round(time.Second))
	m.start()
	return m, f, prober
}

// BenchmarkFleetStorm lets STILE_BENCH_NODES nodes with 300 keys each come back at once after a restart of the control plane:
// first when nothing has changed, then with nothing in hand.
func BenchmarkFleetStorm(b *testing.B) {
	n := number(b, "STILE_BENCH_NODES", 1000)
	m, f, prober := storm(b, n, number(b, "STILE_BENCH_KEYS", 300))
	for _, isCold := range []bool{false, true} {
		name := "resume"
		if isCold {
			name = "cold"
		}
		b.Run(name, func(b *testing.B) {
			for range b.N {
				f.bytes.Store(0)
				f.frames.Store(0)
				ctx, stop := context.WithCancel(context.Background())
				took := prober.probe(ctx)
				began, used := time.Now(), processorTime(b, m.process.Process.Pid)
				f.connect(isCold)
				for f.inStep.Load() < int64(n) && time.Since(began) < 20*time.Minute {
					time.Sleep(10 * time.Millisecond)
				}
				all := time.Since(began)
				if f.inStep.Load() < int64(n) {
					b.Fatalf("%d of %d are in step", f.inStep.Load(), n)
				}
				used = processorTime(b, m.process.Process.Pid) - used
				total, frames := f.bytes.Load(), f.frames.Load()
				stop()
				times := <-took
				b.ReportMetric(all.Seconds(), "s-until-all")
				b.ReportMetric(float64(used.Microseconds())/float64(n)/1000, "serve-cpu-ms/node")
				b.ReportMetric(float64(total)/float64(n), "wire-B/node")
				b.ReportMetric(float64(frames)/float64(n), "frame-B/node")
				b.ReportMetric(percentile(times, 0.99), "api-p99-ms")
				b.ReportMetric(load(b), "load")
				f.disconnect()
				time.Sleep(2 * time.Second)
			}
		})
	}
}

// load is the machine's load average of the last minute.
func load(t testing.TB) float64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(raw), " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// BenchmarkFleetIdle measures what a node's stream costs the control plane that has nothing to say. It takes five minutes, as
// the collector runs once in two when there is little to do.
func BenchmarkFleetIdle(b *testing.B) {
	const metrics = "127.0.0.1:19464"
	n := number(b, "STILE_BENCH_NODES", 1000)
	m, f, _ := storm(b, n, 1, "--metrics-listen", metrics)
	pid := m.process.Process.Pid
	heapBefore, _ := idle(b, metrics, pid)
	stacksBefore, residentBefore := gauge(b, metrics, "go_memstats_stack_inuse_bytes"), resident(b, pid)
	f.connect(false)
	defer f.disconnect()
	for f.inStep.Load() < int64(n) {
		time.Sleep(10 * time.Millisecond)
	}
	heap, most := idle(b, metrics, pid)
	b.ReportMetric((heap-heapBefore)/float64(n), "heap-B/stream")
	b.ReportMetric((gauge(b, metrics, "go_memstats_stack_inuse_bytes")-stacksBefore)/float64(n), "stack-B/stream")
	b.ReportMetric(float64(resident(b, pid)-residentBefore)/float64(n), "resident-B/stream")
	b.ReportMetric(float64(most-residentBefore)/float64(n), "most-resident-B/stream")
}

// idle watches a process until its collector has run, and returns the least of its heap and the most that was resident.
func idle(t testing.TB, metrics string, pid int) (heap float64, most int64) {
	heap = math.Inf(1)
	for began := time.Now(); time.Since(began) < 150*time.Second; time.Sleep(time.Second) {
		heap = min(heap, gauge(t, metrics, "go_memstats_heap_alloc_bytes"))
		most = max(most, resident(t, pid))
	}
	return heap, most
}

// gauge is the value of a metric without labels.
func gauge(t testing.TB, address, name string) float64 {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// BenchmarkFleetRevocation measures from the answer of the API to the last byte of a running download, between network
// namespaces: with the one node, and with a thousand more connected.
func BenchmarkFleetRevocation(b *testing.B) {
	raiseLimit(b)
	f := newFleet(b, "")
	simulated := f.addSimNodes(number(b, "STILE_BENCH_NODES", 1000), 0, "https://198.18.0.1:8443", f.network.dialer("u", new(net.Dialer).DialContext))
	for _, with := range []int{0, len(simulated.nodes)} {
		b.Run(fmt.Sprintf("beside=%d", with), func(b *testing.B) {
			if with > 0 {
				simulated.connect(false)
				for simulated.inStep.Load() < int64(with) {
					time.Sleep(10 * time.Millisecond)
				}
				defer simulated.disconnect()
			}
			devices := f.devices(b.N)
			var answered, asked []time.Duration
			for _, d := range devices {
				a, q := f.revoke(d)
				answered, asked = append(answered, a), append(asked, q)
			}
			b.ReportMetric(percentile(answered, 0.5), "p50-ms")
			b.ReportMetric(percentile(answered, 0.99), "p99-ms")
			b.ReportMetric(percentile(asked, 0.5), "from-request-p50-ms")
			b.ReportMetric(percentile(asked, 0.99), "from-request-p99-ms")
		})
	}
}

// revoke signs a device out in the middle of a download, and returns how long after the answer, and after the request,
// the last byte came.
func (f *fleet) revoke(d *device) (answered, asked time.Duration) {
	f.t.Helper()
	key := d.keyOn(f.server)
	resp, err := f.through(key).Get(f.site + "/" + strconv.Itoa(1<<50))
	f.must(err)
	defer func() { _ = resp.Body.Close() }()
	last := make(chan time.Time, 1)
	started := make(chan struct{})
	go func() {
		var at time.Time
		buffer := make([]byte, 32<<10)
		for once := sync.OnceFunc(func() { close(started) }); ; {
			n, err := resp.Body.Read(buffer)
			if n > 0 {
				at = time.Now()
				once()
			}
			if err != nil {
				last <- at
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	<-started
	began := time.Now()
	if status := d.post("/api/logout", nil, nil); status != http.StatusOK {
		f.t.Fatalf("logout: %d", status)
	}
	answer := time.Now()
	at := <-last
	return max(0, at.Sub(answer)), at.Sub(began)
}

// keyOn returns the device's key on a server.
func (d *device) keyOn(server int64) wire.IssuedKey {
	d.m.t.Helper()
	return d.ready(map[string]any{"server_id": server})
}

// devices makes signed-in devices, each of a new user with a subscription for life.
func (m *machine) devices(n int) []*device {
	m.t.Helper()
	st := m.openStore()
	defer func() { _ = st.Close() }()
	ctx := context.Background()
	plan, err := st.PlanByCode(ctx, "standard")
	m.must(err)
	all := make([]*device, n)
	base := time.Now().UnixNano()
	m.parallel(n, func(i int) error {
		name := fmt.Sprintf("%d-%d@example.com", base, i)
		u, err := st.AddUser(ctx, vpn.NewUser{Email: name, Locale: "en"}, vpn.Audit{Action: "user.add"})
		if err != nil {
			return err
		}
		forLife := func(*vpn.Entitlement) (vpn.Subscription, error) {
			return vpn.Subscription{PlanID: plan.ID, StartsAt: time.Now()}, nil
		}
		if _, err := st.ChangeSubscription(ctx, u.ID, forLife, vpn.Audit{Action: "user.subscribe"}); err != nil {
			return err
		}
		in, err := st.SignIn(ctx, vpn.NewSession{UserID: u.ID, ClientID: name, Name: "d", Platform: vpn.PlatformLinux,
			TokenHash: sha256.Sum256([]byte(name)), DeviceLimit: 1}, vpn.Audit{Action: "device.sign_in"})
		all[i] = &device{m: m, token: fmt.Sprintf("%d|%s", in.TokenID, name)}
		return err
	})
	return all
}

// BenchmarkFleetKeyUsable connects with a new key as soon as the answer with ready is there, between network namespaces. An
// operation is a key; refused-keys must be 0.
func BenchmarkFleetKeyUsable(b *testing.B) {
	f := newFleet(b, "")
	devices := f.devices(b.N)
	var refused, notReady atomic.Int64
	b.ResetTimer()
	var next atomic.Int64
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(devices); i = int(next.Add(1)) - 1 {
				var key wire.IssuedKey
				status, err := devices[i].call(context.Background(), http.MethodPost, "/api/key", map[string]any{"server_id": f.server}, &key)
				switch {
				case err != nil || status != http.StatusOK:
					b.Errorf("/api/key: %d, %v", status, err)
				case !key.Ready:
					notReady.Add(1)
				default:
					if err := f.load(key, 1); err != nil {
						refused.Add(1)
					}
				}
			}
		})
	}
	working.Wait()
	b.ReportMetric(float64(refused.Load()), "refused-keys")
	b.ReportMetric(float64(notReady.Load()), "not-ready")
}
