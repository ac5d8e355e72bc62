package web

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// event logs what became of the request. It names the route and never the path, the user or the address: paths hold
// secrets, and who asked what is nobody's business.
func (v *visit) event() {
	level, route := slog.LevelInfo, v.route
	if v.err != nil {
		level = slog.LevelError
	}
	if route == "" {
		route = "none"
	}
	method := v.r.Method
	if method != http.MethodGet && method != http.MethodPost && method != http.MethodHead {
		method = "other"
	}
	took := v.took
	if took == 0 {
		took = time.Since(v.startedAt)
	}
	if v.site.observe != nil {
		v.site.observe(method, route, v.status, took)
	}
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("route", route), slog.Int("status", v.status),
		slog.String("took", bucket(took)), slog.String("request_id", v.id),
	}
	if v.code != "" {
		attrs = append(attrs, slog.String("code", string(v.code)))
	}
	if v.err != nil {
		attrs = append(attrs, slog.Any("err", v.err))
	}
	v.site.log.LogAttrs(v.r.Context(), level, "page", attrs...)
}

// bucket is a duration as the log has it: no finer, so that two logs cannot be joined by it.
func bucket(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return "<10ms"
	case d < 100*time.Millisecond:
		return "<100ms"
	case d < time.Second:
		return "<1s"
	default:
		return ">=1s"
	}
}

// newRequestID names a request to those who ask about it later: up to 16 hex digits that need only be rare.
func newRequestID() string {
	return strconv.FormatUint(rand.Uint64(), 16) //nolint:gosec // no secret
}
