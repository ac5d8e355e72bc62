package shadowsocks

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"stile/accesskey"
)

// A clock that is set back makes what was recorded fresh again: it is not taken a second time, and nobody else is refused.
func TestAClockThatGoesBackRevivesNothing(t *testing.T) {
	method := accesskey.Method2022AES128
	site := echoServer(t)
	var passed, skew atomic.Int64 // since the start, and how wrong the clock is
	began := time.Now()
	steady := func() time.Time { return began.Add(time.Duration(passed.Load())) }
	wall := func() time.Time { return steady().Add(time.Duration(skew.Load())) }
	p, _ := setUp2022(t, method, 2, defaultTimes(), func(p *Plane2022) { p.now, p.salts.now = wall, steady })
	says := func(request []byte) string {
		conn, err := net.Dial("tcp", p.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write(request)
		_ = conn.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		return string(answer[:min(len(answer), 1)])
	}
	request := func(key int64) []byte {
		c := newClient2022(method, testKey(key))
		c.at = wall
		return c.request(c.salt(), targetHeader(site), 0, []byte("x"))
	}
	taken := func(what string, request []byte, want bool) {
		t.Helper()
		if got := says(request) != ""; got != want {
			t.Errorf("%s is taken: %v, want %v", what, got, want)
		}
	}
	recorded := request(1)
	taken("a request", recorded, true)
	for range 3 { // the salt is forgotten
		passed.Add(int64(saltTTL + time.Second))
		taken("another user's request", request(2), true)
	}
	skew.Store(-passed.Load())
	taken("a recorded request whose time came again", recorded, false)
	skew.Store(-passed.Load() + int64(time.Second))
	taken("that user's request of a second later", request(1), true)
	skew.Store(0)
	taken("that user's request by the right clock", request(1), true)
	taken("another user's request by the right clock", request(2), true)
}

// The same holds for a packet whose association is forgotten.
func TestAForgottenAssociationTakesNothingOld(t *testing.T) {
	method := accesskey.Method2022AES128
	to, received := packetTarget(t)
	p, _ := setUp2022(t, method, 1, defaultTimes(), func(p *Plane2022) { p.times.remember, p.datagrams.perKey = 0, 1 })
	dial := func() *packetConn2022 {
		conn, err := newClient2022(method, testKey(1)).dialUDP(p.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	conn, other := dial(), dial()
	at := time.Now()
	conn.client.at = func() time.Time { return at }
	body := func(text string) []byte { return append(append([]byte{0, 0}, targetHeader(to)...), text...) }
	recorded := conn.packet(0, fromClient, body("recorded"))
	_, _ = conn.Write(recorded)
	expect(t, received, "recorded")
	_, _ = other.Write(other.packet(0, fromClient, body("other"))) // takes the place of the first
	expect(t, received, "other")
	_, _ = conn.Write(recorded)
	at = at.Add(2 * time.Second)
	_, _ = conn.Write(conn.packet(1, fromClient, body("later")))
	expect(t, received, "later")
}
