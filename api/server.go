package api

import (
	"io"
	"log"
	"net/http"
	"time"
)

// Bounds of a request.
const (
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 64 << 10
)

// NewServer returns a server with the bounds that the API wants: slow and oversized requests end. net/http's own
// complaints name addresses of clients, so they go nowhere.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    20 * time.Second, // of the header too; one deadline for both is one less to set
		WriteTimeout:   time.Minute,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       log.New(io.Discard, "", 0),
	}
}
