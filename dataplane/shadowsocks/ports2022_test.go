package shadowsocks

import (
	"net"
	"sync"
	"testing"

	"stile/accesskey"
)

// A key of AEAD-2022 works on every port, so that packets of one session may come by several at once: each counts once all the
// same, and the session has one association.
func TestASessionThatComesByTwoPorts(t *testing.T) {
	method := accesskey.Method2022AES128
	to, received := packetTarget(t)
	p, ledger := setUpPorts2022(t, method, 2, 1, defaultTimes())
	const sessions, packets = 40, 8
	for range sessions {
		client := newClient2022(method, testKey(1))
		conn, err := client.dialUDP(p.address())
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		for _, one := range p.ports {
			out, err := net.Dial("udp", one.udp.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			both.Go(func() {
				defer out.Close()
				for number := range uint64(packets) {
					_, _ = out.Write(conn.packet(number, fromClient, append(append([]byte{0, 0}, targetHeader(to)...), byte(number))))
				}
			})
		}
		both.Wait()
		_ = conn.Close()
		for range packets {
			expectAny(t, received)
		}
	}
	if n := len(received); n != 0 {
		t.Errorf("%d packets were taken twice", n)
	}
	if u := ledger.Usage(nil)[0]; u.Sessions != sessions || len(p.datagrams.clients()) != sessions {
		t.Errorf("%d sessions of the ledger and %d associations, want %d", u.Sessions, len(p.datagrams.clients()), sessions)
	}
}
