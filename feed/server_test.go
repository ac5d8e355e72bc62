package feed

import (
	"reflect"
	"testing"

	"stile/wire"
)

func key(id int64) wire.Key { return wire.Key{ID: id, Seed: wire.Seed{byte(id), 9}} }

func digestOf(keys ...wire.Key) wire.Digest {
	var d wire.Digest
	for _, k := range keys {
		d.Add(k.Sum())
	}
	return d
}

// frames returns what effects want sent.
func frames(effects []Effect) []wire.Frame {
	var out []wire.Frame
	for _, e := range effects {
		if s, ok := e.(Send); ok {
			out = append(out, s.Frame)
		}
	}
	return out
}

// has reports whether an effect of type T is among effects, and returns the first.
func has[T Effect](effects []Effect) (T, bool) {
	for _, e := range effects {
		if t, ok := e.(T); ok {
			return t, true
		}
	}
	var none T
	return none, false
}

const session = 5

// greeted returns a server that got a hello and was told the position.
func greeted(t *testing.T, hello *wire.Hello, p Position) (*Server, []Effect) {
	t.Helper()
	s := NewServer(ServerConfig{NodeID: 1, Session: session, Quarantine: Quarantine{}})
	s.Step(Ticked{Now: 1000, Wall: 50})
	hello.Proto, hello.NodeID = wire.Protocol, 1
	if out := s.Step(Received{hello}); !reflect.DeepEqual(out, []Effect{ReadPosition{}}) {
		t.Fatalf("after the hello: %+v", out)
	}
	return s, s.Step(PositionRead{Position: p, Cursors: map[uint64]uint64{9: 3}})
}

func TestServerChoosesTheMode(t *testing.T) {
	set := digestOf(key(1), key(2))
	at := Position{Epoch: 2, Rev: 10, Count: 2, Digest: set, Floor: 4}
	for name, c := range map[string]struct {
		hello wire.Hello
		want  wire.Mode
		next  Effect
	}{
		"the same":             {wire.Hello{Epoch: 2, Rev: 10, Count: 2, Digest: set}, wire.ModeResume, nil},
		"behind":               {wire.Hello{Epoch: 2, Rev: 7, Count: 1}, wire.ModeDelta, ReadChanges{After: 7, Limit: changeLimit}},
		"at the floor":         {wire.Hello{Epoch: 2, Rev: 4}, wire.ModeDelta, ReadChanges{After: 4, Limit: changeLimit}},
		"one below the floor":  {wire.Hello{Epoch: 2, Rev: 3, Count: 1}, wire.ModeVerify, Send{&wire.RevokedAsk{}}},
		"another digest":       {wire.Hello{Epoch: 2, Rev: 10, Count: 2}, wire.ModeVerify, Send{&wire.RevokedAsk{}}},
		"another count":        {wire.Hello{Epoch: 2, Rev: 10, Count: 3, Digest: set}, wire.ModeVerify, Send{&wire.RevokedAsk{}}},
		"an earlier epoch":     {wire.Hello{Epoch: 1, Rev: 10, Count: 2, Digest: set}, wire.ModeVerify, Send{&wire.RevokedAsk{}}},
		"all keys revoked":     {wire.Hello{Epoch: 1, Rev: 10}, wire.ModeSnapshot, Send{&wire.RevokedAsk{}}},
		"a node without a set": {wire.Hello{}, wire.ModeSnapshot, ReadSnapshot{}},
	} {
		c.hello.Streams = []wire.StreamSeq{{Stream: 9, Seq: 7}, {Stream: 8, Seq: 1}}
		_, out := greeted(t, &c.hello, at)
		want := &wire.Welcome{Session: session, Epoch: 2, Rev: 10, Mode: c.want, ServerTime: 50, HeartbeatSeconds: 15, Floor: 4,
			Acked: []wire.StreamSeq{{Stream: 9, Seq: 3}, {Stream: 8}}}
		if got := frames(out); len(got) == 0 || !reflect.DeepEqual(got[0], wire.Frame(want)) {
			t.Errorf("%s: sent %+v, want %+v", name, got, want)
		}
		if c.next != nil && !reflect.DeepEqual(out[len(out)-1], c.next) {
			t.Errorf("%s: then %+v, want %+v", name, out[len(out)-1], c.next)
		}
	}
}

