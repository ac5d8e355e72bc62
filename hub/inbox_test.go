package hub

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"stile/vpn"
	"stile/wire"
)

// fullest are the frames of a node that weigh the most.
func fullest() map[string]func() wire.Frame {
	return map[string]func() wire.Frame{
		"usage": func() wire.Frame { return &wire.Usage{Entries: make([]wire.UsageEntry, wire.MaxItems)} },
		"hello": func() wire.Frame {
			return &wire.Hello{Streams: make([]wire.StreamSeq, wire.MaxItems), Refused: make([]int64, wire.MaxItems)}
		},
		"nack":    func() wire.Frame { return &wire.Nack{Bad: make([]wire.BadKey, wire.MaxItems)} },
		"revoked": func() wire.Frame { return &wire.Revoked{KeyIDs: make([]int64, wire.MaxItems)} },
		"ack":     func() wire.Frame { return &wire.Ack{Refused: make([]int64, wire.MaxItems)} },
		"beat":    func() wire.Frame { return &wire.NodeBeat{Refused: make([]int64, wire.MaxItems)} },
		"prints":  func() wire.Frame { return &wire.BucketPrints{} },
		"report":  func() wire.Frame { return &wire.ConfigReport{} },
		"unknown": func() wire.Frame { return &wire.Unknown{Of: 0x7e} },
		"delta": func() wire.Frame {
			return &wire.Delta{Puts: make([]wire.Key, wire.MaxItems), Dels: make([]wire.Removal, wire.MaxItems)}
		},
		"chunk": func() wire.Frame {
			return &wire.SnapshotChunk{Puts: make([]wire.Key, wire.MaxItems), Dels: make([]wire.Removal, wire.MaxItems)}
		},
		"welcome": func() wire.Frame { return &wire.Welcome{Acked: make([]wire.StreamSeq, wire.MaxItems)} },
	}
}

// begunInbox is one whose stream has begun.
func begunInbox() *inbox {
	in := newInbox()
	in.onEnd(func(error) {})
	return in
}

// However heavy the frames are that a node sends, few megabytes of them wait.
func TestAnInboxIsBounded(t *testing.T) {
	for name, make1 := range fullest() {
		before := heap()
		in := begunInbox()
		taken := 0
		for in.hasRoom() && taken < 300 {
			if err := in.put(make1()); err != nil {
				t.Fatal(err)
			}
			taken++
		}
		grown := heap() - before
		if most := int64(inboxBytes + inboxBytes/4); grown > most {
			t.Errorf("%d of %s hold %d bytes, want at most %d", taken, name, grown, most)
		}
		if n := len(in.take()); n > inboxFrames {
			t.Errorf("%d of %s wait", n, name)
		}
		if !in.hasRoom() {
			t.Errorf("%s: no room in an empty inbox", name)
		}
	}
}

// What the largest honest node has under way, and once more what it repeats for want of an answer, finds room.
func TestTwoWindowsOfTheLargestReportsWait(t *testing.T) {
	in := begunInbox()
	for i := range 2 * 32 {
		if !in.hasRoom() {
			t.Fatalf("no room for report %d", i)
		}
		if err := in.put(fullest()["usage"]()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBeforeItsStreamBeginsANodeHasNothingToSendButAHello(t *testing.T) {
	in := newInbox()
	for _, room := range []bool{true, true, false} {
		if in.hasRoom() != room {
			t.Errorf("%d bytes wait; there should be room: %v", in.bytes, room)
		}
		_ = in.put(fullest()["hello"]())
	}
	in.onEnd(func(error) {})
	if in.room(t.Context()) != nil {
		t.Error("no room when it has begun")
	}
}

// At the bound a node waits until the stream has taken what came before, and loses nothing.
func TestAFullInboxMakesTheNodeWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestListener(t)
		m := newMemberLink(caller{id: 1}, func() {})
		if !l.add(m) {
			t.Fatal("not added")
		}
		defer l.remove(m)
		post := func() int {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, wire.PathFrames, bytes.NewReader(wire.Append(nil, &wire.NodeBeat{Rev: 7})))
			r.Header.Set(wire.StreamHeader, m.name)
			l.frames(w, r, m.by)
			return w.Code
		}
		for m.in.hasRoom() {
			_ = m.in.put(&wire.NodeBeat{Refused: make([]int64, wire.MaxItems)})
		}
		waits := make(chan int, 1)
		go func() { waits <- post() }()
		time.Sleep(5 * time.Second)
		select {
		case code := <-waits:
			t.Fatalf("answered %d by a full inbox", code)
		default:
		}
		m.in.take()
		if code := <-waits; code != http.StatusNoContent {
			t.Errorf("answered %d when there was room", code)
		}
		if got := m.in.take(); len(got) != 1 {
			t.Errorf("%d frames came", len(got))
		}
		for m.in.hasRoom() {
			_ = m.in.put(&wire.NodeBeat{})
		}
		go func() { waits <- post() }()
		synctest.Wait()
		_ = m.Close()
		if code := <-waits; code != http.StatusGone {
			t.Errorf("answered %d when the stream ended", code)
		}
	})
}

// A control plane that is slow to book gets all reports in the end.
func TestASlowDatabaseLosesNoReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ctx, _ := start(t, newSet())
		booked := 0
		h.cfg.RecordUsage = func(_ context.Context, r vpn.UsageReport) (uint64, error) {
			time.Sleep(10 * time.Millisecond)
			booked++
			return r.Seq, nil
		}
		p := join(ctx, t, h, 1)
		p.sync()
		go func() {
			for range 200 {
				take[*wire.UsageAck](p)
			}
			_ = p.link.Close()
		}()
		for seq := range uint64(200) {
			p.send(&wire.Usage{Stream: 1, Seq: seq + 1, Entries: make([]wire.UsageEntry, wire.MaxItems)})
		}
		<-p.ended
		if booked != 200 {
			t.Errorf("%d of 200 reports are booked", booked)
		}
	})
}
