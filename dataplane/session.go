package dataplane

import (
	"errors"
)

// Errors of sessions.
var (
	// ErrUnknownKey refuses a key that was never applied, or was removed.
	ErrUnknownKey = errors.New("dataplane: unknown key")
	// ErrExpired refuses a key that is past its NotAfter.
	ErrExpired = errors.New("dataplane: key expired")
	// ErrTooManySessions refuses a session beyond the key's MaxSessions, or one too many for any key.
	ErrTooManySessions = errors.New("dataplane: too many sessions")
	// ErrEnded tells a waiting session that it was cut.
	ErrEnded = errors.New("dataplane: session ended")
)

// Session is one admitted flow of a key: a TCP connection through the proxy, or a client's UDP association. Whoever
// admitted it calls Done when the flow is over.
type Session struct {
	ledger     *Ledger
	account    *account
	cut        func()
	ended      chan struct{}
	prev, next *Session // the account's list, under its lock
	linked     bool
}

// Up counts n bytes that the client sent and then waits as the key's limit asks. It fails with ErrEnded if the session
// is cut while it waits.
func (s *Session) Up(n int) error {
	s.account.up.Add(int64(n))
	s.touch()
	return s.account.upLimit.wait(n, s.ledger.now, s.ended)
}

// Down counts n bytes on their way to the client and then waits, as Up does.
func (s *Session) Down(n int) error {
	s.account.down.Add(int64(n))
	s.touch()
	return s.account.downLimit.wait(n, s.ledger.now, s.ended)
}

// TryUp counts n bytes unless the session has ended or the key's limit is exceeded: for datagrams, which are dropped
// rather than delayed.
func (s *Session) TryUp(n int) bool {
	select {
	case <-s.ended:
		return false
	default:
	}
	if !s.account.upLimit.try(n, s.ledger.now()) {
		return false
	}
	s.account.up.Add(int64(n))
	s.touch()
	return true
}

// Done takes the session off the ledger. Calling it again, or after the session was cut, changes nothing.
func (s *Session) Done() {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	s.account.unlink(s)
}

func (s *Session) touch() {
	now := s.ledger.now().UnixMilli()
	if s.account.lastAt.Load() != now {
		s.account.lastAt.Store(now)
	}
}
