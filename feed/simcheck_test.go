package feed

import "stile/wire"

// checkNode holds after each step of the node's process.
func (w *world) checkNode() {
	if w.node == nil || w.node.pending != nil {
		return
	}
	for id := range w.planes {
		if w.dead[id] {
			w.fail("key %d is valid again after its revocation was acknowledged", id)
		}
	}
	for id, k := range w.confirmed {
		row, ok := w.db.rows[id]
		if !ok || row.IsRevoked || row.Key != k {
			delete(w.confirmed, id)
			continue
		}
		if w.planes[id] != k {
			w.fail("key %d was lost", id)
		}
	}
}

// checkAcked holds when the server hears that the node has the set at a revision.
func (w *world) checkAcked(a Acked) {
	w.note("acked %d", a.Rev)
	if w.serving != w.db || w.server.epoch != w.db.epoch || a.Rev > w.db.rev {
		return
	}
	w.acked = a.Rev
	refused := map[int64]bool{}
	for _, id := range a.Refused {
		refused[id] = true
	}
	for id, row := range w.db.rows {
		if row.Rev > a.Rev {
			continue
		}
		if row.IsRevoked {
			w.dead[id] = true
			if _, ok := w.planes[id]; ok && w.node != nil {
				w.fail("key %d is valid, its revocation is acknowledged", id)
			}
			continue
		}
		if w.q.holds(row.Key) || w.dead[id] || row.Key.MaxSessions == planeRefuses || row.Key.Check() != nil || w.node == nil || w.node.pending != nil {
			continue
		}
		if _, known := w.node.state.Revoked[id]; known {
			continue // revoked before the database was restored
		}
		if w.planes[id] != row.Key {
			w.fail("key %d is acknowledged, the planes do not have it", id)
		}
		w.confirmed[id] = row.Key
	}
}

// checkRest holds when no fault happens any more and everything had its time.
func (w *world) checkRest() {
	p := w.db.position()
	count, digest := w.q.expected(p)
	switch s := w.node.state; {
	case s.Epoch != p.Epoch || s.Rev != p.Rev:
		w.fail("at rest the node is at %d.%d, the database at %d.%d", s.Epoch, s.Rev, p.Epoch, p.Rev)
	case s.Digest != digest || int64(len(s.Keys)) != count:
		w.fail("at rest the node's set differs")
	}
	valid := map[int64]wire.Key{}
	for _, k := range w.db.live() {
		_, revoked := w.node.state.Revoked[k.ID]
		if k.Check() == nil && k.MaxSessions != planeRefuses && !revoked {
			valid[k.ID] = k
		}
	}
	for id, k := range valid {
		if w.planes[id] != k {
			w.fail("at rest key %d is missing", id)
		}
	}
	for id := range w.planes {
		if _, ok := valid[id]; !ok {
			w.fail("at rest key %d is valid and should not be", id)
		}
	}
	for id := range w.dead {
		if row, ok := w.db.rows[id]; ok && !row.IsRevoked {
			w.fail("at rest key %d lives in the database, and was revoked", id)
		}
	}
	for id := range w.truth {
		got, want := w.db.usage[id], w.truth[id]
		if got > want || got < want-w.uncertain[id] {
			w.fail("key %d: %d bytes are booked, %d were counted (%d uncertain)", id, got, want, w.uncertain[id])
		}
	}
}
