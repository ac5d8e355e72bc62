package feed

import (
	"fmt"

	"stile/wire"
)

// askPatience is how long, in milliseconds, an answer of the node is waited for before it is asked again.
const askPatience = 5_000

// repair is the way of a node's set back into step when rows are not enough: the node gives back the ids that it knows
// to be revoked, shows its buckets, and gets those that differ, or the whole set.
type repair struct {
	step repairStep
	// isWhole: the whole set is sent, whatever the node shows.
	isWhole bool
	// after: revoked ids up to this one were given back and are tombstones; those up to next will be.
	after, next int64
	isLast      bool // none are above next
	prints      *wire.Prints
	askedAt     int64 // 0: not asked yet
}

type repairStep int

const (
	repairAsksRevoked repairStep = iota // for the revoked ids that the node knows
	repairEntombs                       // them
	repairAsksPrints                    // for what its buckets hold
	repairReads                         // the set, and sends it
)

// enter begins a step.
func (r *repair) enter(step repairStep) { r.step, r.askedAt = step, 0 }

// again goes back to where the repair must begin anew after it was refused or a read failed.
func (r *repair) again() {
	switch {
	case r.step == repairAsksRevoked || r.step == repairEntombs:
		r.enter(repairAsksRevoked)
	case r.isWhole:
		r.enter(repairReads)
	default:
		r.enter(repairAsksPrints)
	}
}

// mend goes on with the repair.
func (s *Server) mend() []Effect {
	r := s.repair
	switch r.step {
	case repairReads:
		out, wait := s.spend(&s.allowance.sets, sets, "has keys sent again")
		if wait > 0 {
			s.retryAt = s.now + wait
			return out
		}
		s.isReading, s.isDirty, s.isBack = true, false, false
		return []Effect{ReadSnapshot{}}
	case repairAsksRevoked, repairAsksPrints:
		if r.askedAt != 0 && s.now-r.askedAt <= askPatience {
			return nil
		}
		r.askedAt = s.now
		if r.step == repairAsksRevoked {
			return []Effect{Send{&wire.RevokedAsk{After: r.after}}}
		}
		return []Effect{Send{&wire.Verify{}}}
	case repairEntombs:
	}
	return nil
}

// givenBack takes ids that the node knows to be revoked.
func (s *Server) givenBack(f *wire.Revoked) []Effect {
	r := s.repair
	if r == nil || r.step != repairAsksRevoked || f.After != r.after {
		return nil
	}
	next := f.After
	for _, id := range f.KeyIDs {
		if id <= next {
			return s.close("revoked keys are not in order")
		}
		next = id
	}
	if len(f.KeyIDs) == 0 && !f.IsLast {
		return s.close("no revoked keys, and yet more of them")
	}
	if len(f.KeyIDs) > 0 {
		if out, wait := s.spend(&s.allowance.pages, pages, "gives revoked keys back"); wait > 0 {
			return out // it is asked again
		}
	}
	r.next, r.isLast = next, f.IsLast
	if len(f.KeyIDs) == 0 {
		return s.entombed(0)
	}
	r.enter(repairEntombs)
	s.isReading = true
	return []Effect{Entomb{f.KeyIDs}}
}

// entombed goes on when the ids given back are tombstones.
func (s *Server) entombed(count int) []Effect {
	r := s.repair
	if r == nil || r.step > repairEntombs {
		return nil
	}
	s.isReading = false
	r.after = r.next
	r.enter(repairAsksRevoked)
	if r.isLast {
		r.enter(repairAsksPrints)
		if r.isWhole {
			r.enter(repairReads)
		}
	}
	var out []Effect
	if count > 0 {
		out = append(out, Alarm{fmt.Sprintf("%d keys of node %d, revoked after the database's backup was made, are revoked again", count, s.nodeID)})
	}
	return append(out, s.pump()...)
}

// shown takes what the node's buckets hold.
func (s *Server) shown(f *wire.BucketPrints) []Effect {
	r := s.repair
	if r == nil || r.step != repairAsksPrints {
		return nil
	}
	r.prints = &f.Prints
	r.enter(repairReads)
	return s.pump()
}

// refused handles a Nack of what was sent last. The node stands at n.Rev. While a repair has sent nothing there is nothing
// to refuse: such a Nack came twice. So did one about keys or the disk while nothing is in flight; what the node refuses then
// is a sign of life or a Welcome.
func (s *Server) refused(n *wire.Nack) []Effect {
	if !s.isInFlight && (s.repair != nil || n.Why == wire.WhyKey || n.Why == wire.WhyDisk) {
		return nil
	}
	s.isInFlight = false
	out := s.complain(n)
	canFollow := n.Epoch == s.epoch && n.Rev <= s.sentRev && n.Rev >= s.floor
	switch {
	case s.repair != nil && n.Why == wire.WhyRevoked:
		s.repair = &repair{isWhole: s.repair.isWhole}
	case s.repair != nil:
		s.repair.isWhole = s.repair.isWhole || n.Why == wire.WhyDigest
		s.repair.again()
	case canFollow && (n.Why == wire.WhyKey || n.Why == wire.WhyDisk):
		s.sentRev, s.ackedRev = n.Rev, n.Rev
		s.isComplete, s.isDirty, s.isBack = false, true, true
	default:
		s.repair = new(repair)
	}
	if n.Why == wire.WhyDisk || s.failures > 0 {
		s.backOff()
	} else {
		s.failures++ // the first is answered at once
	}
	return append(out, s.pump()...)
}

// leaveOut has records left out until they change. A node that goes on naming others names what it never got.
func (s *Server) leaveOut(bad []wire.BadKey) []Effect {
	ids := make([]int64, len(bad))
	for i, b := range bad {
		s.quarantine[b.KeyID], ids[i] = b.Sum, b.KeyID
	}
	out := []Effect{Quarantined{ids}}
	if len(s.quarantine) > wire.MaxItems {
		clear(s.quarantine)
		out = append(out, s.close("the node refuses more keys than there can be")...)
	}
	return out
}

// complain tells what a Nack is about, and leaves out what no node can hold.
func (s *Server) complain(n *wire.Nack) []Effect {
	var out []Effect
	switch n.Why {
	case wire.WhyKey:
		return s.leaveOut(n.Bad)
	case wire.WhyDisk:
		out = append(out, Alarm{fmt.Sprintf("node %d cannot write its disk", s.nodeID)})
	case wire.WhyDigest:
		out = append(out, s.alarmDigest(n.RefusedRev))
	case wire.WhyRevoked:
		out = append(out, Alarm{fmt.Sprintf("node %d knows keys to be revoked that live in the database, which was restored: run `stile restore`", s.nodeID)})
	case wire.WhyGap: // frames were lost; that heals
	}
	return out
}
