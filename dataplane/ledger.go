package dataplane

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxTimer bounds how long the expiry timer sleeps: it runs on the monotonic clock, deadlines are on the wall clock, and
// the two part when somebody sets the time.
const maxTimer = time.Minute

// Ledger is a node's table of keys: their counters, limits and live sessions, shared by all planes. It ends sessions
// when a key is removed and, by a timer of its own, when a key expires. All methods may be called at any time from any
// goroutine.
type Ledger struct {
	now func() time.Time

	mu       sync.RWMutex
	accounts map[int64]*account
	used     []*account // those that had a session once: the only ones with something to report
	past     Totals     // of forgotten keys

	refused atomic.Int64

	timerMu sync.Mutex
	timer   *time.Timer
	nextAt  int64 // unix milliseconds the timer is set for; 0 = not set
	closed  bool
}

// NewLedger returns an empty ledger that reads the time from now.
func NewLedger(now func() time.Time) *Ledger {
	return &Ledger{now: now, accounts: make(map[int64]*account)}
}

// Apply makes keys valid or changes their limits and deadlines (put), and makes keys invalid for ever (remove). With
// full, put is the whole set and every key that is not in it is removed. Sessions of removed and expired keys have been
// cut when it returns; ended is their number. A key in both lists is removed.
func (l *Ledger) Apply(put []Key, remove []int64, full bool) (ended int) {
	now := l.now()
	var cut []*Session
	var next int64
	l.mu.Lock()
	if full {
		remove = append(l.missing(put), remove...)
	}
	for i := range put {
		a := l.accounts[put[i].ID]
		if a == nil {
			a = &account{id: put[i].ID}
			l.accounts[a.id] = a
		}
		sessions, deadline := a.put(put[i], now)
		cut = append(cut, sessions...)
		next = earlier(next, deadline)
	}
	for _, id := range remove {
		if a := l.accounts[id]; a != nil {
			sessions, used := a.remove()
			cut = append(cut, sessions...)
			if !used {
				delete(l.accounts, id)
			}
		}
	}
	l.mu.Unlock()
	return l.end(cut, next)
}

// end cuts sessions that were unlinked, sets the timer for the next deadline, and returns the number of sessions.
func (l *Ledger) end(sessions []*Session, next int64) int {
	for _, s := range sessions {
		s.cut()
	}
	if next != 0 {
		l.arm(next)
	}
	return len(sessions)
}

// earlier returns the earlier of two deadlines, where 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// missing lists the keys that a full set leaves out; the caller holds the lock.
func (l *Ledger) missing(put []Key) []int64 {
	kept := make(map[int64]struct{}, len(put))
	for i := range put {
		kept[put[i].ID] = struct{}{}
	}
	var ids []int64
	for id := range l.accounts {
		if _, ok := kept[id]; !ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Admit opens a session of a key, or fails with ErrUnknownKey, ErrExpired or ErrTooManySessions. cut ends the flow: the
// ledger calls it at most once, from any goroutine, possibly before Admit returns and possibly while or after Done runs;
// it must neither block nor call the ledger. A session that Admit returned is ended by every later removal, so a plane
// admits before it dials.
func (l *Ledger) Admit(keyID int64, cut func()) (*Session, error) {
	l.mu.RLock()
	a := l.accounts[keyID]
	l.mu.RUnlock()
	if a == nil {
		return nil, ErrUnknownKey
	}
	s := &Session{ledger: l, account: a, cut: cut, ended: make(chan struct{})}
	first, notAfter, err := a.admit(s, l.now().UnixMilli())
	if err != nil {
		return nil, err
	}
	if first {
		l.mu.Lock()
		if l.accounts[keyID] == a { // else removed and forgotten meanwhile
			l.used = append(l.used, a)
		}
		l.mu.Unlock()
	}
	if notAfter != 0 {
		l.arm(notAfter)
	}
	return s, nil
}

// Usage appends what every key has used since the process started, those that never had a session left out, removed
// ones included until Forget. The order is that of first use.
func (l *Ledger) Usage(dst []KeyUsage) []KeyUsage {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, a := range l.used {
		dst = append(dst, a.usage())
	}
	return dst
}

// Forget drops the counters of removed keys once they are safe elsewhere. Keys that are still valid are left alone.
func (l *Ledger) Forget(ids []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	forgotten := make(map[*account]struct{}, len(ids))
	for _, id := range ids {
		if a := l.accounts[id]; a != nil && a.isGone() {
			l.past.add(a.usage())
			forgotten[a] = struct{}{}
			delete(l.accounts, id)
		}
	}
	kept := l.used[:0]
	for _, a := range l.used {
		if _, ok := forgotten[a]; !ok {
			kept = append(kept, a)
		}
	}
	clear(l.used[len(kept):])
	l.used = kept
}

// Expire cuts the sessions of every key whose deadline has passed and returns how many. The ledger's timer calls it;
// calling it earlier does no harm.
func (l *Ledger) Expire() (ended int) {
	now := l.now().UnixMilli()
	var cut []*Session
	var next int64
	l.mu.RLock()
	for _, a := range l.used {
		sessions, at := a.expire(now)
		cut = append(cut, sessions...)
		next = earlier(next, at)
	}
	l.mu.RUnlock()
	return l.end(cut, next)
}

// Close stops the timer. Sessions go on; nothing expires by itself any more.
func (l *Ledger) Close() {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// arm makes the timer fire at the given moment, or leaves it if it fires earlier anyway.
func (l *Ledger) arm(at int64) {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	if l.closed || l.nextAt != 0 && l.nextAt <= at {
		return
	}
	l.nextAt = at
	sleep := min(max(time.UnixMilli(at).Sub(l.now()), 0), maxTimer)
	if l.timer == nil {
		l.timer = time.AfterFunc(sleep, l.fire)
		return
	}
	l.timer.Reset(sleep)
}

func (l *Ledger) fire() {
	l.timerMu.Lock()
	l.nextAt = 0
	l.timerMu.Unlock()
	l.Expire()
}
