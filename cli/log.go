package cli

import (
	"fmt"
	"io"
	"log/slog"
)

// newLog writes structured events to w.
func newLog(w io.Writer, format, level string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	opts := &slog.HandlerOptions{Level: least}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

// quietLog drops everything: the demo's own output says what happens.
func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
