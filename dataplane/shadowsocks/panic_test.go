package shadowsocks

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"stile/dataplane"
)

// faultyResolver is a part of the program that fails.
type faultyResolver struct{}

func (faultyResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	panic("a fault")
}

// lockedLog is a log that many write.
type lockedLog struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lockedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

// A fault over one session ends it, and nobody else's.
func TestAPanicEndsItsSession(t *testing.T) {
	to, received := packetTarget(t)
	echo := echoServer(t)
	log := new(lockedLog)
	p, ledger := setUp(t, 1, 3, defaultTimes(), func(p *Plane) {
		p.failures = dataplane.NewFailures(slog.New(slog.NewTextHandler(log, nil)))
		p.egress = dataplane.NewEgress(dataplane.EgressConfig{
			AllowTargets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Resolver: faultyResolver{},
		})
	})
	first, _ := p.Ports()
	running, ok := greets(t, echo, first, 2)
	if !ok {
		t.Fatal("a session is not served")
	}
	other := sendPacket(t, p, 3, append(targetHeader(to), "before"...))
	expect(t, received, "before")

	faulty := connect(t, p, 1)
	_, _ = faulty.Write(clientStream(1, aes256GCM, randomSalt(testSecret(1).Prefix), []byte("\x03\x09fail.test\x01\xbb")))
	if n, err := io.Copy(io.Discard, faulty); n != 0 || isTimeout(err) {
		t.Errorf("the session of a fault goes on: %d bytes, %v", n, err)
	}
	sendPacket(t, p, 1, []byte("\x03\x09fail.test\x01\xbbx"))
	for deadline := time.Now().Add(time.Minute); ledger.Totals().Sessions != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are left, want the two of the others", ledger.Totals().Sessions)
		}
	}
	_, _ = other.Write(clientPacket(3, aes256GCM, randomSalt(""), append(targetHeader(to), "after"...)))
	expect(t, received, "after")
	_ = running.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := io.Copy(io.Discard, running); !isTimeout(err) {
		t.Errorf("another session ended: %v", err)
	}
	if text := log.text(); !strings.Contains(text, "panic_test.go") || strings.Contains(text, "fail.test") {
		t.Errorf("the log does not tell where, or tells a name: %s", text)
	}
}
