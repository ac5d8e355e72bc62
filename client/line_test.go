package client

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/proxy"

	"stile/accesskey"
	"stile/internal/testport"
)

// account is the API as a line sees it.
type account struct {
	key   string
	err   error
	asked atomic.Int64
}

func (a *account) refresh(context.Context) (string, error) {
	a.asked.Add(1)
	return a.key, a.err
}

// runningLine runs a line that begins with key. The channels give what it reports and what Run returns.
func runningLine(t *testing.T, key string, a *account) (*Line, <-chan error, <-chan error) {
	t.Helper()
	reports, ended := make(chan error, 10), make(chan error, 1)
	line, err := NewLine(key, a.refresh, func(err error) { reports <- err })
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- line.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	eventually(t, "the line runs", func() bool {
		line.mu.Lock()
		defer line.mu.Unlock()
		return line.running
	})
	return line, reports, ended
}

// deadKey is a key to a port where nobody listens.
func deadKey(t *testing.T) string {
	return accesskey.Shadowsocks{Method: "aes-256-gcm", Password: "p"}.URI("127.0.0.1", testport.Free(t, 1), "")
}

// keyAt is a key to a server that is not one.
func keyAt(address string) string {
	host, port := hostPort(address)
	return accesskey.Shadowsocks{Method: "aes-256-gcm", Password: "p"}.URI(host, port, "")
}

func revoked() error {
	return &Error{Status: 401, Code: CodeUnauthenticated, Message: "Unauthenticated."}
}

func TestLineTakesANewKey(t *testing.T) {
	a := &account{key: shadowsocksServer(t, "aes-256-gcm", "6pXWju_b_m")}
	line, _, _ := runningLine(t, deadKey(t), a)
	conn, err := line.DialContext(timeout(t), "tcp", echoStreams(t))
	if err != nil {
		t.Fatalf("dial after the key was replaced: %v", err)
	}
	defer conn.Close()
	echo(t, conn, 100_000, false)
	echoDatagram(t, line, echoDatagrams(t), 100)
	if got := a.asked.Load(); got != 1 {
		t.Errorf("the key was asked for %d times, want once", got)
	}
	if want := tunnelTo(t, a.key).Address(); line.Address() != want {
		t.Errorf("Address() = %s, want %s", line.Address(), want)
	}
}

