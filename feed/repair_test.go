package feed

import (
	"reflect"
	"testing"

	"stile/wire"
)

func prints(keys ...wire.Key) wire.Prints {
	var d wire.BucketDigests
	for _, k := range keys {
		d.Add(k)
	}
	return *d.Prints()
}

// repairing returns a server that compares sets with a node of an earlier epoch, after the node gave nothing back.
func repairing(t *testing.T, p Position) *Server {
	t.Helper()
	s, _ := greeted(t, &wire.Hello{Epoch: 1, Rev: 90, Count: 2}, p)
	out := s.Step(Received{&wire.Revoked{Session: session, IsLast: true}})
	if got := frames(out); len(got) != 1 || got[0].Type() != wire.TypeVerify {
		t.Fatalf("after nothing was given back: %+v", out)
	}
	return s
}

func TestServerEntombsWhatIsGivenBackBeforeItCompares(t *testing.T) {
	s, out := greeted(t, &wire.Hello{Epoch: 1, Rev: 90, Count: 2}, Position{Epoch: 2, Rev: 10, Count: 1, Digest: digestOf(key(1))})
	if ask := frames(out)[1]; !reflect.DeepEqual(ask, wire.Frame(&wire.RevokedAsk{})) {
		t.Fatalf("asked %+v", ask)
	}
	if out := s.Step(Received{&wire.Revoked{Session: session + 1, IsLast: true}}); out != nil {
		t.Errorf("an answer of another stream: %+v", out)
	}
	out = s.Step(Received{&wire.Revoked{Session: session, KeyIDs: []int64{4, 9}}})
	if !reflect.DeepEqual(out, []Effect{Entomb{[]int64{4, 9}}}) {
		t.Fatalf("given back: %+v", out)
	}
	if out := s.Step(Received{&wire.Revoked{Session: session, KeyIDs: []int64{4, 9}}}); out != nil {
		t.Errorf("given back twice: %+v", out)
	}
	out = s.Step(Entombed{Count: 1})
	if _, alarms := has[Alarm](out); !alarms || !reflect.DeepEqual(frames(out), []wire.Frame{&wire.RevokedAsk{After: 9}}) {
		t.Fatalf("after the first part: %+v", out)
	}
	s.Step(Received{&wire.Revoked{Session: session, After: 9, KeyIDs: []int64{12}, IsLast: true}})
	s.Step(ReadFailed{}) // the disk is full
	s.Step(Ticked{Now: 1999})
	again := frames(s.Step(Ticked{Now: 2000}))
	if !reflect.DeepEqual(again, []wire.Frame{&wire.RevokedAsk{After: 9}}) {
		t.Fatalf("after a write that failed: %+v", again)
	}
	s.Step(Received{&wire.Revoked{Session: session, After: 9, KeyIDs: []int64{12}, IsLast: true}})
	if got := frames(s.Step(Entombed{})); !reflect.DeepEqual(got, []wire.Frame{&wire.Verify{}}) {
		t.Errorf("after the last part: %+v", got)
	}
}

