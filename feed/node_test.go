package feed

import (
	"reflect"
	"testing"

	"stile/wire"
)

// joined returns a node that was welcomed at epoch 1.
func joined(t *testing.T, state *State, held ...wire.StreamSeq) *Node {
	t.Helper()
	n := NewNode(NodeConfig{ID: 1, BootID: 2}, state, held)
	n.Step(Ticked{Now: 1000})
	if got := frames(n.Step(Connected{})); len(got) != 1 || got[0].Type() != wire.TypeHello {
		t.Fatalf("after connecting: %+v", got)
	}
	n.Step(Received{&wire.Welcome{Session: session, Epoch: 1, Mode: wire.ModeDelta, HeartbeatSeconds: 15}})
	if !n.IsLive() {
		t.Fatal("not live after the welcome")
	}
	return n
}

func stateWith(rev int64, keys ...wire.Key) *State {
	s := NewState()
	s.Epoch, s.Rev, s.Digest = 1, rev, digestOf(keys...)
	for _, k := range keys {
		s.Keys[k.ID] = k
	}
	return s
}

func TestNodeCutsThenPersistsThenAppliesThenAcks(t *testing.T) {
	n := joined(t, stateWith(5, key(1)))
	d := &wire.Delta{FromRev: 5, ToRev: 7, Dels: []wire.Removal{{KeyID: 1, Reason: wire.ReasonRevoked}}, Puts: []wire.Key{key(2)},
		IsComplete: true, Count: 1, Digest: digestOf(key(2))}
	if out := n.Step(Received{d}); !reflect.DeepEqual(out, []Effect{Cut{[]int64{1}}, Persist{Epoch: 1, Delta: d}}) {
		t.Fatalf("first %+v", out)
	}
	if out := n.Step(Persisted{true}); !reflect.DeepEqual(out, []Effect{Apply{[]wire.Key{key(2)}}}) {
		t.Fatalf("then %+v", out)
	}
	want := []Effect{Send{&wire.Ack{Session: session, Epoch: 1, Rev: 7, Refused: []int64{2}}}}
	if out := n.Step(Applied{[]int64{2}}); !reflect.DeepEqual(out, want) {
		t.Fatalf("last %+v", out)
	}
	if out := n.Step(Received{d}); !reflect.DeepEqual(frames(out), []wire.Frame{&wire.Ack{Session: session, Epoch: 1, Rev: 7, Refused: []int64{2}}}) {
		t.Errorf("the same once more: %+v", out)
	}
}

func TestNodeRefusesWhatDoesNotFit(t *testing.T) {
	bad := key(3)
	bad.NotAfter = -1
	for name, c := range map[string]struct {
		delta wire.Delta
		why   wire.Why
	}{
		"a gap":          {wire.Delta{FromRev: 6, ToRev: 7}, wire.WhyGap},
		"going back":     {wire.Delta{FromRev: 5, ToRev: 4}, wire.WhyGap},
		"a wrong digest": {wire.Delta{FromRev: 5, ToRev: 7, Puts: []wire.Key{key(2)}, IsComplete: true, Count: 2}, wire.WhyDigest},
		"a wrong count":  {wire.Delta{FromRev: 5, ToRev: 7, IsComplete: true, Count: 2, Digest: digestOf(key(1))}, wire.WhyDigest},
		"a bad key":      {wire.Delta{FromRev: 5, ToRev: 7, Puts: []wire.Key{bad}}, wire.WhyKey},
	} {
		n := joined(t, stateWith(5, key(1)))
		out := n.Step(Received{&c.delta})
		nack, ok := frames(out)[0].(*wire.Nack)
		if len(out) != 1 || !ok || nack.Why != c.why || nack.Rev != 5 || nack.RefusedRev != c.delta.ToRev || nack.Session != session {
			t.Errorf("%s: %+v", name, out)
		}
		if c.why == wire.WhyKey && !reflect.DeepEqual(nack.Bad, []wire.BadKey{{KeyID: 3, Sum: bad.Sum()}}) {
			t.Errorf("%s: %+v", name, nack)
		}
		if !reflect.DeepEqual(n.State(), stateWith(5, key(1))) {
			t.Errorf("%s changed the state", name)
		}
	}
}

func TestNodeWithAFullDiskStillRevokes(t *testing.T) {
	n := joined(t, stateWith(5, key(1), key(2)))
	out := n.Step(Received{&wire.Delta{FromRev: 5, ToRev: 6, Dels: []wire.Removal{{KeyID: 1, Reason: wire.ReasonRevoked}}}})
	if cut, ok := has[Cut](out); !ok || !reflect.DeepEqual(cut.KeyIDs, []int64{1}) {
		t.Fatalf("got %+v", out)
	}
	nack, ok := frames(n.Step(Persisted{false}))[0].(*wire.Nack)
	if !ok || nack.Why != wire.WhyDisk || nack.Rev != 5 {
		t.Errorf("got %+v", nack)
	}
	if got := n.Valid(); !reflect.DeepEqual(got, []wire.Key{key(2)}) {
		t.Errorf("valid: %+v", got)
	}
}

