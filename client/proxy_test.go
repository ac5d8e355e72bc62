package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"
)

// runningProxy serves a proxy through dialer until the test ends, and returns its address.
func runningProxy(t *testing.T, dialer Dialer) (*Proxy, string) {
	t.Helper()
	p := NewProxy(dialer)
	listener := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return p, listener.Addr().String()
}

func tunnelTo(t *testing.T, key string) Tunnel {
	t.Helper()
	tunnel, err := NewTunnel(key)
	if err != nil {
		t.Fatal(err)
	}
	return tunnel
}

func browser(t *testing.T, proxyURL string) *http.Client {
	t.Helper()
	u, err := url.Parse(proxyURL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		Proxy:           http.ProxyURL(u),
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the test site's certificate is its own
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// site answers with 3 MB, and says what it was asked.
func site(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Asked", fmt.Sprintf("%s %s %s %d %q %q", r.Method, r.Host, r.URL, len(body), r.Header.Get("X-Forwarded-For"), r.Header.Get("Proxy-Authorization")))
	_, _ = w.Write(page())
}

func page() []byte { return bytes.Repeat([]byte("stile over the wall\n"), 150_000) }

func TestProxyCarriesPages(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(site))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(site))
	defer secure.Close()
	p, address := runningProxy(t, tunnelTo(t, shadowsocksServer(t, "aes-256-gcm", "6pXWju_b_m")))
	for name, c := range map[string]struct{ proxy, site string }{
		"HTTP, plain":          {"http://" + address, plain.URL},
		"HTTP, CONNECT":        {"http://" + address, secure.URL},
		"SOCKS5, plain":        {"socks5://" + address, plain.URL},
		"SOCKS5, TLS":          {"socks5://" + address, secure.URL},
		"SOCKS5, name far end": {"socks5h://" + address, strings.Replace(plain.URL, "127.0.0.1", "localhost", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			before := p.Traffic()
			response, err := browser(t, c.proxy).Post(c.site+"/page?q=1;2", "text/plain", strings.NewReader("question"))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || sha256.Sum256(body) != sha256.Sum256(page()) {
				t.Fatalf("%d bytes arrived, %v; want the page of %d", len(body), err, len(page()))
			}
			want := fmt.Sprintf("POST %s /page?q=1;2 8 \"\" \"\"", strings.TrimPrefix(strings.TrimPrefix(c.site, "http://"), "https://"))
			if got := response.Header.Get("Asked"); got != want {
				t.Errorf("the site was asked %s\nwant %s", got, want)
			}
			eventually(t, "what was asked is counted", func() bool { return p.Traffic().Up >= before.Up+8 })
			after := p.Traffic()
			if down := after.Down - before.Down; down < int64(len(page())) || down > int64(len(page()))*11/10 {
				t.Errorf("%d bytes down were counted for a page of %d", down, len(page()))
			}
			if up := after.Up - before.Up; up > 8<<10 {
				t.Errorf("%d bytes up were counted", up)
			}
		})
	}
	eventually(t, "no stream is open", func() bool { return p.Traffic().Open <= 1 }) // one plain connection may idle
}

// A site that answers before it has the whole body still gets the rest, also a rest that net/http's server would read ahead
// and throw away; and whether a body is wanted at all is the site's word.
func TestProxyLetsSitesAnswerEarly(t *testing.T) {
	early := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unwanted" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d bytes, %v", n, err)
	}))
	t.Cleanup(early.Close)
	_, address := runningProxy(t, &openGate{})
	for path, want := range map[string]string{"/": "HTTP/1.1 200 OK", "/unwanted": "HTTP/1.1 417 Expectation Failed"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintf(conn, "POST %s%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n", early.URL, path)
		if path == "/unwanted" {
			fmt.Fprint(conn, "Expect: 100-continue\r\n")
		}
		fmt.Fprint(conn, "\r\n")
		reader := bufio.NewReader(conn)
		if line, err := reader.ReadString('\n'); strings.TrimSpace(line) != want {
			t.Fatalf("%s: %q, %v; want %q", path, line, err, want)
		}
		if path == "/unwanted" {
			continue
		}
		_, _ = conn.Write(make([]byte, 100_000))
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				t.Fatal("the site's count did not arrive: ", err)
			}
			if strings.Contains(line, "bytes") {
				if strings.TrimSpace(line) != "100000 bytes, <nil>" {
					t.Errorf("the site got %s", line)
				}
				break
			}
		}
	}
}

func TestProxyHalfCloses(t *testing.T) {
	target := echoStreams(t)
	_, address := runningProxy(t, &openGate{})
	t.Run("SOCKS5", func(t *testing.T) {
		socks, err := proxy.SOCKS5("tcp", address, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := socks.Dial("tcp", target)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		echo(t, conn, 300_000, true)
	})
	t.Run("CONNECT with bytes sent ahead", func(t *testing.T) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\nahead", target, target)
		_ = conn.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(conn)
		if want := "HTTP/1.1 200 Connection established\r\n\r\nahead"; err != nil || string(answer) != want {
			t.Errorf("answer %q, %v; want %q", answer, err, want)
		}
	})
}

// noWay is a dialer that leads nowhere. If anything arrives, it went around the dialer.
type noWay struct{ err error }

func (d noWay) DialContext(context.Context, string, string) (net.Conn, error) { return nil, d.err }
func (d noWay) ListenPacket(context.Context) (net.PacketConn, error)          { return nil, d.err }

