package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// statusClosed is what the event of a request says whose client went away; nobody reads it as an answer.
const statusClosed = 499

// monitored are the routes that machines ask all day long: their good answers are no news.
var monitored = map[string]bool{"/ping": true, "/healthz": true, "/readyz": true}

// maxKept bounds the room for answers that an exchange keeps for later ones, in bytes.
const maxKept = 64 << 10

// end turns a panic into an answer, writes the one event of the request, and gives the exchange back.
func (x *exchange) end() {
	if cause := recover(); cause != nil {
		err := fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		if x.isHeld { // nothing was sent yet
			x.isHeld, x.status = false, 0
		}
		if x.status != 0 {
			x.err, x.code = err, codeServerError
			x.event()
			panic(http.ErrAbortHandler) // the answer is half there: only cutting it off tells the client
		}
		x.refuse(err)
	}
	x.event()
	if cap(x.body) > maxKept {
		x.body = nil
	}
	api := x.api
	*x = exchange{body: x.body}
	api.exchanges.Put(x)
}

// event logs what became of the request. It names the route and never the path, the user or the address: paths hold
// secrets, and who asked what is nobody's business.
func (x *exchange) event() {
	ctx, level, route := x.r.Context(), slog.LevelInfo, "none"
	if x.resource != nil {
		route = x.resource.path
	}
	elapsed := time.Since(x.startedAt)
	if x.api.config.Observe != nil {
		x.api.config.Observe(knownMethod(x.r.Method), route, x.status, elapsed)
	}
	switch {
	case x.status == http.StatusServiceUnavailable && monitored[route]:
		level = slog.LevelWarn // whoever asks hears it, at each start and stop, too
	case x.err != nil:
		level = slog.LevelError
	case x.status < http.StatusMultipleChoices && monitored[route]:
		level = slog.LevelDebug
	}
	if !x.api.log.Enabled(ctx, level) {
		return
	}
	handler := x.api.log.Handler()
	if x.resource != nil && x.resource.events[x.r.Method] != nil {
		handler = x.resource.events[x.r.Method]
	} else {
		handler = eventsOf(handler, knownMethod(x.r.Method), route)
	}
	// Made by hand, because Logger.LogAttrs looks for the caller's line each time, which is always this one.
	record := slog.NewRecord(x.startedAt.Add(elapsed), level, "request", 0)
	record.AddAttrs(
		slog.Int("status", x.status),
		slog.String("took", bucket(elapsed)),
		slog.String("request_id", x.id),
	)
	if x.code != "" {
		record.AddAttrs(slog.String("code", string(x.code)))
	}
	if x.err != nil {
		record.AddAttrs(slog.Any("err", x.err))
	}
	_ = handler.Handle(ctx, record) // there is nowhere else to say that the log is broken
}

// eventsOf is a log in which each event has a method and a route, which a handler formats once.
func eventsOf(log slog.Handler, method, route string) slog.Handler {
	return log.WithAttrs([]slog.Attr{slog.String("method", method), slog.String("route", route)})
}

// knownMethod keeps what a client made up out of the log.
func knownMethod(method string) string {
	for _, v := range verbs {
		if v == method {
			return v
		}
	}
	if method == http.MethodOptions {
		return method
	}
	return "other"
}

// bucket is a duration as the log has it: no finer, so that two logs cannot be joined by it.
func bucket(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1ms"
	case d < 10*time.Millisecond:
		return "<10ms"
	case d < 100*time.Millisecond:
		return "<100ms"
	case d < time.Second:
		return "<1s"
	case d < 10*time.Second:
		return "<10s"
	default:
		return ">=10s"
	}
}

// isGone reports that err is only the end of a request whose client went away.
func (x *exchange) isGone(err error) bool {
	return errors.Is(err, context.Canceled) && x.r.Context().Err() != nil
}