func TestServerHasOneDeltaInFlightAndMergesTheRest(t *testing.T) {
	s, _ := greeted(t, &wire.Hello{Epoch: 1}, Position{Epoch: 1})
	if out := s.Step(Woken{}); !reflect.DeepEqual(out, []Effect{ReadChanges{After: 0, Limit: changeLimit}}) {
		t.Fatalf("after a wake: %+v", out)
	}
	k := key(1)
	out := s.Step(ChangesRead{Position: Position{Epoch: 1, Rev: 1, Count: 1, Digest: digestOf(k)}, Rows: []Row{{Rev: 1, Key: k}}})
	want := &wire.Delta{ToRev: 1, Puts: []wire.Key{k}, IsComplete: true, Count: 1, Digest: digestOf(k)}
	if got := frames(out); len(got) != 1 || !reflect.DeepEqual(got[0], wire.Frame(want)) {
		t.Fatalf("sent %+v, want %+v", got, want)
	}
	for range 3 {
		if out := s.Step(Woken{}); out != nil {
			t.Fatalf("a wake with a delta in flight: %+v", out)
		}
	}
	if out := s.Step(Received{&wire.Ack{Session: session + 1, Epoch: 1, Rev: 1}}); out != nil {
		t.Errorf("an ack of another session: %+v", out)
	}
	out = s.Step(Received{&wire.Ack{Session: session, Epoch: 1, Rev: 1}})
	if !reflect.DeepEqual(out, []Effect{Acked{Rev: 1}, ReadChanges{After: 1, Limit: changeLimit}}) {
		t.Errorf("after the ack: %+v", out)
	}
	if out := s.Step(ChangesRead{Position: Position{Epoch: 1, Rev: 1, Count: 1, Digest: digestOf(k)}}); out != nil {
		t.Errorf("nothing changed: %+v", out)
	}
}

func TestServerPutsRevocationsFirstAndSplitsSnapshots(t *testing.T) {
	s, _ := greeted(t, &wire.Hello{}, Position{Epoch: 1})
	var keys []wire.Key
	for id := int64(1); id <= 2*changeLimit+1; id++ {
		keys = append(keys, key(id))
	}
	got := frames(s.Step(SnapshotRead{Position: Position{Epoch: 1, Rev: 3000, Count: int64(len(keys)), Digest: digestOf(keys...)},
		Keys: keys, Revoked: []int64{7000}}))
	if len(got) != 5 {
		t.Fatalf("%d frames, want begin, 3 chunks and end", len(got))
	}
	if c := got[1].(*wire.SnapshotChunk); len(c.Dels) != 1 || c.Dels[0].KeyID != 7000 {
		t.Errorf("the first chunk starts with %+v", c.Dels)
	}
	if end := got[4].(*wire.SnapshotEnd); end.Items != int64(len(keys))+1 {
		t.Errorf("the end counts %d", end.Items)
	}
}

func TestServerLeavesARefusedRecordOutUntilItChanges(t *testing.T) {
	good, bad := key(1), key(2)
	bad.MaxSessions = -1
	s, _ := greeted(t, &wire.Hello{Epoch: 1}, Position{Epoch: 1, Rev: 2})
	read := ChangesRead{Position: Position{Epoch: 1, Rev: 2, Count: 2, Digest: digestOf(good, bad)},
		Rows: []Row{{Rev: 1, Key: good}, {Rev: 2, Key: bad}}}
	s.Step(read)
	out := s.Step(Received{&wire.Nack{Session: session, Epoch: 1, RefusedRev: 2, Why: wire.WhyKey, Bad: []wire.BadKey{{KeyID: 2, Sum: bad.Sum()}}}})
	if !reflect.DeepEqual(out, []Effect{Quarantined{[]int64{2}}, ReadChanges{After: 0, Limit: changeLimit}}) {
		t.Fatalf("after the nack: %+v", out)
	}
	want := &wire.Delta{ToRev: 2, Dels: []wire.Removal{{KeyID: 2, Reason: wire.ReasonQuarantined}}, Puts: []wire.Key{good},
		IsComplete: true, Count: 1, Digest: digestOf(good)}
	if got := frames(s.Step(read)); len(got) != 1 || !reflect.DeepEqual(got[0], wire.Frame(want)) {
		t.Fatalf("sent %+v, want %+v", got, want)
	}
	s.Step(Received{&wire.Ack{Session: session, Epoch: 1, Rev: 2}})
	s.Step(Woken{})
	got := frames(s.Step(ChangesRead{Position: Position{Epoch: 1, Rev: 3, Count: 2, Digest: digestOf(good, key(2))}, Rows: []Row{{Rev: 3, Key: key(2)}}}))
	if d := got[0].(*wire.Delta); len(d.Puts) != 1 || d.Digest != digestOf(good, key(2)) {
		t.Errorf("the mended key: %+v", d)
	}
}

