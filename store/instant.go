package store

import (
	"fmt"
	"time"
)

// millis is the stored form of an instant: unix milliseconds, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// instant scans a stored instant into a time.Time.
type instant struct{ to *time.Time }

// Scan implements sql.Scanner.
func (i instant) Scan(value any) error {
	ms, ok := value.(int64)
	if !ok {
		return fmt.Errorf("instant: %T", value)
	}
	*i.to = fromMillis(ms)
	return nil
}

// fromMillis is the instant of a stored number.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// midnight is the day of an instant: activity is never kept finer than that.
func midnight(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
