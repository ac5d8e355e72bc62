package node

import (
	"context"
	"errors"

	"stile/feed"
	"stile/wire"
)

// report writes down what was counted since the last report, and has it sent.
func (a *Agent) report(ctx context.Context) {
	a.readings = a.cfg.Ledger.Usage(a.readings[:0])
	readings := make([]feed.Reading, 0, len(a.readings))
	var sessions int64
	for _, u := range a.readings {
		readings = append(readings, feed.Reading{KeyID: u.KeyID, Up: u.Up, Down: u.Down})
		sessions += int64(u.Sessions)
	}
	for more := true; more; {
		var entries []wire.UsageEntry
		entries, more = a.meter.Draft(readings)
		if len(entries) > 0 && !a.save(ctx, entries, sessions) {
			return
		}
	}
	a.reportedAt = a.cfg.Now()
	before := a.active
	if m := a.measure(); m.ActiveKeys != before { // news that need not wait for the next beat
		a.step(ctx, m)
	}
	a.forget()
}

// save makes a report of entries durable; what is not, the next report holds.
func (a *Agent) save(ctx context.Context, entries []wire.UsageEntry, sessions int64) bool {
	u := &wire.Usage{Stream: a.stream, Seq: a.seq + 1, From: a.reportedAt.UnixMilli(), To: a.cfg.Now().UnixMilli(),
		Sessions: sessions, Entries: entries}
	if err := a.journal.append(u); err != nil {
		a.diskFailures++
		a.cfg.Log.Error("usage cannot be written down", "error", err)
		return false
	}
	a.seq++
	a.meter.Saved()
	a.step(ctx, feed.ReportSaved{Stream: u.Stream, Seq: u.Seq})
	return true
}

// forget drops the counters of keys that are gone, once a whole interval brought nothing new: a session that was cut may
// still count its last bytes for a moment.
func (a *Agent) forget() {
	idle := make(map[int64]feed.Reading)
	var gone []int64
	for _, u := range a.readings {
		r := feed.Reading{KeyID: u.KeyID, Up: u.Up, Down: u.Down}
		if a.machine.Has(u.KeyID) || u.Sessions > 0 {
			continue
		}
		if before, ok := a.idle[u.KeyID]; ok && before == r {
			gone = append(gone, u.KeyID)
			a.meter.Forget(u.KeyID)
			continue
		}
		idle[u.KeyID] = r
	}
	a.idle = idle
	if len(gone) > 0 {
		a.cfg.Ledger.Forget(gone)
	}
}

func (a *Agent) sendReport(ctx context.Context, f feed.SendReport) {
	u, err := a.journal.read(f.Stream, f.Seq)
	switch {
	case errors.Is(err, errNoReport):
		a.step(ctx, feed.ReportMissing{Stream: f.Stream})
	case err != nil:
		a.cfg.Log.Error("a usage report cannot be read", "error", err)
		a.hangUp(ctx) // the next link asks for it again
	default:
		a.send(ctx, u)
	}
}

func (a *Agent) newStream() {
	a.stream, a.seq = randomID(), 0
}