func TestARevokedKeyStaysDead(t *testing.T) {
	s := stateWith(9)
	s.Revoked[1] = 8
	n := joined(t, s)
	set := digestOf(key(1), key(2))
	n.Step(Received{&wire.SnapshotBegin{Epoch: 1, Rev: 4, Count: 2, Digest: set}})
	n.Step(Received{&wire.SnapshotChunk{Puts: []wire.Key{key(1), key(2)}}})
	for name, out := range map[string][]Effect{
		"a set":    n.Step(Received{&wire.SnapshotEnd{Rev: 4, Items: 2}}),
		"a change": n.Step(Received{&wire.Delta{FromRev: 9, ToRev: 10, Puts: []wire.Key{key(1)}, IsComplete: true, Count: 1, Digest: digestOf(key(1))}}),
	} {
		if nack, ok := frames(out)[0].(*wire.Nack); !ok || len(out) != 1 || nack.Why != wire.WhyRevoked {
			t.Errorf("%s with it: %+v", name, out)
		}
	}
	want := []wire.Frame{&wire.Revoked{Session: session, KeyIDs: []int64{1}, IsLast: true}}
	if got := frames(n.Step(Received{&wire.RevokedAsk{}})); !reflect.DeepEqual(got, want) {
		t.Errorf("given back %+v", got)
	}

	s = stateWith(9, key(1), key(2)) // as after a disk that was full
	s.Revoked[1] = 8
	n = joined(t, s)
	if got := n.Valid(); !reflect.DeepEqual(got, []wire.Key{key(2)}) {
		t.Errorf("valid: %+v", got)
	}
	n.Step(Disconnected{})
	n.Step(Connected{})
	out := frames(n.Step(Received{&wire.Welcome{Session: session, Epoch: 1, Rev: 9, Mode: wire.ModeResume}}))
	if nack, ok := out[len(out)-1].(*wire.Nack); !ok || nack.Why != wire.WhyRevoked {
		t.Errorf("resumed with it: %+v", out)
	}
	n.State().forget(100)
	if got := n.Valid(); !reflect.DeepEqual(got, []wire.Key{key(2)}) {
		t.Errorf("forgotten while the database still has it: %+v", got)
	}
}

