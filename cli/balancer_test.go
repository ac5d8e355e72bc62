package cli_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// balancer hands TCP connections to the replicas that say they are ready, in turn. One that refuses the connection is
// passed over, as every balancer does: nothing was asked of it.
type balancer struct {
	*machine // for until
	url      string

	mu       sync.Mutex
	backends []*backend
	next     int
}

type backend struct {
	address string
	isReady bool
	served  int
}

// newBalancer listens until the test ends.
func newBalancer(t *testing.T, replicas ...*machine) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{machine: replicas[0], url: "http://" + listener.Addr().String()}
	for _, m := range replicas {
		b.backends = append(b.backends, &backend{address: strings.TrimPrefix(m.url, "http://"), isReady: true})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	t.Cleanup(func() { cancel(); _ = listener.Close(); parts.Wait() })
	parts.Go(func() { b.check(ctx) })
	parts.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			parts.Go(func() { b.carry(ctx, conn) })
		}
	})
	return b
}

// move tells that a replica has another address.
func (b *balancer) move(i int, m *machine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends[i].address = strings.TrimPrefix(m.url, "http://")
}

// served is how many connections a replica got.
func (b *balancer) served(i int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.backends[i].served
}

// check asks each replica, each second, whether it is ready.
func (b *balancer) check(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for ctx.Err() == nil {
		for i := range b.backends {
			b.mu.Lock()
			address := b.backends[i].address
			b.mu.Unlock()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
			resp, err := client.Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			b.mu.Lock()
			b.backends[i].isReady = err == nil && resp.StatusCode == http.StatusOK
			b.mu.Unlock()
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// pick returns the addresses to try, the one whose turn it is first.
func (b *balancer) pick() []*backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	var ready []*backend
	for i := range b.backends {
		if c := b.backends[(b.next+i)%len(b.backends)]; c.isReady {
			ready = append(ready, c)
		}
	}
	return ready
}

// carry joins a client's connection to a replica.
func (b *balancer) carry(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	for _, c := range b.pick() {
		b.mu.Lock()
		address := c.address
		b.mu.Unlock()
		server, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		b.mu.Lock()
		c.served++
		b.mu.Unlock()
		stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(server, client); _ = server.(*net.TCPConn).CloseWrite() })
		both.Go(func() { _, _ = io.Copy(client, server); _ = client.(*net.TCPConn).CloseWrite() })
		both.Wait()
		stop()
		_ = server.Close()
		return
	}
}
