package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// failurePause is how long a loop of a listening socket waits after a failure, mostly for want of file descriptors.
	failurePause = 50 * time.Millisecond
	// failureSilence is how long no more is said of failures after one was told: they come twenty times a second from each
	// socket, and what is short of descriptors should not run out of disk, too.
	failureSilence = time.Minute
)

// Failures tells the log of what fails in a plane and is no client's fault: listening sockets, whose loops it slows down, and
// the program itself. What the log gets names no address.
type Failures struct {
	log *slog.Logger

	mu              sync.Mutex
	sockets, panics told
}

// told is when something was told last, and how often it happened since.
type told struct {
	at     time.Time
	untold int
}

// isDue reports whether it is time to tell again, and how often there was nothing told before. The caller holds the lock.
func (t *told) isDue(now time.Time) (before int, is bool) {
	if !t.at.IsZero() && now.Sub(t.at) < failureSilence {
		t.untold++
		return 0, false
	}
	before, t.at, t.untold = t.untold, now, 0
	return before, true
}

// NewFailures tells a log; nil is slog's default.
func NewFailures(log *slog.Logger) *Failures {
	if log == nil {
		log = slog.Default()
	}
	return &Failures{log: log}
}

// Wait notes that a call on a socket failed, tells of it unless one was told of a moment ago, and pauses.
func (f *Failures) Wait(call string, err error) {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // the outer one names the socket's addresses
	}
	f.mu.Lock()
	before, isDue := f.sockets.isDue(time.Now())
	f.mu.Unlock()
	if isDue {
		f.log.Warn("a listening socket fails", "call", call, "error", err, "untold_before", before)
	}
	time.Sleep(failurePause)
}

// Contain is deferred by the goroutine of one flow. A panic ends that flow, by end, and not the process with everybody's.
func (f *Failures) Contain(end func()) {
	if cause := recover(); cause != nil {
		f.Panicked(cause)
		end()
	}
}

// Panicked tells of a panic that was recovered, with the stack of the caller, unless one was told of a moment ago.
func (f *Failures) Panicked(cause any) {
	f.mu.Lock()
	before, isDue := f.panics.isDue(time.Now())
	f.mu.Unlock()
	if isDue {
		f.log.Error("a session panicked", "error", fault(cause), "untold_before", before)
	}
}

// fault is what was recovered from a panic, with the caller's stack.
func fault(cause any) error { return fmt.Errorf("%v\n%s", cause, debug.Stack()) }