// A node in foreign hands refuses keys that it never got, over and over: what is kept of that is bounded, and so is how often
// operators are told.
func TestServerBoundsWhatANodeMayRefuse(t *testing.T) {
	q := Quarantine{}
	s := NewServer(ServerConfig{NodeID: 1, Session: session, Quarantine: q})
	s.Step(Ticked{Now: 1000, Wall: 50})
	s.Step(Received{&wire.Hello{Proto: wire.Protocol, NodeID: 1, Epoch: 1, Rev: 2, Count: 1, Digest: digestOf(key(1))}})
	s.Step(PositionRead{Position: Position{Epoch: 1, Rev: 2, Count: 1, Digest: digestOf(key(1))}})
	next := int64(100)
	refusal := func(why wire.Why) Event {
		n := &wire.Nack{Session: session, Epoch: 1, Rev: 2, RefusedRev: s.SentRev(), Why: why}
		for range wire.MaxItems {
			n.Bad = append(n.Bad, wire.BadKey{KeyID: next})
			next++
		}
		return Received{n}
	}
	for _, why := range []wire.Why{wire.WhyKey, wire.WhyDisk} {
		for range 3 {
			if out := s.Step(refusal(why)); len(out) != 0 || len(q) != 0 {
				t.Errorf("refusal %d of nothing: %d effects, %d keys left out", why, len(out), len(q))
			}
		}
	}
	now, told := int64(1000), 0
	for rev := int64(3); rev < 10 && s.phase == serverLive; rev++ {
		now += Silence - 1
		s.Step(Ticked{Now: now})
		s.Step(Woken{})
		s.Step(ChangesRead{Position: Position{Epoch: 1, Rev: rev}, Rows: []Row{{Rev: rev, Key: key(1)}}})
		told += len(s.Step(refusal(wire.WhyKey)))
	}
	if len(q) > wire.MaxItems || told > wire.MaxItems+3 || s.phase != serverIsClosed {
		t.Errorf("%d keys are left out and %d effects came of it, of a stream in phase %d", len(q), told, s.phase)
	}
}

func TestServerGivesUp(t *testing.T) {
	s, _ := greeted(t, &wire.Hello{Epoch: 1}, Position{Epoch: 1})
	if _, closes := has[Close](s.Step(Ticked{Now: 1000 + Silence})); closes {
		t.Error("closed at the limit of silence")
	}
	if _, closes := has[Close](s.Step(Ticked{Now: 1001 + Silence})); !closes {
		t.Error("open after the limit of silence")
	}
	s, _ = greeted(t, &wire.Hello{Epoch: 1}, Position{Epoch: 1})
	s.Step(Woken{})
	if _, closes := has[Close](s.Step(ChangesRead{Position: Position{Epoch: 2}})); !closes {
		t.Error("open after the database changed its epoch")
	}
	for name, f := range map[string]wire.Frame{
		"an ack before the hello": &wire.Ack{}, "another node": &wire.Hello{Proto: wire.Protocol, NodeID: 2},
		"another protocol": &wire.Hello{Proto: wire.Protocol + 1, NodeID: 1},
	} {
		s := NewServer(ServerConfig{NodeID: 1, Session: session, Quarantine: Quarantine{}})
		s.Step(Ticked{Now: 1000})
		if _, closes := has[Close](s.Step(Received{f})); !closes {
			t.Errorf("%s is let in", name)
		}
	}
}

func TestServerSpacesAttemptsOut(t *testing.T) {
	s, _ := greeted(t, &wire.Hello{Epoch: 1}, Position{Epoch: 1, Rev: 1})
	read := ChangesRead{Position: Position{Epoch: 1, Rev: 1, Count: 1, Digest: digestOf(key(1))}, Rows: []Row{{Rev: 1, Key: key(1)}}}
	now := int64(1000)
	for _, pause := range []int64{1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000} {
		s.Step(read)
		s.Step(Received{&wire.Nack{Session: session, Epoch: 1, RefusedRev: 1, Why: wire.WhyDisk}})
		s.heardAt = now + pause
		if _, reads := has[ReadChanges](s.Step(Ticked{Now: now + pause - 1})); reads {
			t.Fatalf("tried again before %d ms", pause)
		}
		if _, reads := has[ReadChanges](s.Step(Ticked{Now: now + pause})); !reads {
			t.Fatalf("did not try again after %d ms", pause)
		}
		now += pause
	}
}
