package dataplane

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// Relay says how long a relay waits for traffic.
type Relay struct {
	// Idle ends a flow in which nothing moved for so long, and one whose receiver has taken nothing for about so long.
	Idle time.Duration
	// HalfIdle is the same once one side has finished sending.
	HalfIdle time.Duration
}

// DefaultRelay outlasts the keep-alive of phones (about 28 minutes) and gives half-closed flows two.
func DefaultRelay() Relay { return Relay{Idle: 35 * time.Minute, HalfIdle: 2 * time.Minute} }

// Run moves bytes both ways until both sides have finished, one fails, or nothing moved for too long; closing both
// streams from elsewhere ends it at once. Every byte is counted on the session and waits for its limits. When Run
// returns both streams are closed, nothing it started is running, and the session is still open.
func (r Relay) Run(s *Session, client, target Stream) {
	f := &flow{idle: r.Idle, halfIdle: r.HalfIdle, pulse: NewPulse()}
	down := make(chan error)
	go func() { down <- f.pump(target, client, s.Down) }()
	broken := errors.Join(f.pump(client, target, s.Up), <-down)
	_ = client.Close()
	_ = target.Close()
	if broken != nil {
		panic(broken) // in the goroutine of the session, which contains it
	}
}

// flow is one run of a relay.
type flow struct {
	idle, halfIdle time.Duration
	pulse          *Pulse
	halfClosed     atomic.Bool
}

// pump moves one direction until its source has finished; any other end closes both streams and so ends the other pump. It
// returns what it panicked with.
func (f *flow) pump(from, to Stream, count func(int) error) (broken error) {
	defer func() {
		if cause := recover(); cause != nil {
			broken = fault(cause)
			_ = from.Close()
			_ = to.Close()
		}
	}()
	err := f.move(from, to, count)
	if errors.Is(err, io.EOF) {
		err = to.CloseWrite()
		f.halfClosed.Store(true)
		_ = to.SetReadDeadline(time.Now().Add(f.halfIdle))
	}
	if err != nil {
		_ = from.Close()
		_ = to.Close()
	}
	return nil
}

func (f *flow) move(from, to Stream, count func(int) error) error {
	var writeArmedAt time.Time
	_ = from.SetReadDeadline(time.Now().Add(f.patience()))
	for {
		payload, err := from.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) && f.waitLonger(from) {
			continue
		}
		if err != nil {
			return err
		}
		now := time.Now()
		f.pulse.Beat(now)
		if err = count(size(payload)); err == nil {
			// Setting a deadline costs a timer, so one serves many writes: it is always between a half and a whole away.
			if now.Sub(writeArmedAt) > f.idle/2 {
				writeArmedAt = now
				_ = to.SetWriteDeadline(now.Add(f.idle))
			}
			err = to.Write(payload)
		}
		from.Release()
		if err != nil {
			return err
		}
	}
}

// waitLonger moves the read deadline if the other direction was busy while this one waited.
func (f *flow) waitLonger(from Stream) bool {
	until := f.pulse.Last().Add(f.patience())
	if !until.After(time.Now()) {
		return false
	}
	return from.SetReadDeadline(until) == nil
}

func (f *flow) patience() time.Duration {
	if f.halfClosed.Load() {
		return f.halfIdle
	}
	return f.idle
}

func size(payload net.Buffers) int {
	n := 0
	for _, b := range payload {
		n += len(b)
	}
	return n
}