func TestServerSendsTheBucketsThatDiffer(t *testing.T) {
	set := []wire.Key{key(3), key(4), key(6)}
	at := Position{Epoch: 2, Rev: 10, Count: 3, Digest: digestOf(set...)}
	read := SnapshotRead{Position: at, Keys: set, Revoked: []int64{7}}
	s := repairing(t, at)
	out := s.Step(Received{&wire.BucketPrints{Session: session, Prints: prints(key(3), key(6), key(5))}})
	if !reflect.DeepEqual(out, []Effect{ReadSnapshot{}}) {
		t.Fatalf("then %+v", out)
	}
	got := frames(s.Step(read))
	begin, ok := got[0].(*wire.PatchBegin)
	if !ok || begin.Count != 3 || begin.Digest != at.Digest || !begin.Parts.Has(4) || !begin.Parts.Has(5) || begin.Parts.Has(3) || begin.Parts.Has(6) {
		t.Fatalf("begun with %+v", got[0])
	}
	want := []wire.Frame{&wire.SnapshotChunk{Dels: []wire.Removal{{KeyID: 7, Reason: wire.ReasonRevoked}}, Puts: []wire.Key{key(4)}},
		&wire.SnapshotEnd{Rev: 10, Items: 2}}
	if !reflect.DeepEqual(got[1:], want) {
		t.Errorf("sent %+v", got[1:])
	}
	// Refused for the digest: the prints did not tell the difference.
	s.Step(Received{&wire.Nack{Session: session, Epoch: 1, RefusedRev: 10, Why: wire.WhyDigest}})
	if got := frames(s.Step(read)); got[0].Type() != wire.TypeSnapshotBegin {
		t.Errorf("after a refusal %+v", got[0])
	}
	if out := s.Step(Received{&wire.Ack{Session: session, Epoch: 2, Rev: 10, Refused: []int64{3}}}); !reflect.DeepEqual(out, []Effect{Acked{10, []int64{3}}}) {
		t.Errorf("at last %+v", out)
	}
}

func TestARefusalThatComesTwiceDoesNotDisturbTheRepair(t *testing.T) {
	s, _ := greeted(t, &wire.Hello{}, Position{Epoch: 2, Rev: 10, Count: 1, Digest: digestOf(key(1))})
	read := SnapshotRead{Position: Position{Epoch: 2, Rev: 10, Count: 1, Digest: digestOf(key(1))}, Keys: []wire.Key{key(1)}}
	s.Step(read)
	nack := &wire.Nack{Session: session, RefusedRev: 10, Why: wire.WhyRevoked}
	s.Step(Received{nack})
	s.Step(Received{&wire.Revoked{Session: session, IsLast: true}})
	if out := s.Step(Received{nack}); out != nil {
		t.Errorf("the second: %+v", out)
	}
	if got := frames(s.Step(read)); len(got) == 0 || got[0].Type() != wire.TypeSnapshotBegin {
		t.Errorf("then sent %+v", got)
	}
}

func TestServerAsksAgain(t *testing.T) {
	s := repairing(t, Position{Epoch: 2})
	if got := frames(s.Step(Ticked{Now: 1000 + askPatience})); got != nil {
		t.Errorf("asked again too soon: %+v", got)
	}
	if got := frames(s.Step(Ticked{Now: 1001 + askPatience})); !reflect.DeepEqual(got, []wire.Frame{&wire.Verify{}}) {
		t.Errorf("asked %+v", got)
	}
	for name, f := range map[string]*wire.Revoked{
		"out of order": {Session: session, KeyIDs: []int64{5, 5}, IsLast: true},
		"below":        {Session: session, KeyIDs: []int64{0}, IsLast: true},
		"endless":      {Session: session},
	} {
		s, _ := greeted(t, &wire.Hello{Epoch: 1, Rev: 9, Count: 1}, Position{Epoch: 2})
		if _, closes := has[Close](s.Step(Received{f})); !closes {
			t.Errorf("ids %s are taken", name)
		}
	}
}

