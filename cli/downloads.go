package cli

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"stile/extension"
)

// downloads serves the browser extension under the brand that the service has now.
type downloads struct {
	brand  func(context.Context) string
	config extension.Config // but for its Name
	log    *slog.Logger

	mu   sync.Mutex
	kept *extension.Downloads
}

// packed returns the archives, packed anew when the brand has changed.
func (d *downloads) packed(ctx context.Context) (*extension.Downloads, error) {
	brand := d.brand(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept != nil && d.config.Name == brand {
		return d.kept, nil
	}
	config := d.config
	config.Name = brand
	made, err := extension.NewDownloads(config)
	if err != nil {
		return nil, err
	}
	d.config, d.kept = config, made
	return made, nil
}

func (d *downloads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	archives, err := d.packed(r.Context())
	if err != nil {
		d.log.ErrorContext(r.Context(), "extension not packed", "err", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	archives.ServeHTTP(w, r)
}
