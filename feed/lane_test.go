package feed

import (
	"reflect"
	"testing"

	"stile/wire"
)

func sent(effects []Effect) []uint64 {
	var seqs []uint64
	for _, e := range effects {
		if s, ok := e.(SendReport); ok {
			seqs = append(seqs, s.Seq)
		}
	}
	return seqs
}

func TestLaneSendsAWindowAndGoesOnWithEachAck(t *testing.T) {
	n := joined(t, NewState(), wire.StreamSeq{Stream: 7, Seq: laneWindow + 10})
	n.Step(Received{&wire.UsageAck{Stream: 7, Seq: 0}})
	if l := n.lane.find(7); l.sent != laneWindow {
		t.Fatalf("%d sent ahead", l.sent)
	}
	out := n.Step(Received{&wire.UsageAck{Stream: 7, Seq: 2}})
	if !reflect.DeepEqual(sent(out), []uint64{laneWindow + 1, laneWindow + 2}) || out[0] != (ReportsAcked{7, 2}) {
		t.Errorf("after an ack of 2: %+v", out)
	}
	n.Step(Ticked{Now: 1000 + lanePatience})
	again := sent(n.Step(Ticked{Now: 1001 + lanePatience}))
	if len(again) != laneWindow || again[0] != 3 {
		t.Errorf("without an answer, again: %v", again)
	}
}

func TestLaneGoesBackWithTheDatabase(t *testing.T) {
	n := joined(t, NewState(), wire.StreamSeq{Stream: 7, Seq: 5})
	n.Step(Received{&wire.UsageAck{Stream: 7, Seq: 5}})
	n.Step(Disconnected{})
	n.Step(Connected{})
	out := n.Step(Received{&wire.Welcome{Session: 6, Epoch: 2, Mode: wire.ModeSnapshot, Acked: []wire.StreamSeq{{Stream: 7, Seq: 2}}}})
	if !reflect.DeepEqual(sent(out), []uint64{3, 4, 5}) {
		t.Errorf("sent %+v", out)
	}
	if _, alarms := has[Alarm](n.Step(ReportMissing{7})); !alarms {
		t.Error("a report that is gone raises no alarm")
	}
	if _, begins := has[NewStream](n.Step(ReportMissing{7})); begins {
		t.Error("a stream that is not written to any more begins another")
	}
	if got := sent(n.Step(ReportSaved{8, 1})); !reflect.DeepEqual(got, []uint64{1}) {
		t.Errorf("another stream is held up: %v", got)
	}
}

func TestAStreamThatCannotGoOnIsLeft(t *testing.T) {
	n := joined(t, NewState())
	n.Step(ReportSaved{7, 1})
	n.Step(ReportSaved{7, 2})
	if _, begins := has[NewStream](n.Step(ReportMissing{7})); !begins {
		t.Error("what is counted from now on could never be booked")
	}
}

func TestARolledBackProcessTakesANewStream(t *testing.T) {
	n := joined(t, NewState())
	n.Step(ReportSaved{7, 1})
	out := n.Step(Received{&wire.UsageAck{Stream: 7, Seq: 4}})
	if !reflect.DeepEqual(out, []Effect{NewStream{}, ReportsAcked{7, 1}}) {
		t.Errorf("got %+v", out)
	}
	n.Step(StreamPruned{7})
	if got := n.lane.held(); len(got) != 0 {
		t.Errorf("held %+v", got)
	}
}

func TestMeterCountsOnceWhatIsSaved(t *testing.T) {
	m := NewMeter()
	m.Draft([]Reading{{1, 10, 20}, {2, 0, 0}})
	draft, _ := m.Draft([]Reading{{1, 11, 20}, {2, 0, 5}})
	if want := []wire.UsageEntry{{KeyID: 1, Up: 11, Down: 20}, {KeyID: 2, Down: 5}}; !reflect.DeepEqual(draft, want) {
		t.Errorf("unsaved: %+v", draft)
	}
	m.Saved()
	draft, _ = m.Draft([]Reading{{1, 11, 20}, {2, 1, 5}})
	if want := []wire.UsageEntry{{KeyID: 2, Up: 1}}; !reflect.DeepEqual(draft, want) {
		t.Errorf("saved: %+v", draft)
	}
	var many []Reading
	for id := range int64(wire.MaxItems + 1) {
		many = append(many, Reading{100 + id, 1, 1})
	}
	draft, more := m.Draft(many)
	if len(draft) != wire.MaxItems || !more {
		t.Errorf("%d entries, more: %v", len(draft), more)
	}
	m.Saved()
	if draft, more = m.Draft(many); len(draft) != 1 || more {
		t.Errorf("the rest: %d entries, more: %v", len(draft), more)
	}
}
