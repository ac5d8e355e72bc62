package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stile/internal/pacer"
	"stile/vpn"
)

// The benchmarks compare a route, with all that stands before it, with a bare net/http handler that writes the same
// bytes: both behind NewServer, over 64 connections that are kept, in turns within one run, so that a busy machine slows
// both. Ratios are the median of the turns.

// benchConns is the number of connections.
const benchConns = 64

// benchRounds is how often the two take turns.
const benchRounds = 20

func benchWorld(b *testing.B) *world { return benchWorldOn(b, engines[0].dsn(b)) }

func benchWorldOn(b *testing.B, dsn string) *world {
	b.Helper()
	b.Cleanup(pacer.Start()) // as stile serve does
	null := must(os.OpenFile(os.DevNull, os.O_WRONLY, 0))(b)
	b.Cleanup(func() { null.Close() })
	log := slog.New(slog.NewJSONHandler(null, nil)) // the event of each request is formatted and written
	return setup(b, dsn, func(c *Config) { c.Log = log })
}

// tokens makes one API token for each connection.
func (w *world) tokens() []string {
	tokens := make([]string, benchConns)
	for i := range tokens {
		tokens[i] = must(w.service.AddToken(w.t.Context(), vpn.Shell(), w.user.ID, "bench", time.Time{}))(w.t)
	}
	return tokens
}

func benchRequest(method, path, token, body string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: application/json\r\nContent-Type: application/json\r\n"+
		"Accept-Language: ru-RU,ru;q=0.9,en;q=0.8\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", method, path, token, len(body), body)
}

// requests gives the n-th request of a connection.
type requests func(conn, n int) []byte

// each gives every connection one request of a list, again and again.
func each(list [][]byte) requests { return func(conn, _ int) []byte { return list[conn%len(list)] } }

