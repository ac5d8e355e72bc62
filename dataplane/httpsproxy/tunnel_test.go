package httpsproxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stile/dataplane"
)

// Requests for http:// URLs, as curl and browsers send them, in both versions of HTTP.
func TestPlainRequests(t *testing.T) {
	h := newHouse(t, 2)
	site := h.site()
	_, port, _ := net.SplitHostPort(site.Listener.Addr().String())
	host := "site.test:" + port

	resp, err := h.ask("GET", host, "/a?b=c;d", header(h.keys[0]))
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("X-Host") != host || resp.ProtoMajor != 2 {
		t.Fatalf("HTTP/2: %v, %v", resp, err)
	}
	secret := secretOf(h.keys[1])
	transport := &http.Transport{
		TLSClientConfig: h.ca.Client(), Proxy: http.ProxyURL(&url.URL{Scheme: "https", User: url.UserPassword(secret.Username, secret.Password), Host: h.address}),
	}
	defer transport.CloseIdleConnections()
	body := strings.Repeat("x", 1<<20)
	for range 2 { // the client's connection stays
		got, err := (&http.Client{Transport: transport}).Post("http://"+host+"/a?b=c;d", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil || got.StatusCode != http.StatusOK || string(text) != "hello /a?b=c;d "+body {
			t.Errorf("HTTP/1.1: %s, %d bytes, %v", got.Status, len(text), err)
		}
	}
	usage := h.ledger.Usage(nil)
	if len(usage) != 2 || usage[0].Down < 20 || usage[0].Up < 20 || usage[1].Up < 2<<20 || usage[1].Down < 2<<20 || usage[0].Sessions != 0 || usage[1].Sessions != 0 {
		t.Errorf("usage %+v", usage)
	}
	for _, refused := range []struct {
		host string
		want int
	}{{"127.0.0.2:" + port, 403}, {"nowhere.test", 502}, {"127.0.0.1:25", 403}} {
		if resp, err := h.ask("GET", refused.host, "/", header(h.keys[0])); err != nil || resp.StatusCode != refused.want {
			t.Errorf("%s: %v, %v, want %d", refused.host, resp, err, refused.want)
		}
	}
}

// A target that answers before it has the whole body still gets the rest, also a rest that net/http's server would read ahead
// and throw away.
func TestAnswerBeforeTheBodyEnds(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d bytes, %v", n, err)
	}))
	t.Cleanup(target.Close)
	h := newHouse(t, 1) // ends before its target
	secret := secretOf(h.keys[0])
	transport := &http.Transport{
		TLSClientConfig: h.ca.Client(), Proxy: http.ProxyURL(&url.URL{Scheme: "https", User: url.UserPassword(secret.Username, secret.Password), Host: h.address}),
	}
	defer transport.CloseIdleConnections()
	body, rest := io.Pipe()
	defer time.AfterFunc(time.Minute, func() { _ = rest.CloseWithError(os.ErrDeadlineExceeded) }).Stop()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	go func() {
		_, _ = io.Copy(rest, io.LimitReader(zeros{}, 100_000))
		_ = rest.Close()
	}()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "100000 bytes, <nil>" {
		t.Errorf("the target got %q, %v", text, err)
	}
}

