package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"stile/wire"
)

const (
	pingTries = 3
	pingLimit = 3 * time.Second
	// pingsAtOnce is small enough that pings do not delay each other.
	pingsAtOnce = 10
)

// Ping times requests to a server's ping address and returns the best of three. They share a connection, so that the
// best of them is one round trip. All three together have 3 s; what was measured by then counts.
func Ping(ctx context.Context, address string) (time.Duration, error) {
	transport := directTransport()
	defer transport.CloseIdleConnections()
	return pingThrough(ctx, transport, address)
}

func pingThrough(ctx context.Context, transport http.RoundTripper, address string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	best := time.Duration(0)
	for range pingTries {
		took, err := pingOnce(ctx, transport, address)
		switch {
		case err != nil && best > 0:
			return best, nil
		case err != nil:
			return 0, fmt.Errorf("client: ping: %w", err)
		case best == 0 || took < best:
			best = took
		}
	}
	return best, nil
}

func pingOnce(ctx context.Context, transport http.RoundTripper, address string) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	startedAt := time.Now()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	took := max(time.Since(startedAt), time.Nanosecond)
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusNoContent && response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("it answers %s", response.Status)
	}
	return took, nil
}

// PingAll times the servers, at most ten at once. Those that do not answer are absent from the result, which is keyed by
// server id.
func PingAll(ctx context.Context, servers []wire.Server) map[int64]time.Duration {
	pings := make(map[int64]time.Duration, len(servers))
	var mu sync.Mutex
	var wait sync.WaitGroup
	slots := make(chan struct{}, pingsAtOnce)
	for _, server := range servers {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if took, err := Ping(ctx, server.APIURL); err == nil {
				mu.Lock()
				pings[server.ID] = took
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return pings
}