// benchReaders are used again: what the generator allocates is the collector's work in our time.
var benchReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// load makes n requests over benchConns connections and returns how long that took.
func load(b *testing.B, address string, next requests, n int) cost {
	b.Helper()
	conns := make([]net.Conn, benchConns)
	readers := make([]*bufio.Reader, benchConns)
	for i := range conns {
		conns[i] = must(net.Dial("tcp", address))(b)
		defer conns[i].Close()
		readers[i], _ = benchReaders.Get().(*bufio.Reader)
		readers[i].Reset(conns[i])
		defer benchReaders.Put(readers[i])
	}
	startedAt, before := time.Now(), processorTime()
	var group sync.WaitGroup
	for i, conn := range conns {
		group.Go(func() {
			r := readers[i]
			for k := range (n + i) / benchConns {
				if _, err := conn.Write(next(i, k)); err != nil {
					b.Error(err)
					return
				}
				if err := discardAnswer(r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return cost{time.Since(startedAt), processorTime() - before}
}

// discardAnswer reads one 200 of a known length.
func discardAnswer(r *bufio.Reader) error {
	for n := 1; ; n = r.Buffered() + 1 {
		if _, err := r.Peek(n); err != nil {
			return err
		}
		head, _ := r.Peek(r.Buffered()) // all of it is there
		end := bytes.Index(head, []byte("\r\n\r\n"))
		if end < 0 {
			continue
		}
		_, length, found := bytes.Cut(head[:end+2], []byte("Content-Length: "))
		length, _, _ = bytes.Cut(length, []byte("\r"))
		size, err := strconv.Atoi(string(length))
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) || !found || err != nil {
			return fmt.Errorf("answer %q", head)
		}
		_, err = r.Discard(end + 4 + size)
		return err
	}
}

// compare reports the rate of a handler and its ratio to a bare one that writes body.
func compare(b *testing.B, w *world, next requests, body []byte) {
	b.Helper()
	compareEach(b, w, func(string) requests { return next }, body)
}

// compareEach is compare with requests of their own for each of the two addresses.
func compareEach(b *testing.B, w *world, next func(address string) requests, body []byte) {
	b.Helper()
	length := []string{strconv.Itoa(len(body))}
	bare := httptest.NewUnstartedServer(nil)
	bare.Config = NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"], w.Header()["Content-Length"] = jsonType, length
		_, _ = w.Write(body)
	}))
	bare.Start()
	defer bare.Close()
	t := takeTurns(b, [2]string{bare.Listener.Addr().String(), w.server.Listener.Addr().String()}, next)
	b.ReportMetric(t.rate(1), "req/s")
	b.ReportMetric(t.rate(0), "bare-req/s")
	b.ReportMetric(t.ratio(), "ratio-to-bare")
	b.ReportMetric(t.costs[0].processor.Seconds()/t.costs[1].processor.Seconds(), "cpu-ratio-to-bare")
}

// turns are what two servers took that were asked in turns, and how much longer the first took in each of them.
type turns struct {
	requests float64 // of each
	costs    [2]cost
	ratios   [benchRounds]float64
}

// rate is what one of the two answered in a second.
func (t *turns) rate(i int) float64 { return t.requests / t.costs[i].took.Seconds() }

// ratio is the rate of the second to that of the first, the median of all turns.
func (t *turns) ratio() float64 { return t.ratios[benchRounds/2] }

// takeTurns asks two servers in turns for as much as the benchmark wants. before, where given, is called before each.
func takeTurns(b *testing.B, addresses [2]string, next func(address string) requests, before ...func()) *turns {
	b.Helper()
	per := max(b.N/benchRounds, benchConns)
	t := &turns{requests: float64(per * benchRounds)}
	b.ResetTimer()
	for round := range t.ratios {
		var costs [2]cost
		for i := range costs {
			i ^= round & 1 // who goes second meets a warmer machine
			for _, f := range before {
				f()
			}
			costs[i] = load(b, addresses[i], next(addresses[i]), per)
			t.costs[i] = t.costs[i].plus(costs[i])
		}
		t.ratios[round] = costs[0].took.Seconds() / costs[1].took.Seconds()
	}
	b.StopTimer()
	slices.Sort(t.ratios[:])
	b.ReportMetric(0, "ns/op") // it would mix both
	return t
}

// cost is what a load took: of the clock, and of this process's processor time, which others on the machine do not lengthen.
type cost struct{ took, processor time.Duration }

func (c cost) plus(d cost) cost { return cost{c.took + d.took, c.processor + d.processor} }

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkUser is GET /api/user with the whole middleware: with the token known, and read from SQLite every time.
func BenchmarkUser(b *testing.B) {
	for name, step := range map[string]time.Duration{"warm": 0, "cold": 2 * time.Second} {
		b.Run(name, func(b *testing.B) {
			w := benchWorld(b)
			var requests [][]byte
			for _, token := range w.tokens() {
				requests = append(requests, benchRequest("GET", "/api/user", token, ""))
			}
			w.step.Store(int64(step)) // beyond what anything is kept for
			compare(b, w, each(requests), appendUser(nil, &w.user))
		})
	}
}

// BenchmarkServers is POST /api/servers with 2,000 servers, for devices with keys on three of them.
func BenchmarkServers(b *testing.B) {
	w := benchWorld(b)
	for i := range 2000 - len(w.servers) {
		must(w.service.AddServer(b.Context(), vpn.Shell(), vpn.Server{
			Name: "Франкфурт " + strconv.Itoa(i), CountryCode: "DE", City: vpn.Text{RU: "Франкфурт", EN: "Frankfurt"}, Latitude: 50.11, Longitude: 8.68,
			Host: "h.example.net", PingURL: "https://de" + strconv.Itoa(i) + ".example.net/ping", Capacity: 100, ShadowsocksPort: 8388, ShadowsocksPorts: 1,
		}))(b)
	}
	var requests [][]byte
	for i := range 16 {
		token, _ := w.signIn("user@example.com", "bench"+strconv.Itoa(i))
		actor := must(w.service.Authenticate(b.Context(), token))(b)
		view := must(w.service.Servers(b.Context(), actor, ""))(b).View
		for _, at := range []int{0, 700, 1400} {
			must(w.service.IssueKey(b.Context(), actor, vpn.IssueKey{ServerID: view.Servers[at].ID}))(b)
		}
		requests = append(requests, benchRequest("POST", "/api/servers", token, `{"device_id":0}`))
	}
	token, _ := w.signIn("user@example.com", "bench0")
	requests[0] = benchRequest("POST", "/api/servers", token, `{"device_id":0}`)
	body := w.as(token, "POST", "/api/servers", `{"device_id":0}`).body
	if n := strings.Count(body, `"has_key":true`); n != 3 {
		b.Fatalf("%d keys in %d bytes", n, len(body))
	}
	b.Run("plain", func(b *testing.B) { compare(b, w, each(requests), []byte(body)) })
	packed := w.as(token, "POST", "/api/servers", `{"device_id":0}`, "Accept-Encoding: gzip").body
	for i, r := range requests {
		requests[i] = bytes.Replace(r, []byte("\r\n"), []byte("\r\nAccept-Encoding: gzip\r\n"), 1)
	}
	b.Run("gzip", func(b *testing.B) { compare(b, w, each(requests), []byte(packed)) })
}

// BenchmarkKey is POST /api/key on both engines, without a node to wait for: new keys, each a durable write, and the same
// key again. 2,048 devices take turns, so that no account meets its throttle and each has few keys.
func BenchmarkKey(b *testing.B) {
	const each, servers = 32, 100
	const devices = each * benchConns
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			w := benchWorldOn(b, engine.dsn(b))
			ids := w.addServers(servers)
			tokens := make([]string, devices)
			for i := range tokens {
				email := "bench" + strconv.Itoa(i) + "@example.com"
				user := must(w.service.AddUser(b.Context(), vpn.Shell(), vpn.NewAccount{Email: email, Password: examplePassword}))(b)
				must(w.service.Subscribe(b.Context(), vpn.Shell(), user.ID, w.plan.Code, 1))(b)
				tokens[i], _ = w.signIn(email, "bench")
			}
			var issued [devices]atomic.Int64
			ask := func(device int, server int64) []byte {
				return benchRequest("POST", "/api/key", tokens[device], `{"server_id":`+strconv.FormatInt(server, 10)+`,"device_id":0}`)
			}
			body := w.as(tokens[0], "POST", "/api/key", `{"server_id":`+strconv.FormatInt(ids[0], 10)+`}`).body
			toOurs := w.server.Listener.Addr().String()
			b.Run("new", func(b *testing.B) {
				compareEach(b, w, func(address string) requests {
					return func(conn, n int) []byte {
						device := conn + benchConns*(n%each)
						if address != toOurs {
							return ask(device, ids[0])
						}
						at := issued[device].Add(1)
						if at >= servers {
							b.Errorf("no server is left for a new key: choose a shorter -benchtime")
						}
						return ask(device, ids[at%servers])
					}
				}, []byte(body))
			})
			b.Run("existing", func(b *testing.B) {
				compare(b, w, func(conn, n int) []byte { return ask(conn+benchConns*(n%each), ids[1]) }, []byte(body))
			})
		})
	}
}

// BenchmarkMiddleware is the part of a request that is ours alone, without the network.
func BenchmarkMiddleware(b *testing.B) {
	w := benchWorld(b)
	handler := must(New(w.service, *w.config))(b)
	r := must(http.ReadRequest(bufio.NewReader(bytes.NewReader(benchRequest("GET", "/api/user", w.tokens()[0], "")))))(b)
	answer := &nullWriter{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(answer.header)
		handler.ServeHTTP(answer, r)
	}
}

// nullWriter is an answer that nobody reads.
type nullWriter struct{ header http.Header }

func (n *nullWriter) Header() http.Header       { return n.header }
func (*nullWriter) WriteHeader(int)             {}
func (*nullWriter) Write(p []byte) (int, error) { return io.Discard.Write(p) }