// Whether a body is wanted is the target's word.
func TestExpectContinue(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unwanted" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(target.Close)
	h := newHouse(t, 1)
	for path, want := range map[string]string{"/wanted": "HTTP/1.1 100 Continue\r\n\r\n", "/unwanted": "HTTP/1.1 417 Expectation Failed\r\n"} {
		got := h.raw("POST " + target.URL + path + " HTTP/1.1\r\nHost: x\r\nProxy-Authorization: " + header(h.keys[0]).Get("Proxy-Authorization") +
			"\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// A plain request that is under way ends with its key.
func TestRevocationEndsPlainRequests(t *testing.T) {
	h := newHouse(t, 1)
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	asked := make(chan struct{})
	go func() {
		conn, err := target.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nbegins")
		close(asked)
		_, _ = io.Copy(io.Discard, conn) // ends when the proxy does
	}()
	ended := make(chan error, 1)
	go func() {
		_, err := h.ask("GET", target.Addr().String(), "/", header(h.keys[0]))
		ended <- err
	}()
	<-asked
	h.apply(nil, []int64{h.keys[0].ID})
	<-ended
	if u := h.ledger.Usage(nil); len(u) != 1 || u[0].Sessions != 0 {
		t.Errorf("usage %+v", u)
	}
}

// A reader that stalls holds up its own stream alone, and its target; so does a target that takes nothing.
func TestBackpressureIsPerStream(t *testing.T) {
	h := newHouse(t, 2)
	var sent atomic.Int64
	flood := serve(t, func(conn net.Conn) {
		block := make([]byte, 64<<10)
		for {
			n, err := conn.Write(block)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	stuck := serve(t, func(net.Conn) { <-t.Context().Done() })
	echo := serve(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })

	stalled := open(t, h, h.keys[0], flood)
	defer stalled.Close()
	for range 20 { // more than a stream's window each, less than the connection's together
		conn := open(t, h, h.keys[1], stuck)
		defer conn.Close()
		go func() { _, _ = io.Copy(conn, zeros{}) }()
	}
	for last := int64(-1); sent.Load() != last; time.Sleep(300 * time.Millisecond) {
		last = sent.Load()
	}
	if n := sent.Load(); n > 64<<20 {
		t.Errorf("a target could send %d bytes that nobody reads", n)
	}
	running := open(t, h, h.keys[0], echo)
	defer running.Close()
	block, back := make([]byte, 1<<16), make([]byte, 1<<16)
	for range 64 {
		if _, err := running.Write(block); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(running, back); err != nil {
			t.Fatalf("a stream stands still beside stalled ones: %v", err)
		}
	}
	before := sent.Load()
	if n, err := io.CopyN(io.Discard, stalled, 8<<20); err != nil {
		t.Errorf("the stalled stream does not go on: %d bytes, %v", n, err)
	}
	if sent.Load() == before {
		t.Error("the target does not go on")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// What a client sends right behind its CONNECT, without waiting for the answer, arrives.
func TestEarlyBytes(t *testing.T) {
	h := newHouse(t, 1)
	echo := serve(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	conn, err := tls.Dial("tcp", h.address, h.tls)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, "CONNECT "+echo+" HTTP/1.1\r\nHost: "+echo+"\r\n"+headerLine(header(h.keys[0]))+"\r\nearly")
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // it has none
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_, _ = io.WriteString(conn, " late")
	back := make([]byte, len("early late"))
	if _, err := io.ReadFull(reader, back); err != nil || string(back) != "early late" {
		t.Errorf("%q, %v", back, err)
	}
}

func open(t *testing.T, h *house, key dataplane.Key, target string) net.Conn {
	t.Helper()
	conn, err := h.dial2(t.Context(), key, target)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// serve starts a target and returns its address.
func serve(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// A fault over one request ends it, and no other of its connection; the log tells where it was, and neither a name nor an address.
func TestAPanicEndsItsRequest(t *testing.T) {
	h := newHouse(t, 1)
	site := h.site()
	_, port, _ := net.SplitHostPort(site.Listener.Addr().String())
	head := "CONNECT fail.test:443 HTTP/1.1\r\nHost: fail.test:443\r\nProxy-Authorization: " + header(h.keys[0]).Get("Proxy-Authorization") + "\r\n\r\n"
	if got := h.raw(head); got != "" {
		t.Errorf("HTTP/1.1: answered %q", got)
	}
	if resp, err := h.ask(http.MethodConnect, "fail.test:443", "", header(h.keys[0])); err == nil {
		t.Errorf("HTTP/2: answered %v", resp)
	}
	if resp, err := h.ask(http.MethodGet, "fail.test", "/", header(h.keys[0])); err != nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("a plain request: %v, %v", resp, err)
	}
	if resp, err := h.ask(http.MethodGet, "site.test:"+port, "/", header(h.keys[0])); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the next request: %v, %v", resp, err)
	}
	if text := h.faults.String(); !strings.Contains(text, "helper_test.go") || strings.Contains(text, "fail.test") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("told was: %s", text)
	}
	if n := h.ledger.Totals().Sessions; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
