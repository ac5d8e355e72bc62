package feed

import "maps"

func (w *world) connect() {
	w.serving = w.db
	if w.old != nil && w.chance(40) {
		w.serving = w.old
	}
	raises := w.bug == "an old primary raises its epoch" && w.serving == w.old
	w.server = NewServer(ServerConfig{NodeID: 1, Session: w.rng.Uint64(), Quarantine: w.q, Allowance: w.allows, HasPeers: w.hasPeers && !raises})
	w.stepServer(Ticked{Now: w.now, Wall: w.now + w.serverSkew})
	w.stepNode(Connected{})
}

func (w *world) stepServer(e Event) {
	if w.server == nil {
		return
	}
	for _, f := range w.server.Step(e) {
		if w.crashes() {
			w.q, w.allows = Quarantine{}, new(Allowance) // they are in memory only
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
	db := w.serving
	switch f := f.(type) {
	case Send:
		w.down = append(w.down, f.Frame)
	case Close:
		w.cutLink()
	case ReadPosition:
		w.answer(PositionRead{db.position(), maps.Clone(db.cursors)})
	case ReadChanges:
		read := db.changes(f.After, 1+w.rng.IntN(4))
		if n := len(read.Rows); n > 1 && !read.IsPartial && !w.isCalm && w.chance(2) {
			read.Rows = read.Rows[:n-1] // a fault of the query, which the digest must catch
		}
		w.answer(read)
	case ReadSnapshot:
		w.answer(w.readSet())
	case RaiseEpoch, Entomb, BookUsage:
		w.write(f)
	case Quarantined:
		if w.bug == "the quarantine is forgotten" {
			clear(w.q)
		}
	case Acked:
		w.checkAcked(f)
	}
}

func (w *world) readSet() SnapshotRead {
	db := w.serving
	read := SnapshotRead{db.position(), db.live(), db.revoked()}
	if w.bug == "tombstones do not travel with sets" {
		read.Revoked = nil
	}
	if n := len(read.Keys); w.bug == "a set is read of another moment" && n > 0 {
		read.Keys = read.Keys[:n-1]
	}
	return read
}

// write does what changes the database, which a full disk prevents. The process may die after the commit.
func (w *world) write(f Effect) {
	db, isFull := w.serving, w.isDBFull
	var answer Event
	switch f := f.(type) {
	case RaiseEpoch:
		if answer = (ReadFailed{}); !isFull {
			db.raise(f.Above, w.bug)
			w.high = max(w.high, db.epoch)
			answer = PositionRead{db.position(), maps.Clone(db.cursors)}
		}
	case Entomb:
		switch {
		case w.bug == "what is given back is dropped":
			answer = Entombed{}
		case isFull:
			answer = ReadFailed{}
		default:
			answer = Entombed{db.entomb(f.KeyIDs)}
		}
	case BookUsage:
		if isFull {
			return
		}
		answer = UsageBooked{f.Report.Stream, db.book(f.Report, w.bug)}
	}
	if w.crashes() {
		w.cutLink()
		return
	}
	w.stepServer(answer)
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
	if w.server != nil && w.bug != "lost wakes stay lost" && w.serving.rev != w.server.SentRev() {
		w.stepServer(Woken{})
	}
}
