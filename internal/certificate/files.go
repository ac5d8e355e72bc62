package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// lookInterval is how often the files are looked at.
const lookInterval = 10 * time.Second

// Files is a Source of two PEM files: a chain with the server's certificate first, and its private key. When they
// change, the new pair is taken within lookInterval; a pair that does not fit is logged and the old one stays.
type Files struct {
	holder
	chain, key string
	log        *slog.Logger
	seen       [2]fileState // what was tried last
}

// fileState tells whether a file was written since.
type fileState struct {
	at   time.Time
	size int64
}

var _ Source = (*Files)(nil)

// NewFiles reads the pair. An error names the file and what is wrong with it.
func NewFiles(chain, key string, log *slog.Logger) (*Files, error) {
	f := &Files{chain: chain, key: key, log: log}
	seen, err := f.look()
	if err != nil {
		return nil, err
	}
	if err := f.load(seen); err != nil {
		return nil, err
	}
	return f, nil
}

// TLSConfig implements Source.
func (f *Files) TLSConfig(protocols ...string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get, NextProtos: protocols}
}

// Run implements Source.
func (f *Files) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			f.refresh()
		}
	}
}

// refresh takes the pair if it changed. What was tried once is not tried, or complained about, again.
func (f *Files) refresh() {
	seen, err := f.look()
	if err == nil {
		if seen == f.seen {
			return
		}
		err = f.load(seen)
	} else if f.seen == [2]fileState{} {
		return
	}
	f.seen = seen
	if err != nil {
		f.log.Error("the new certificate cannot be used; the old one stays: put a certificate and its key into the files",
			"error", err, "valid_until", f.NotAfter())
		return
	}
	f.log.Info("a new certificate is in use", "valid_until", f.NotAfter())
}

func (f *Files) look() (seen [2]fileState, err error) {
	for i, path := range []string{f.chain, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			return [2]fileState{}, fmt.Errorf("certificate: %w", err)
		}
		seen[i] = fileState{at: info.ModTime(), size: info.Size()}
	}
	return seen, nil
}

func (f *Files) load(seen [2]fileState) error {
	f.seen = seen
	pair, err := tls.LoadX509KeyPair(f.chain, f.key)
	if err != nil {
		return fmt.Errorf("certificate: %s with %s: %w", f.chain, f.key, err)
	}
	f.present.Store(&pair)
	return nil
}
