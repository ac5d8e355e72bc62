package dataplane

import (
	"sync/atomic"
	"time"
)

// Pulse is when something last moved in a flow. It keeps to the monotonic clock, so that a wall clock that is set neither ends
// flows nor keeps silent ones. It may be used from any goroutine.
type Pulse struct {
	began time.Time
	at    atomic.Int64 // nanoseconds since then
}

// NewPulse begins with a beat.
func NewPulse() *Pulse { return &Pulse{began: time.Now()} }

// Beat notes that something moved at a moment, as time.Now told it.
func (p *Pulse) Beat(now time.Time) { p.at.Store(int64(now.Sub(p.began))) }

// Last is the moment of the last beat.
func (p *Pulse) Last() time.Time { return p.began.Add(time.Duration(p.at.Load())) }
