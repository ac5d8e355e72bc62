package feed

import (
	"strings"
	"testing"

	"stile/wire"
)

// restless is a node in foreign hands that knows how to cost the most, and what came of it.
type restless struct {
	t                          *testing.T
	cfg                        ServerConfig
	s                          *Server
	at                         Position
	set                        []wire.Key
	now                        int64
	raised, read, entombed     int
	changes, notes, told, gone int
}

func newRestless(t *testing.T) *restless {
	set := []wire.Key{key(1), key(2)}
	return &restless{t: t, now: 1000, set: set, at: Position{Epoch: 2, Rev: 10, Count: 2, Digest: digestOf(set...)},
		cfg: ServerConfig{NodeID: 1, Session: session, Quarantine: Quarantine{}, Allowance: new(Allowance)}}
}

// greet opens a stream, in place of the one before.
func (r *restless) greet(h wire.Hello) {
	h.Proto, h.NodeID = wire.Protocol, 1
	r.s = NewServer(r.cfg)
	r.step(Ticked{Now: r.now})
	r.step(Received{&h})
}

func (r *restless) say(f wire.Frame) { r.step(Received{f}) }

// wait lets time pass, second by second, with signs of life.
func (r *restless) wait(ms int64) {
	for end := r.now + ms; r.now < end; {
		r.now += min(1000, end-r.now)
		r.say(&wire.NodeBeat{Session: session})
		r.step(Ticked{Now: r.now})
	}
}

// step performs what the server wants as a database would.
func (r *restless) step(e Event) {
	for _, f := range r.s.Step(e) {
		switch f := f.(type) {
		case Alarm:
			if strings.Contains(f.Why, "more often") {
				r.told++
			}
		case Close:
			r.gone++
		case RaiseEpoch:
			r.raised++
			r.at.Epoch, r.at.Rev = max(r.at.Epoch, f.Above)+1, r.at.Rev+1
			r.step(PositionRead{Position: r.at})
		case ReadPosition:
			r.step(PositionRead{Position: r.at})
		case ReadSnapshot:
			r.read++
			r.step(SnapshotRead{Position: r.at, Keys: r.set})
		case ReadChanges:
			r.changes++
			r.step(ChangesRead{Position: r.at, Rows: []Row{{Rev: r.at.Rev, Key: r.set[0]}}})
		case Entomb:
			r.entombed++
			r.step(Entombed{})
		case NoteServing:
			r.notes++
			r.step(ConfigRead{})
		}
	}
}

// count expects so many of something, and so many times that operators were told.
func (r *restless) count(what string, got, want, told int) {
	r.t.Helper()
	if got != want || r.told != told {
		r.t.Errorf("%s: %d, want %d; told %d times, want %d", what, got, want, r.told, told)
	}
}

func TestANodeRaisesTheEpochSeldom(t *testing.T) {
	r := newRestless(t)
	for range raises.Most {
		r.greet(wire.Hello{Epoch: r.at.Epoch, Rev: r.at.Rev + 1, Count: 2})
	}
	r.count("epochs within the allowance", r.raised, raises.Most, 0)
	for range 5 {
		r.greet(wire.Hello{Epoch: r.at.Epoch + 1, Rev: 1, Count: 2})
	}
	r.count("epochs past it", r.raised, raises.Most, 1)
	if r.gone != 5 {
		t.Errorf("%d streams ended, want 5", r.gone)
	}
	r.now += raises.Every
	r.greet(wire.Hello{Epoch: r.at.Epoch + 1, Rev: 1, Count: 2})
	r.greet(wire.Hello{Epoch: r.at.Epoch + 1, Rev: 1, Count: 2})
	r.count("epochs when there is one more to spare", r.raised, raises.Most+1, 1)
}

