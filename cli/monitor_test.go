package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"stile/api"
	"stile/web"
)

var metricsAnnouncement = regexp.MustCompile(`Metrics at (http://\S+)/metrics`)

// monitored returns what a monitor is answered, with its status.
func (m *machine) monitored(path string) (int, string) {
	m.t.Helper()
	where := metricsAnnouncement.FindAllStringSubmatch(m.log.String(), -1)
	if where == nil {
		m.t.Fatalf("no metrics are announced:\n%s", m.log)
	}
	resp, err := http.Get(where[len(where)-1][1] + path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

var (
	sampleLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// sample is one line of a scrape.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// scrape reads /metrics by the text format's rules.
func (m *machine) scrape() []sample {
	m.t.Helper()
	status, text := m.monitored("/metrics")
	if status != http.StatusOK {
		m.t.Fatalf("metrics: %d\n%s", status, text)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		m.t.Errorf("promlint: %v, %v", problems, err)
	}
	var samples []sample
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		match := sampleLine.FindStringSubmatch(lines.Text())
		if match == nil {
			m.t.Fatalf("no sample: %q", lines.Text())
		}
		s := sample{name: match[1], labels: map[string]string{}}
		for _, pair := range labelPair.FindAllStringSubmatch(match[2], -1) {
			s.labels[pair[1]] = pair[2]
		}
		if s.value, err = strconv.ParseFloat(match[3], 64); err != nil {
			m.t.Fatal(err)
		}
		samples = append(samples, s)
	}
	return samples
}

// total sums the samples of a name that have these labels.
func total(samples []sample, name string, labels ...string) (sum float64) {
	for _, s := range samples {
		isIt := s.name == name
		for i := 0; i < len(labels); i += 2 {
			isIt = isIt && s.labels[labels[i]] == labels[i+1]
		}
		if isIt {
			sum += s.value
		}
	}
	return sum
}

// labelValues are what a label of ours may say: nothing but words of the program's own tables.
func labelValues() map[string]func(string) bool {
	oneOf := func(words ...string) func(string) bool {
		return func(v string) bool { return slices.Contains(words, v) }
	}
	routes := []string{"none"}
	for _, r := range api.Routes() {
		routes = append(routes, r.Path)
	}
	for _, r := range web.Routes() {
		routes = append(routes, r.Path)
	}
	return map[string]func(string) bool{
		"route":     oneOf(routes...),
		"method":    oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"),
		"status":    regexp.MustCompile(`^[2-5]\d\d$`).MatchString,
		"outcome":   oneOf("ok", "error", "invalid_credentials", "otp_required", "otp_invalid", "too_many_attempts", "account_blocked", "device_limit_reached", "temporarily_unavailable", "booked", "repeated"),
		"for":       oneOf("key", "revocation"),
		"applied":   oneOf("true", "false"),
		"form":      oneOf("delta", "snapshot"),
		"change":    oneOf("put", "removed"),
		"reason":    oneOf("gap", "digest", "key", "disk"),
		"direction": oneOf("up", "down"),
		"le":        regexp.MustCompile(`^([0-9.e+-]+|\+Inf)$`).MatchString,
		"version":   func(v string) bool { return v != "" },
	}
}

// checkLabels asserts that no label of ours can hold anything of a user.
func checkLabels(t *testing.T, samples []sample) {
	t.Helper()
	allowed := labelValues()
	for _, s := range samples {
		if !strings.HasPrefix(s.name, "stile_") {
			continue // of the Go runtime and the process
		}
		for name, value := range s.labels {
			if allowed[name] == nil || !allowed[name](value) {
				t.Errorf("%s{%s=%q}", s.name, name, value)
			}
		}
	}
}

// What operators look at is there after a day's work, and paths, methods and names that clients make up add nothing.
func TestMetricsAreBounded(t *testing.T) {
	m := newMachine(t, "", "--metrics-listen", "127.0.0.1:0")
	m.addUser("user@example.com")
	d := m.signIn("user@example.com", "laptop")
	d.rotated(d.key().ServerID)
	flood := func(round int) {
		for i := range 100 {
			n := strconv.Itoa(1000*round + i)
			for _, path := range []string{"/api/" + n, "/api/devices/" + n, "/api/ssconf/" + n + "/secret" + n, "/" + n, "/ping?" + n} {
				d.get(path, nil)
			}
			d.post("/api/login", map[string]any{"email": n + "@example.com", "password": n, "device_id": n, "device_name": n}, nil)
			_, _ = d.call(t.Context(), "VERB"+n, "/api/user", nil, nil)
			_, _ = d.call(t.Context(), http.MethodDelete, "/api/devices/"+n, nil, nil)
		}
	}
	flood(1)
	before := m.scrape()
	flood(2)
	after := m.scrape()
	if len(after) != len(before) {
		t.Errorf("%d series, and %d after another flood", len(before), len(after))
	}
	checkLabels(t, after)
	for name, least := range map[string]float64{
		"stile_http_requests_total": 1600, "stile_http_request_duration_seconds_count": 1600, "stile_keys_issued_total": 2,
		"stile_sign_ins_total": 2, "stile_node_wait_seconds_count": 2, "stile_store_group_writes_count": 2, "stile_store_group_seconds_count": 2,
		"stile_nodes_online": 1, "stile_link_updates_total": 1, "stile_link_keys_total": 2, "stile_node_keys": 1, "stile_node_revision": 2,
		"stile_node_linked": 1, "stile_build_info": 1, "go_goroutines": 1, "process_open_fds": 1,
	} {
		if got := total(after, name); got < least {
			t.Errorf("%s is %v, want at least %v", name, got, least)
		}
	}
	if got := total(after, "stile_sign_ins_total", "outcome", "ok"); got != 1 {
		t.Errorf("%v sign-ins worked", got)
	}
	if got := total(after, "stile_sign_ins_total", "outcome", "invalid_credentials") + total(after, "stile_sign_ins_total", "outcome", "too_many_attempts"); got != 200 {
		t.Errorf("%v sign-ins failed", got)
	}
	if got := total(after, "stile_node_wait_seconds_count", "for", "key", "applied", "true"); got != 2 {
		t.Errorf("%v keys were ready", got)
	}
}

// The metrics' listener says how the service is, and has nothing else.
func TestMonitorHealth(t *testing.T) {
	m := newMachine(t, "", "--metrics-listen", "127.0.0.1:0")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404, "/api/user": 404, "/debug/pprof/": 404} {
		if status, body := m.monitored(path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if resp, err := http.Get(m.url + "/metrics"); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the API's own listener has metrics: %v", err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	cmd := exec.Command(stileBinary, "serve", "--listen", "127.0.0.1:0", "--shadowsocks-ports", "0", "--data", t.TempDir(), "--metrics-listen", busy.Addr().String())
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("--metrics-listen")) {
		t.Errorf("a busy port: %v\n%s", err, out)
	}
}

// The dashboard and the alerts ask for metrics that exist, with labels that they have.
func TestDashboardAndAlertsNameRealMetrics(t *testing.T) {
	certificate := testCertificate(t)
	m := newMachine(t, "", "--metrics-listen", "127.0.0.1:0", "--ping-listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", certificate)
	m.addUser("user@example.com")
	d := m.signIn("user@example.com", "laptop")
	d.key()
	names := map[string]bool{"up": true}
	m.until("the node's loop came by", func() bool {
		for _, s := range m.scrape() {
			names[s.name] = true
		}
		return names["stile_node_last_linked_timestamp_seconds"]
	})
	if !names["stile_certificate_expiry_timestamp_seconds"] {
		t.Errorf("metrics: %v", slices.Sorted(maps.Keys(names)))
	}
	// Which are there only when something waits or fails.
	names["stile_node_usage_unbooked_timestamp_seconds"] = true
	name := regexp.MustCompile(`\b(?:stile|go|process)_[a-z_]+\b|\bup\b`)
	for file, least := range map[string]int{"alerts.yaml": 10, "grafana.json": 15} {
		raw, err := os.ReadFile(filepath.Join("..", "deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		exprs := expressions(t, file, raw)
		if len(exprs) < least {
			t.Errorf("%s has %d expressions", file, len(exprs))
		}
		for _, expr := range exprs {
			found := name.FindAllString(expr, -1)
			if len(found) == 0 {
				t.Errorf("%s: %q names no metric", file, expr)
			}
			for _, n := range found {
				if !names[n] {
					t.Errorf("%s asks for %s, which there is not", file, n)
				}
			}
		}
	}
}

// expressions returns what a file asks Prometheus for.
func expressions(t *testing.T, file string, raw []byte) []string {
	t.Helper()
	var exprs []string
	if file == "alerts.yaml" {
		for _, match := range regexp.MustCompile(`(?m)^ +expr: (.+)$`).FindAllStringSubmatch(string(raw), -1) {
			exprs = append(exprs, match[1])
		}
		return exprs
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	return exprs
}

// Prometheus itself reads the alerts, and their own tests hold.
func TestPrometheusReadsTheAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: install the Debian package prometheus, or run `make deps`")
	}
	for _, args := range [][]string{{"check", "rules", "../deploy/alerts.yaml"}, {"test", "rules", "testdata/alerts_test.yaml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Whoever says how often the collector runs is obeyed; else it runs by what lives, which is not Go's own 100 for long.
func TestCollectorIsPaced(t *testing.T) {
	start := func() (percent func() float64, m *machine) {
		m = newMachine(t, "", "--metrics-listen", "127.0.0.1:0")
		return func() float64 { return total(m.scrape(), "go_gc_gogc_percent") }, m
	}
	t.Setenv("GOGC", "")
	paced, m := start()
	m.until("the collector is paced", func() bool { return paced() != 100 })
	t.Setenv("GOGC", "57")
	if obeyed, _ := start(); obeyed() != 57 {
		t.Errorf("GOGC is %v, want the 57 of the environment", obeyed())
	}
}
