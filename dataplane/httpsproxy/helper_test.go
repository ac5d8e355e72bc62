package httpsproxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/httpsproxy"
	"stile/internal/testca"
)

// house is a plane that runs, with what tests need of it.
type house struct {
	testing.TB
	*client
	ca     *testca.CA
	plane  *httpsproxy.Plane
	ledger *dataplane.Ledger
	keys   []dataplane.Key
	faults *faults // what the plane tells of panics
}

// faults is a log that many write.
type faults struct {
	mu  sync.Mutex
	all strings.Builder
}

func (f *faults) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all.Write(p)
}

func (f *faults) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all.String()
}

// newHouse serves a plane with keys 1 to n; 127.0.0.1 may be reached, and site.test is it.
func newHouse(t testing.TB, n int) *house {
	t.Helper()
	h := &house{TB: t, ca: testca.New(t), ledger: dataplane.NewLedger(time.Now), faults: new(faults)}
	log := new(strings.Builder)
	listener, err := httpsproxy.Listen(t.Context(), "127.0.0.1", 0, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	h.plane, err = httpsproxy.New(httpsproxy.Config{
		Listener: listener, TLS: h.ca.Server(t, "127.0.0.1"), Door: door, Ledger: h.ledger, Log: slog.New(slog.NewTextHandler(h.faults, nil)),
		Egress: dataplane.NewEgress(dataplane.EgressConfig{
			AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Resolver: resolver{},
		}),
		Site: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header["Proxy-Authorization"] != nil || r.Method == http.MethodConnect {
				t.Errorf("the site sees what is meant for the proxy: %s %v", r.Method, r.Header)
			}
			if r.URL.Path == "/ping" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			http.NotFound(w, r)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range int64(n) {
		h.keys = append(h.keys, testKey(id+1))
	}
	h.apply(h.keys, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- h.plane.Run(ctx) }()
	h.client = newClient(t, h.ca, listener.Port())
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		h.ledger.Close()
		if log.Len() > 0 {
			t.Errorf("clients made the plane log: %s", log)
		}
	})
	return h
}

// apply does what a node does.
func (h *house) apply(put []dataplane.Key, remove []int64) {
	h.Helper()
	h.ledger.Apply(put, remove, false)
	if err := h.plane.Apply(put, remove, false); err != nil {
		h.Fatal(err)
	}
}

// testKey makes a key whose seed follows from its number.
func testKey(id int64) dataplane.Key {
	k := dataplane.Key{ID: id}
	for i := range k.Seed {
		k.Seed[i] = byte(id>>(i%8*8)) + byte(i)
	}
	return k
}

func secretOf(key dataplane.Key) accesskey.HTTPS { return accesskey.Seed(key.Seed).HTTPS(door) }

type resolver struct{}

func (resolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == "site.test" {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	if host == "fail.test" {
		panic("a fault")
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

// raw sends bytes on a TLS connection of its own and returns the answer's status line and head; "" when the server closes.
func (h *house) raw(request string) string {
	h.Helper()
	conn, err := tls.Dial("tcp", h.address, h.tls)
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		return ""
	}
	reader := bufio.NewReader(conn)
	var head strings.Builder
	for {
		line, err := reader.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// answer is a response without its body.
type answer struct {
	StatusCode, ProtoMajor int
	Header                 http.Header
}

// ask sends a request in HTTP/2.
func (h *house) ask(method, host, path string, header http.Header) (*answer, error) {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), method, "https://"+h.address+path, nil)
	if err != nil {
		h.Fatal(err)
	}
	if r.Host = host; header != nil {
		r.Header = header
	}
	resp, err := h.shared.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return &answer{resp.StatusCode, resp.ProtoMajor, resp.Header}, err
}

// site is a target that greets.
func (h *house) site() *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Host", r.Host)
		for name := range r.Header {
			if strings.HasPrefix(name, "Proxy-") || strings.HasPrefix(name, "X-Forwarded") || name == "Via" {
				h.Errorf("the target sees %s", name)
			}
		}
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader("hello "+r.URL.RequestURI()+" "), r.Body))
	}))
	h.Cleanup(s.Close)
	return s
}
