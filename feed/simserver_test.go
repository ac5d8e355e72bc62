package feed

import "maps"

func (w *world) stepServer(e Event) {
	if w.server == nil {
		return
	}
	for _, f := range w.server.Step(e) {
		if w.crashes() {
			w.q = Quarantine{} // it is in memory only
			w.cutLink()
		}
		if w.server == nil {
			return
		}
		w.noteEffect("server", f)
		w.performServer(f)
	}
}

func (w *world) performServer(f Effect) {
	switch f := f.(type) {
	case Send:
		w.down = append(w.down, f.Frame)
	case Close:
		w.cutLink()
	case ReadPosition:
		w.answer(PositionRead{w.db.position(), maps.Clone(w.db.cursors)})
	case ReadChanges:
		read := w.db.changes(f.After, 1+w.rng.IntN(4))
		if n := len(read.Rows); n > 1 && !read.IsPartial && !w.isCalm && w.chance(2) {
			read.Rows = read.Rows[:n-1] // a fault of the query, which the digest must catch
		}
		w.answer(read)
	case ReadSnapshot:
		w.answer(SnapshotRead{w.db.position(), w.db.live(), w.db.revoked()})
	case BookUsage:
		cursor := w.db.book(f.Report, w.bug)
		if w.crashes() {
			w.cutLink()
			return
		}
		w.stepServer(UsageBooked{f.Report.Stream, cursor})
	case Quarantined:
		if w.bug == "the quarantine is forgotten" {
			clear(w.q)
		}
	case Acked:
		w.checkAcked(f)
	}
}

// answer gives a read's outcome at once or later.
func (w *world) answer(e Event) {
	if !w.isCalm && w.chance(3) {
		e = ReadFailed{}
	}
	if w.isCalm || w.chance(50) {
		w.stepServer(e)
		return
	}
	w.reading = e
}

func (w *world) finishRead() {
	if e := w.reading; e != nil {
		w.reading = nil
		w.stepServer(e)
	}
}

func (w *world) wake() {
	if w.bug != "lost wakes stay lost" || !w.chance(30) {
		w.stepServer(Woken{})
	}
}

// compareRevs is the hub's look at the database each second.
func (w *world) compareRevs() {
	if w.server != nil && w.bug != "lost wakes stay lost" && w.db.rev != w.server.SentRev() {
		w.stepServer(Woken{})
	}
}
