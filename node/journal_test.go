package node

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"stile/wire"
)

func openTestJournal(t *testing.T, dir string) *journal {
	t.Helper()
	j, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.close() })
	return j
}

func usage(stream, seq uint64, entries int) *wire.Usage {
	u := &wire.Usage{Stream: stream, Seq: seq, From: 1, To: 2}
	for i := range entries {
		u.Entries = append(u.Entries, wire.UsageEntry{KeyID: int64(i + 1), Up: int64(seq), Down: 1 << 40})
	}
	return u
}

func add(t *testing.T, j *journal, reports ...*wire.Usage) {
	t.Helper()
	for _, u := range reports {
		if err := j.append(u); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournalKeepsReportsAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	add(t, j, usage(7, 1, 2), usage(7, 2, 1))
	j.close()
	j = openTestJournal(t, dir)
	add(t, j, usage(5, 1, 1))
	if want := []wire.StreamSeq{{Stream: 7, Seq: 2}, {Stream: 5, Seq: 1}}; !reflect.DeepEqual(j.held(), want) {
		t.Errorf("held %v, want %v", j.held(), want)
	}
	for _, want := range []*wire.Usage{usage(7, 1, 2), usage(7, 2, 1), usage(5, 1, 1)} {
		if got, err := j.read(want.Stream, want.Seq); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, %v; want %+v", got, err, want)
		}
	}
	for _, none := range []*wire.Usage{usage(7, 0, 0), usage(7, 3, 0), usage(8, 1, 0)} {
		if _, err := j.read(none.Stream, none.Seq); !errors.Is(err, errNoReport) {
			t.Errorf("read %d.%d: %v", none.Stream, none.Seq, err)
		}
	}
}

func TestJournalCutAtAnyByteHoldsWholeReports(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	add(t, j, usage(7, 1, 2), usage(7, 2, 1), usage(7, 3, 3))
	path := j.segments[0].path
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(content) + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), content[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j := openTestJournal(t, dir)
		last := uint64(0)
		for _, h := range j.held() {
			last = h.Seq
		}
		for seq := uint64(1); seq <= last; seq++ {
			if _, err := j.read(7, seq); err != nil {
				t.Fatalf("cut at %d: report %d: %v", n, seq, err)
			}
		}
		if n == len(content) && last != 3 || n < len(content) && last == 3 {
			t.Fatalf("cut at %d of %d: %d reports", n, len(content), last)
		}
	}
}

func TestJournalBeginsSegmentsAndPrunesThem(t *testing.T) {
	j := openTestJournal(t, t.TempDir())
	j.sync = func(*os.File) error { return nil }
	var seq uint64
	for len(j.segments) < 3 {
		seq++
		add(t, j, usage(7, seq, 1000))
	}
	now := time.Unix(1_790_000_000, 0)
	young := usage(8, 1, 1)
	young.To = now.Add(keepReports).UnixMilli()
	add(t, j, young)
	j.acked(7, j.segments[1].last(), now)
	if gone, err := j.prune(now.Add(keepReports - 1)); err != nil || len(gone) > 0 || len(j.segments) != 4 {
		t.Errorf("too early: %v, %v, %d segments", gone, err, len(j.segments))
	}
	j.acked(7, j.segments[0].last(), now.Add(time.Hour)) // the database went back
	if gone, err := j.prune(now.Add(keepReports)); err != nil || len(gone) > 0 || len(j.segments) != 3 {
		t.Errorf("one is old enough: %v, %v, %d segments", gone, err, len(j.segments))
	}
	j.acked(7, seq, now)
	j.acked(8, 1, now)
	if gone, err := j.prune(now.Add(keepReports)); err != nil || !reflect.DeepEqual(gone, []uint64{7}) || len(j.segments) != 1 {
		t.Errorf("all but the one being written: %v, %v, %d segments", gone, err, len(j.segments))
	}
	files, err := filepath.Glob(filepath.Join(j.dir, "*.usage"))
	if err != nil || len(files) != 1 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestJournalAfterAFailedWrite(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	full := errors.New("no space left")
	for _, seq := range []uint64{1, 2, 3} {
		j.sync = func(*os.File) error { return full }
		if err := j.append(usage(7, seq, 9)); !errors.Is(err, full) {
			t.Errorf("a failed write: %v", err)
		}
		j.sync = fsync
		add(t, j, usage(7, seq, 1))
	}
	again := openTestJournal(t, dir)
	for _, seq := range []uint64{1, 2, 3} {
		if got, err := again.read(7, seq); err != nil || len(got.Entries) != 1 {
			t.Errorf("report %d: %+v, %v", seq, got, err)
		}
	}
}

func FuzzReadSegment(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, wire.Encode(usage(7, 1, 2))), wire.Encode(usage(7, 2, 1))))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "00000001.usage")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readSegment(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; s != nil && i < len(s.offsets); i++ {
			if u, err := s.read(i); err != nil || u.Seq != s.first+uint64(i) {
				t.Errorf("report %d: %+v, %v", i, u, err)
			}
		}
	})
}

// A service with little traffic must not keep what its keys did for longer than one with much.
func TestJournalPrunesASegmentThatNeverFills(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	start := time.UnixMilli(0)
	report := func(seq uint64, at time.Duration) {
		u := usage(7, seq, 1)
		u.To = at.Milliseconds()
		add(t, j, u)
		j.acked(7, seq, start.Add(at))
	}
	files := func(at time.Duration) int {
		if _, err := j.prune(start.Add(at)); err != nil {
			t.Fatal(err)
		}
		paths, err := filepath.Glob(filepath.Join(dir, "*.usage"))
		if err != nil {
			t.Fatal(err)
		}
		return len(paths)
	}
	report(1, 0)
	report(2, maxSegmentAge-time.Millisecond)
	report(3, maxSegmentAge)
	lastAcked := maxSegmentAge - time.Millisecond
	if n := files(lastAcked + keepReports - time.Millisecond); n != 2 {
		t.Errorf("%d files before the day is over, want 2", n)
	}
	if n := files(lastAcked + keepReports); n != 1 {
		t.Errorf("%d files a day after the first two reports were booked, want 1", n)
	}
	if n := files(maxSegmentAge + keepReports); n != 0 { // nothing came since
		t.Errorf("%d files a day after the last report was booked, want none", n)
	}
	report(4, maxSegmentAge+keepReports)
	if got, err := j.read(7, 4); err != nil || got.Seq != 4 {
		t.Errorf("read %+v, %v", got, err)
	}
}

// A clock that was ahead and is set right keeps no segment open for as long as it was ahead.
func TestJournalEndsASegmentOfAnotherTime(t *testing.T) {
	j := openTestJournal(t, t.TempDir())
	report := func(seq uint64, at time.Time) {
		u := usage(7, seq, 1)
		u.To = at.UnixMilli()
		add(t, j, u)
	}
	now := time.UnixMilli(0)
	report(1, now.Add(8760*time.Hour))
	report(2, now)
	if n := len(j.segments); n != 2 {
		t.Errorf("%d segments, want one of each time", n)
	}
	now = now.Add(-8760 * time.Hour)
	if _, err := j.prune(now); err != nil || j.file != nil {
		t.Errorf("a segment of a later time is still being written, %v", err)
	}
}