func TestASnapshotIsTakenWholeOrNotAtAll(t *testing.T) {
	set := digestOf(key(2), key(3))
	begin := &wire.SnapshotBegin{Epoch: 1, Rev: 4, Count: 2, Digest: set}
	first, second := &wire.SnapshotChunk{Puts: []wire.Key{key(2)}}, &wire.SnapshotChunk{Puts: []wire.Key{key(3)}}
	end := &wire.SnapshotEnd{Rev: 4, Items: 2}
	for name, c := range map[string]struct {
		frames []wire.Frame
		taken  bool
	}{
		"whole":           {[]wire.Frame{begin, first, second, end}, true},
		"begun twice":     {[]wire.Frame{begin, first, begin, first, second, end}, true},
		"a chunk missing": {[]wire.Frame{begin, first, end}, false},
		"a chunk twice":   {[]wire.Frame{begin, first, first, second, end}, false},
		"no beginning":    {[]wire.Frame{first, second, end}, false},
		"removals lost":   {[]wire.Frame{begin, first, second, &wire.SnapshotEnd{Rev: 4, Items: 3}}, false},
		"another end":     {[]wire.Frame{begin, first, second, &wire.SnapshotEnd{Rev: 5, Items: 2}}, false},
		"no end":          {[]wire.Frame{begin, first, second, &wire.ServerBeat{Epoch: 1, Rev: 4}}, false},
	} {
		n := joined(t, stateWith(9, key(1)))
		var out []Effect
		for _, f := range c.frames {
			out = append(out, n.Step(Received{f})...)
		}
		_, persists := has[Persist](out)
		_, cuts := has[Cut](out)
		refused := false
		for _, f := range frames(out) {
			refused = refused || f.Type() == wire.TypeNack
		}
		if persists != c.taken || cuts != c.taken || refused == c.taken {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

func TestNodeFollowsNoLowerEpoch(t *testing.T) {
	s := stateWith(5, key(1))
	s.Epoch = 3
	for name, w := range map[string]*wire.Welcome{
		"a lower epoch":   {Epoch: 2, Mode: wire.ModeSnapshot},
		"an unknown mode": {Epoch: 3, Mode: wire.ModeVerify + 1},
	} {
		n := NewNode(NodeConfig{ID: 1}, s, nil)
		n.Step(Connected{})
		if _, closes := has[Close](n.Step(Received{w})); !closes || n.IsLive() {
			t.Errorf("%s is followed", name)
		}
	}
	n := NewNode(NodeConfig{ID: 1}, s, nil)
	n.Step(Connected{})
	n.Step(Received{&wire.Welcome{Epoch: 3, Mode: wire.ModeResume}})
	if _, closes := has[Close](n.Step(Received{&wire.SnapshotBegin{Epoch: 2}})); !closes {
		t.Error("a set of a lower epoch is followed")
	}
}

func TestNodeFindsThatItDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		beat wire.ServerBeat
		why  wire.Why
	}{
		"nothing claimed":  {wire.ServerBeat{}, 0},
		"the same":         {wire.ServerBeat{Epoch: 1, Rev: 5, IsComplete: true, Digest: digestOf(key(1))}, 0},
		"no digest given":  {wire.ServerBeat{Epoch: 1, Rev: 5}, 0},
		"another revision": {wire.ServerBeat{Epoch: 1, Rev: 6}, wire.WhyGap},
		"another digest":   {wire.ServerBeat{Epoch: 1, Rev: 5, IsComplete: true}, wire.WhyDigest},
	} {
		n := joined(t, stateWith(5, key(1)))
		got := frames(n.Step(Received{&c.beat}))
		if c.why == 0 && len(got) > 0 || c.why != 0 && (len(got) != 1 || got[0].(*wire.Nack).Why != c.why) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNodeBeatsAndGivesUp(t *testing.T) {
	n := joined(t, NewState())
	beats := 0
	for now := int64(1000); now <= 1000+Silence; now += 1000 {
		if _, ok := has[Measure](n.Step(Ticked{Now: now})); ok {
			beats++
		}
	}
	if beats < 2 || beats > 4 {
		t.Errorf("%d beats in 45 s", beats)
	}
	if _, closes := has[Close](n.Step(Ticked{Now: 1001 + Silence})); !closes {
		t.Error("open after the limit of silence")
	}
}

// Whatever a control plane sends, a node holds no more than its machine's memory.
func TestNodeHoldsButSoManyKeys(t *testing.T) {
	full := stateWith(5)
	for id := range int64(maxKeys) {
		full.Keys[id] = wire.Key{}
	}
	dead := stateWith(5)
	for id := range int64(maxRevoked) {
		dead.Revoked[id] = 5
	}
	for name, c := range map[string]struct {
		state  *State
		frames []wire.Frame
		isOver bool
	}{
		"a set at the bound":    {stateWith(5), []wire.Frame{&wire.SnapshotBegin{Epoch: 1, Rev: 6, Count: maxKeys}}, false},
		"a set past it":         {stateWith(5), []wire.Frame{&wire.SnapshotBegin{Epoch: 1, Rev: 6, Count: maxKeys + 1}}, true},
		"a patch past it":       {stateWith(5), []wire.Frame{&wire.PatchBegin{Epoch: 1, Rev: 6, Count: maxKeys + 1}}, true},
		"a key in place":        {full, []wire.Frame{&wire.Delta{FromRev: 5, ToRev: 6, Puts: []wire.Key{{ID: 1, Seed: wire.Seed{1}}}}}, false},
		"one more key":          {full, []wire.Frame{&wire.Delta{FromRev: 5, ToRev: 6, Puts: []wire.Key{{ID: maxKeys, Seed: wire.Seed{1}}}}}, true},
		"one more revoked":      {dead, []wire.Frame{&wire.Delta{FromRev: 5, ToRev: 6, Dels: []wire.Removal{{KeyID: -1, Reason: wire.ReasonRevoked}}}}, true},
		"one more with the set": {dead, []wire.Frame{&wire.SnapshotBegin{Epoch: 1, Rev: 6}, &wire.SnapshotChunk{Dels: []wire.Removal{{KeyID: -1, Reason: wire.ReasonRevoked}}}}, true},
	} {
		n := joined(t, c.state)
		var out []Effect
		for _, f := range c.frames {
			out = append(out, n.Step(Received{f})...)
		}
		_, closes := has[Close](out)
		_, alarms := has[Alarm](out)
		if closes != c.isOver || alarms != c.isOver || n.IsLive() == c.isOver {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

// A control plane cannot have a node never give a sign of life, or always.
func TestNodeBeatsWithinReason(t *testing.T) {
	for asked, want := range map[int64]int64{-1 << 63: 1000, 0: 1000, 15: 15_000, 45: Silence, 46: Silence, 1<<63 - 1: Silence} {
		n := NewNode(NodeConfig{ID: 1}, NewState(), nil)
		n.Step(Ticked{Now: 1000})
		n.Step(Connected{})
		n.Step(Received{&wire.Welcome{Epoch: 1, Mode: wire.ModeResume, HeartbeatSeconds: asked}})
		if n.heartbeat != want {
			t.Errorf("asked for %d s: %d ms, want %d", asked, n.heartbeat, want)
		}
	}
}
