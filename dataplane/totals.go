package dataplane

// Totals is what all keys together did since the process started.
type Totals struct {
	// Up and Down count bytes of payload that clients sent and received.
	Up, Down int64
	// Sessions is how many are open now.
	Sessions int64
	// Refused is how many connections ended without a session: no key, or none that may connect now.
	Refused int64
}

func (t *Totals) add(u KeyUsage) {
	t.Up += u.Up
	t.Down += u.Down
	t.Sessions += int64(u.Sessions)
}

// Totals sums up all keys, also those that were forgotten.
func (l *Ledger) Totals() Totals {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := l.past
	for _, a := range l.used {
		t.add(a.usage())
	}
	t.Refused = l.refused.Load()
	return t
}

// Refuse counts a connection that a plane gave no session.
func (l *Ledger) Refuse() { l.refused.Add(1) }
