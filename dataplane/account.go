package dataplane

import (
	"sync"
	"sync/atomic"
	"time"
)

// account is the ledger's row of one key.
type account struct {
	id                 int64
	up, down           atomic.Int64 // bytes
	lastAt             atomic.Int64 // unix milliseconds
	upLimit, downLimit limit

	mu          sync.Mutex
	gone        bool  // removed; kept for its counters only
	used        bool  // had a session once, so it is in the ledger's used list
	notAfter    int64 // unix milliseconds, 0 = none
	maxSessions int
	sessions    *Session // head of the list
	live        int
}

// admit links a new session or says why not. first reports that it is the key's first ever.
func (a *account) admit(s *Session, now int64) (first bool, notAfter int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.gone:
		return false, 0, ErrUnknownKey
	case a.expired(now):
		return false, 0, ErrExpired
	case a.live >= a.maxSessions:
		return false, 0, ErrTooManySessions
	}
	if s.next = a.sessions; s.next != nil {
		s.next.prev = s
	}
	a.sessions, s.linked = s, true
	a.live++
	first, a.used = !a.used, true
	return first, a.notAfter, nil
}

// unlink ends a session unless it has ended; the caller holds the lock.
func (a *account) unlink(s *Session) {
	if !s.linked {
		return
	}
	s.linked = false
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		a.sessions = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	a.live--
	close(s.ended)
}

// put brings the account to a key's wanted state. It returns the sessions this ends, or the deadline that live sessions
// now have (unix milliseconds, 0 = none).
func (a *account) put(k Key, now time.Time) (ended []*Session, deadline int64) {
	a.upLimit.set(k.Limits.UpBytesPerSecond, now)
	a.downLimit.set(k.Limits.DownBytesPerSecond, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = false
	if a.maxSessions = k.Limits.MaxSessions; a.maxSessions <= 0 || a.maxSessions > mostSessions {
		a.maxSessions = mostSessions
	}
	a.notAfter = 0
	if !k.NotAfter.IsZero() {
		a.notAfter = k.NotAfter.UnixMilli()
	}
	if a.expired(now.UnixMilli()) {
		return a.unlinkAll(), 0
	}
	if a.live == 0 {
		return nil, 0
	}
	return nil, a.notAfter
}

// remove refuses every later session and returns the live ones, unlinked. used reports that there are counters to keep.
func (a *account) remove() (ended []*Session, used bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = true
	return a.unlinkAll(), a.used
}

// expire returns the sessions that a passed deadline ends, or the deadline to wait for (0 = none).
func (a *account) expire(now int64) (ended []*Session, next int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.live == 0 {
		return nil, 0
	}
	if a.expired(now) {
		return a.unlinkAll(), 0
	}
	return nil, a.notAfter
}

func (a *account) expired(now int64) bool { return a.notAfter != 0 && now >= a.notAfter }

func (a *account) unlinkAll() []*Session {
	if a.live == 0 {
		return nil
	}
	ended := make([]*Session, 0, a.live)
	for s := a.sessions; s != nil; s = a.sessions {
		a.unlink(s)
		ended = append(ended, s)
	}
	return ended
}

func (a *account) usage() KeyUsage {
	a.mu.Lock()
	live := a.live
	a.mu.Unlock()
	u := KeyUsage{KeyID: a.id, Up: a.up.Load(), Down: a.down.Load(), Sessions: live}
	if at := a.lastAt.Load(); at != 0 {
		u.LastTrafficAt = time.UnixMilli(at)
	}
	return u
}

func (a *account) isGone() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gone
}
