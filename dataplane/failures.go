package dataplane

import (
	"errors"
	"log/slog"
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

// Failures tells the log of the failures of a plane's listening sockets, and slows their loops down. What the log gets names
// no address.
type Failures struct {
	log *slog.Logger

	mu     sync.Mutex
	toldAt time.Time
	untold int
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
	f.mu.Lock()
	if now := time.Now(); f.toldAt.IsZero() || now.Sub(f.toldAt) >= failureSilence {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // the outer one names the socket's addresses
		}
		f.log.Warn("a listening socket fails", "call", call, "error", err, "untold_before", f.untold)
		f.toldAt, f.untold = now, 0
	} else {
		f.untold++
	}
	f.mu.Unlock()
	time.Sleep(failurePause)
}
