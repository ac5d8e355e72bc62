package wire

import "time"

// Seconds is an instant as the API writes it: UTC, whole seconds, so that encoding/json ends it in "Z".
func Seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// SecondsOrNull is Seconds for an instant that may be missing: the zero time is null.
func SecondsOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = Seconds(t)
	return &t
}
