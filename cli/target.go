package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
)

const (
	// targetPageBytes is the size of the demo's page.
	targetPageBytes = 4 << 20
	// targetAddress is one that nothing else of the demo listens on, so that opening it to the node opens nothing else.
	targetAddress = "127.0.0.77"
)

// demoTarget is a web server of the demo's own, for its page to come from.
type demoTarget struct {
	url     string
	address netip.Addr
	page    []byte
	sum     string
	visits  atomic.Int64
	server  *http.Server
}

// startTarget serves the page at /page, and an endless download at /endless.
func startTarget(ctx context.Context) (*demoTarget, error) {
	listener, err := listen(ctx, targetAddress+":0")
	if err != nil { // not every system has all of 127.0.0.0/8
		if listener, err = listen(ctx, "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("target server: %w", err)
		}
	}
	t := &demoTarget{
		url:     "http://" + listener.Addr().String(),
		address: listener.Addr().(*net.TCPAddr).AddrPort().Addr(),
		page:    make([]byte, targetPageBytes),
	}
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(t.page) // never fails
	sum := sha256.Sum256(t.page)
	t.sum = hex.EncodeToString(sum[:])
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) {
		t.visits.Add(1)
		w.Header().Set("Content-Length", strconv.Itoa(len(t.page)))
		_, _ = w.Write(t.page) // a client that went away
	})
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(t.page[:32<<10]); err != nil {
				return
			}
		}
	})
	t.server = &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	go func() { _ = t.server.Serve(listener) }()
	return t, nil
}

func (t *demoTarget) close() { _ = t.server.Close() }
