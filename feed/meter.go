package feed

import (
	"cmp"
	"slices"

	"stile/wire"
)

// Reading is what the data planes of one process have counted for a key since the process began, in bytes.
type Reading struct {
	KeyID int64
	Up    int64
	Down  int64
}

// Meter turns counters that only rise into entries of reports. What a report took counts as reported only once the
// report is on disk.
type Meter struct {
	reported map[int64]Reading
	drafted  []Reading
}

// NewMeter returns the meter of a process that has reported nothing.
func NewMeter() *Meter { return &Meter{reported: make(map[int64]Reading)} }

// Draft returns the traffic that no saved report holds yet, for at most as many keys as a report may name, in the order
// of their ids, and whether there is more.
func (m *Meter) Draft(now []Reading) (entries []wire.UsageEntry, more bool) {
	m.drafted = m.drafted[:0]
	for _, r := range now {
		before := m.reported[r.KeyID]
		if r.Up == before.Up && r.Down == before.Down {
			continue
		}
		if len(entries) == wire.MaxItems {
			more = true
			break
		}
		entries = append(entries, wire.UsageEntry{KeyID: r.KeyID, Up: r.Up - before.Up, Down: r.Down - before.Down})
		m.drafted = append(m.drafted, r)
	}
	slices.SortFunc(entries, func(a, b wire.UsageEntry) int { return cmp.Compare(a.KeyID, b.KeyID) })
	return entries, more
}

// Saved says that the draft is on disk.
func (m *Meter) Saved() {
	for _, r := range m.drafted {
		m.reported[r.KeyID] = r
	}
	m.drafted = m.drafted[:0]
}

// Forget drops a key whose counters are gone.
func (m *Meter) Forget(keyID int64) { delete(m.reported, keyID) }