// openGate is a dialer without a tunnel, for what ss-server cannot do.
type openGate struct{ net.Dialer }

func (*openGate) ListenPacket(ctx context.Context) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
}

func TestProxyNeverGoesAround(t *testing.T) {
	reached := make(chan struct{}, 10)
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- struct{}{} }))
	defer target.Close()
	destination := strings.TrimPrefix(target.URL, "http://")
	for _, c := range []struct {
		err    error
		code   byte
		reason string
	}{
		{errors.New("the wall is high"), 1, "stile: no way through: the wall is high\n"},
		{&Error{Status: 401, Code: CodeUnauthenticated, Message: "Unauthenticated."}, 2, "stile: the access key was refused: Unauthenticated.\n"},
	} {
		_, address := runningProxy(t, noWay{c.err})
		response, err := browser(t, "http://"+address).Get(target.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusBadGateway || string(body) != c.reason {
			t.Errorf("plain HTTP: %s %q, want 502 %q", response.Status, body, c.reason)
		}
		if got := ask(t, address, "CONNECT "+destination+" HTTP/1.1\r\nHost: "+destination+"\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.HasSuffix(got, c.reason) {
			t.Errorf("CONNECT: %q", got)
		}
		host, port := hostPort(destination)
		for _, command := range []byte{1, 3} {
			request := append([]byte{5, 1, 0, 5, command, 0}, socksHeader(host, port)[3:]...)
			if got, want := ask(t, address, string(request)), string([]byte{5, 0, 5, c.code, 0, 1, 0, 0, 0, 0, 0, 0}); got != want {
				t.Errorf("SOCKS5 command %d: % x, want % x", command, got, want)
			}
		}
	}
	if len(reached) != 0 {
		t.Error("a request reached the site though there was no way")
	}
}

// ask writes a whole request and returns all that comes back.
func ask(t *testing.T, address, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, []byte(request))
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 && !isReset(err) {
		t.Fatal(err)
	}
	return string(answer)
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset") }

func TestProxyRefusesWhatItDoesNotSpeak(t *testing.T) {
	_, address := runningProxy(t, noWay{errors.New("dialled")})
	tooLong := "GET http://h/ HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", headerLimit+4096) + "\r\n\r\n"
	for name, c := range map[string]struct{ request, answer string }{
		"TLS":                        {"\x16\x03\x01\x00\xa5", ""},
		"SOCKS4":                     {"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", ""},
		"SOCKS5, only passwords":     {"\x05\x01\x02", "\x05\xff"},
		"SOCKS5, BIND":               {"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00\x05\x07"},
		"SOCKS5, unknown address":    {"\x05\x01\x00\x05\x01\x00\x02", "\x05\x00\x05\x08"},
		"SOCKS5, port 0":             {"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x00", "\x05\x00\x05\x08"},
		"SOCKS5, empty name":         {"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", "\x05\x00\x05\x08"},
		"SOCKS5, version in request": {"\x05\x01\x00\x04\x01\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00"},
		"a page of the proxy":        {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 400 "},
		"https by absolute URI":      {"GET https://h/ HTTP/1.0\r\n\r\n", "HTTP/1.0 400 "},
		"ftp":                        {"GET ftp://h/ HTTP/1.0\r\n\r\n", "HTTP/1.0 400 "},
		"CONNECT without a port":     {"CONNECT h HTTP/1.0\r\n\r\n", "HTTP/1.0 400 "},
		"CONNECT to port 0":          {"CONNECT h:0 HTTP/1.0\r\n\r\n", "HTTP/1.0 400 "},
		"CONNECT to port 65536":      {"CONNECT h:65536 HTTP/1.0\r\n\r\n", "HTTP/1.0 400 "},
		"CONNECT to a long name":     {"CONNECT " + strings.Repeat("h", 256) + ":80 HTTP/1.0\r\n\r\n", "HTTP/1.0 400 "},
		"a head too long":            {tooLong, "HTTP/1.1 431 "},
	} {
		got := ask(t, address, c.request)
		if !strings.HasPrefix(got, c.answer) || c.answer == "" && got != "" || strings.Contains(got, "dialled") {
			t.Errorf("%s: answered %.80q, want %q", name, got, c.answer)
		}
	}
}

func TestProxyEnds(t *testing.T) {
	talking := serveStreams(t, func(conn net.Conn) {
		for {
			if _, err := conn.Write([]byte("on and on\n")); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	p := NewProxy(tunnelTo(t, shadowsocksServer(t, "aes-256-gcm", "")))
	listener := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, listener) }()
	socks, err := proxy.SOCKS5("tcp", listener.Addr().String(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := socks.Dial("tcp", talking)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	heard := bufio.NewReader(conn)
	if _, err := heard.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Dial("tcp", listener.Addr().String()) // has not said yet what it wants
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := io.Copy(io.Discard, heard); err == nil {
		t.Error("a stream that was cut looks like one that ended")
	}
	if got := p.Traffic().Open; got != 0 {
		t.Errorf("%d streams are open after the end", got)
	}
	if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestProxyReportsALostListener(t *testing.T) {
	listener := listen(t)
	listener.Close()
	if err := NewProxy(noWay{}).Serve(t.Context(), listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v, want net.ErrClosed", err)
	}
}
