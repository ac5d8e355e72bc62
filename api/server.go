package api

import (
	"log/slog"
	"net/http"
	"time"
)

// Bounds of a request.
const (
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 64 << 10
)

// NewServer returns a server with the bounds that the API wants: slow and oversized requests end. Its own complaints
// (which name addresses) go to log at debug level.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    20 * time.Second, // of the header too; one deadline for both is one less to set
		WriteTimeout:   time.Minute,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
