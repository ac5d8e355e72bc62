package api

import (
	"context"
	"net/http"
	"time"
)

// ping is what clients time. It is a node's job too; this one measures the way to the API.
func ping(x *exchange) error {
	h := x.w.Header()
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Timing-Allow-Origin"] = anyOrigin
	h["Cache-Control"] = []string{"no-store"}
	x.send(http.StatusNoContent, nil)
	return nil
}

// healthz says that the process serves.
func healthz(x *exchange) error { return x.sendHealth(http.StatusOK, "ok") }

// readyTimeout bounds how long /readyz waits for the database.
const readyTimeout = 2 * time.Second

// readyz says whether requests that need the database can be served.
func (a *API) readyz(x *exchange) error {
	if a.config.Ready != nil {
		ctx, cancel := context.WithTimeout(x.r.Context(), readyTimeout)
		defer cancel()
		if err := a.config.Ready(ctx); err != nil {
			x.err = err
			return x.sendHealth(http.StatusServiceUnavailable, "unavailable")
		}
	}
	return x.sendHealth(http.StatusOK, "ok")
}

func (x *exchange) sendHealth(status int, word string) error {
	h := x.w.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = []string{"no-store"}
	return x.sendJSON(status, map[string]string{"status": word})
}