func TestANodeAheadRaisesTheEpochUnlessThereArePeers(t *testing.T) {
	for name, c := range map[string]struct {
		hello    wire.Hello
		hasPeers bool
		raises   bool
		closes   bool
	}{
		"a higher epoch":               {wire.Hello{Epoch: 5, Rev: 1, Count: 1}, false, true, false},
		"a higher epoch, peers":        {wire.Hello{Epoch: 5, Rev: 1, Count: 1}, true, false, true},
		"a higher revision":            {wire.Hello{Epoch: 2, Rev: 11, Count: 1}, false, true, false},
		"a higher revision, peers":     {wire.Hello{Epoch: 2, Rev: 11, Count: 1}, true, false, false},
		"the furthest ahead":           {wire.Hello{Epoch: 2 + maxLead, Count: 1}, false, true, false},
		"one further ahead":            {wire.Hello{Epoch: 3 + maxLead, Count: 1}, false, false, true},
		"one above the highest":        {wire.Hello{Epoch: maxEpoch + 1, Count: 1}, false, false, true},
		"one above the highest, peers": {wire.Hello{Epoch: maxEpoch + 1, Count: 1}, true, false, true},
	} {
		s := NewServer(ServerConfig{NodeID: 1, Session: session, Quarantine: Quarantine{}, HasPeers: c.hasPeers})
		s.Step(Ticked{Now: 1000})
		c.hello.Proto, c.hello.NodeID = wire.Protocol, 1
		s.Step(Received{&c.hello})
		out := s.Step(PositionRead{Position: Position{Epoch: 2, Rev: 10}})
		raise, raises := has[RaiseEpoch](out)
		_, closes := has[Close](out)
		_, alarms := has[Alarm](out)
		if raises != c.raises || closes != c.closes || !alarms || raises && raise.Above != c.hello.Epoch {
			t.Errorf("%s: %+v", name, out)
		}
		if !raises {
			continue
		}
		out = s.Step(PositionRead{Position: Position{Epoch: c.hello.Epoch + 1, Rev: 11}})
		if w, ok := frames(out)[0].(*wire.Welcome); !ok || w.Mode != wire.ModeVerify {
			t.Errorf("%s, then %+v", name, out)
		}
	}
}

func TestNodeTakesAPatchWholeOrNotAtAll(t *testing.T) {
	next := key(4)
	next.NotAfter = 5
	begin := &wire.PatchBegin{Epoch: 1, Rev: 4, Count: 2, Digest: digestOf(key(3), next),
		Parts: wire.Differing(ptr(prints(key(3), key(4), key(6))), ptr(prints(key(3), next)))}
	chunk, end := &wire.SnapshotChunk{Puts: []wire.Key{next}}, &wire.SnapshotEnd{Rev: 4, Items: 1}
	for name, c := range map[string]struct {
		frames []wire.Frame
		taken  bool
	}{
		"whole":            {[]wire.Frame{begin, chunk, end}, true},
		"a chunk missing":  {[]wire.Frame{begin, end}, false},
		"a key that stays": {[]wire.Frame{begin, &wire.SnapshotChunk{Puts: []wire.Key{key(3)}}, end}, false},
		"no end":           {[]wire.Frame{begin, chunk, &wire.ServerBeat{Epoch: 1, Rev: 4}}, false},
	} {
		n := joined(t, stateWith(9, key(3), key(4), key(6)))
		var out []Effect
		for _, f := range c.frames {
			out = append(out, n.Step(Received{f})...)
		}
		persist, persists := has[Persist](out)
		if persists != c.taken || !persists && len(n.Valid()) != 3 {
			t.Errorf("%s: %+v", name, out)
		}
		if !persists {
			continue
		}
		if cut, _ := has[Cut](out); !reflect.DeepEqual(cut.KeyIDs, []int64{6}) || persist.Next.Rev != 4 || len(persist.Next.Keys) != 2 {
			t.Errorf("%s: cut %v, then %+v", name, cut, persist.Next)
		}
		if out := n.Step(Persisted{true}); !reflect.DeepEqual(out, []Effect{Apply{[]wire.Key{next}}}) {
			t.Errorf("%s: put %+v", name, out)
		}
	}
}

func ptr(p wire.Prints) *wire.Prints { return &p }

func TestAnEpochKeepsWhatIsRevoked(t *testing.T) {
	s := stateWith(90, key(1))
	s.Revoked[8], s.Floor = 70, 60
	next := s.successor(2, 10)
	if next.Revoked[8] != 10 || next.Floor != 0 || next.Epoch != 2 {
		t.Errorf("in another epoch: %+v", next)
	}
	if next := s.successor(1, 95); next.Revoked[8] != 70 || next.Floor != 60 {
		t.Errorf("in the same: %+v", next)
	}
}