func TestANodeGetsItsWholeSetSoOften(t *testing.T) {
	for name, again := range map[string]func(r *restless){
		"by coming without keys":  func(r *restless) { r.greet(wire.Hello{}) },
		"by refusing what it has": func(r *restless) { r.refuse(wire.WhyDigest) },
		"by another digest in its signs of life": func(r *restless) {
			r.say(&wire.Ack{Session: session, Epoch: 2, Rev: 10})
			r.say(&wire.NodeBeat{Session: session, Epoch: 2, Rev: 10})
			r.show()
		},
	} {
		r := newRestless(t)
		r.greet(wire.Hello{})
		for range sets.Most - 1 {
			again(r)
		}
		r.count(name+", within the allowance", r.read, sets.Most, 0)
		again(r)
		again(r)
		r.count(name+", past it", r.read, sets.Most, 1)
		r.wait(sets.Every)
		r.count(name+", in time", r.read, sets.Most+1, 1)
	}
}

// refuse acknowledges what came, and then has it sent again.
func (r *restless) refuse(why wire.Why) {
	r.say(&wire.Ack{Session: session, Epoch: 2, Rev: 10})
	r.say(&wire.Nack{Session: session, Epoch: 2, Rev: 10, RefusedRev: 10, Why: why})
	r.show()
}

// show takes the steps of a repair up to the set.
func (r *restless) show() {
	r.say(&wire.Revoked{Session: session, IsLast: true})
	r.say(&wire.BucketPrints{Session: session})
}

func TestANodeGoesBackSoOften(t *testing.T) {
	r := newRestless(t)
	back := func() {
		r.say(&wire.Nack{Session: session, Epoch: 2, Rev: 1, RefusedRev: r.s.SentRev(), Why: wire.WhyKey})
		r.say(&wire.Ack{Session: session, Epoch: 2, Rev: r.s.SentRev()})
		r.at.Rev++ // a key changes
		r.step(Woken{})
	}
	r.greet(wire.Hello{Epoch: 2, Rev: 9, Count: 1})
	for range sets.Most {
		back()
	}
	r.count("changes within the allowance", r.changes, 1+2*sets.Most, 0)
	back()
	back()
	r.count("changes past it", r.changes, 1+2*sets.Most, 1)
	r.wait(sets.Every)
	r.count("changes in time", r.changes, 2+2*sets.Most, 1)
	far := newRestless(t)
	far.at.Rev = farBehind + 2
	for range sets.Most + 2 {
		far.greet(wire.Hello{Epoch: 2, Rev: 1, Count: 1})
	}
	far.count("catching up from afar", far.changes, sets.Most, 1)
	far.greet(wire.Hello{Epoch: 2, Rev: 2, Count: 1})
	far.count("catching up from near", far.changes, sets.Most+1, 1)
}

func TestANodeGivesSoManyRevokedKeysBack(t *testing.T) {
	r := newRestless(t)
	r.greet(wire.Hello{Epoch: 1, Rev: 1, Count: 1})
	after := int64(0)
	page := func() {
		r.say(&wire.Revoked{Session: session, After: after, KeyIDs: []int64{after + 1}})
		after = r.s.repair.after
	}
	for range pages.Most {
		page()
	}
	r.count("pages within the allowance", r.entombed, pages.Most, 0)
	for range 3 {
		page()
	}
	r.count("pages past it", r.entombed, pages.Most, 1)
	r.now += pages.Every
	r.step(Ticked{Now: r.now})
	page()
	r.count("pages in time", r.entombed, pages.Most+1, 1)
}

func TestANodeSaysSoOftenWhatItServes(t *testing.T) {
	r := newRestless(t)
	ports := wire.Ports{Shadowsocks: 8388, Count: 1}
	r.greet(wire.Hello{Caps: wire.CapConfig, Serving: wire.Serving{Ports: ports}})
	rev := int64(0)
	report := func() {
		rev++
		r.say(&wire.ConfigReport{Session: session, Serving: wire.Serving{Rev: rev, Ports: ports}})
	}
	for range servings.Most {
		report()
	}
	r.count("reports within the allowance", r.notes, 1+servings.Most, 0)
	report()
	report()
	r.count("reports past it", r.notes, 1+servings.Most, 1)
	r.wait(servings.Every)
	r.count("reports in time", r.notes, 2+servings.Most, 1)
	if r.s.config.noting.Rev != rev {
		t.Errorf("revision %d was noted, want the last, %d", r.s.config.noting.Rev, rev)
	}
}