// A server that does not honour the key ends the stream without a byte.
func TestLineEndsWithARefusedKey(t *testing.T) {
	deaf := serveStreams(t, func(conn net.Conn) { _, _ = io.ReadFull(conn, make([]byte, 64)) })
	a := &account{err: revoked()}
	line, _, ended := runningLine(t, keyAt(deaf), a)
	_, address := runningProxy(t, line)
	socks, err := proxy.SOCKS5("tcp", address, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := socks.Dial("tcp", "site.test:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	socket, err := line.ListenPacket(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	send(t, conn, []byte("GET / HTTP/1.0\r\n\r\n"))
	if err := <-ended; CodeOf(err) != CodeUnauthenticated {
		t.Fatalf("Run = %v, want the refusal", err)
	}
	if _, err := io.ReadAll(conn); err != nil && !isReset(err) {
		t.Errorf("the stream ends with %v", err)
	}
	if _, _, err := socket.ReadFrom(make([]byte, 100)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket reads %v, want that it was closed", err)
	}
	if _, err := line.DialContext(timeout(t), "tcp", "site.test:80"); CodeOf(err) != CodeUnauthenticated {
		t.Errorf("a later dial: %v, want the refusal", err)
	}
	if _, err := line.ListenPacket(timeout(t)); CodeOf(err) != CodeUnauthenticated {
		t.Errorf("a later socket: %v, want the refusal", err)
	}
	if got := a.asked.Load(); got != 1 {
		t.Errorf("the key was asked for %d times, want once", got)
	}
}

func TestLineCutsWhatRunsThroughAReplacedKey(t *testing.T) {
	key := shadowsocksServer(t, "aes-256-gcm", "")
	other := strings.Replace(key, "outline=1", "outline=1&prefix=renewed", 1)
	line, _, _ := runningLine(t, key, &account{key: other})
	conn, err := line.DialContext(timeout(t), "tcp", echoStreams(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first, err := line.current()
	if err != nil {
		t.Fatal(err)
	}
	<-line.suspect(first)
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read %v, want that the stream was closed", err)
	}
	if next, err := line.current(); err != nil || next == first {
		t.Errorf("the tunnel is still the first one, %v", err)
	}
	if err := line.enter(first, conn); err == nil {
		t.Error("a stream of the old tunnel was let in late")
	}
}

func TestLineKeepsAKeyThatIsStillGood(t *testing.T) {
	key := deadKey(t)
	for name, c := range map[string]struct {
		key    string
		err    error
		report string
	}{
		"same key":   {key, nil, ErrSilent.Error()},
		"overloaded": {"", &Error{Status: 503, Code: CodeServerOffline, Message: "Offline"}, "asking for the key again: Offline"},
		"throttled":  {"", &Error{Status: 429, Code: CodeTooManyAttempts, Message: "Slower"}, "asking for the key again: Slower"},
		"portal":     {"", &Error{Status: 403}, "asking for the key again: the address answers 403"},
		"no network": {"", io.ErrUnexpectedEOF, "asking for the key again: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &account{key: c.key, err: c.err}
			line, reports, _ := runningLine(t, key, a)
			for range 3 {
				if _, err := line.DialContext(timeout(t), "tcp", "site.test:80"); err == nil || !strings.Contains(err.Error(), "connection refused") {
					t.Errorf("dial: %v, want what is wrong with the server", err)
				}
			}
			if report := <-reports; !strings.Contains(report.Error(), c.report) {
				t.Errorf("reported %q, want %q", report, c.report)
			}
			if got := a.asked.Load(); got != 1 {
				t.Errorf("within %v the key was asked for %d times, want once", recheckAfter, got)
			}
		})
	}
}

func TestLineEndsOnAKeyItCannotUse(t *testing.T) {
	line, _, ended := runningLine(t, deadKey(t), &account{key: "wg://something-new"})
	if _, err := line.DialContext(timeout(t), "tcp", "site.test:80"); err == nil {
		t.Error("dialled through a key that is none")
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "access key") {
		t.Errorf("Run = %v", err)
	}
}

func TestLineRechecksAfterAWhile(t *testing.T) {
	key := deadKey(t)
	synctest.Test(t, func(t *testing.T) {
		a := &account{key: key}
		line, err := NewLine(key, a.refresh, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = line.Run(ctx) }()
		synctest.Wait()
		for range 3 {
			<-line.suspect(line.tunnel)
			<-line.suspect(line.tunnel)
			time.Sleep(recheckAfter)
		}
		if got := a.asked.Load(); got != 3 {
			t.Errorf("asked %d times, want once in each %v", got, recheckAfter)
		}
		stop()
		synctest.Wait()
		select {
		case <-line.suspect(line.tunnel):
		default:
			t.Error("a suspicion waits for a line that no longer runs")
		}
	})
}

func TestVigil(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*vigil)
		want    int64
	}{
		"answered in time":       {func(v *vigil) { v.sent(); time.Sleep(silenceLimit - 1); v.received(1, nil); time.Sleep(time.Hour) }, 0},
		"silent":                 {func(v *vigil) { v.sent(); v.sent(); time.Sleep(silenceLimit) }, 1},
		"nothing asked":          {func(*vigil) { time.Sleep(time.Hour) }, 0},
		"closed while waiting":   {func(v *vigil) { v.sent(); v.close(); time.Sleep(time.Hour) }, 0},
		"ended without a byte":   {func(v *vigil) { v.sent(); v.received(0, io.EOF); v.close() }, 1},
		"ended well":             {func(v *vigil) { v.sent(); v.received(1, nil); v.received(0, io.EOF) }, 0},
		"broken off":             {func(v *vigil) { v.sent(); v.received(1, nil); v.received(0, io.ErrUnexpectedEOF) }, 1},
		"closed by us, then EOF": {func(v *vigil) { v.sent(); v.close(); v.received(0, net.ErrClosed) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var suspected atomic.Int64
				v := &vigil{suspect: func() { suspected.Add(1) }}
				c.happens(v)
				synctest.Wait()
				if got := suspected.Load(); got != c.want {
					t.Errorf("suspected %d times, want %d", got, c.want)
				}
				v.close()
			})
		})
	}
}
