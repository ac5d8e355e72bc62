package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stile/wire"
)

const (
	// maxSegment is the size in bytes at which a new segment begins.
	maxSegment = 1 << 20
	// maxSegmentAge is how long reports are added to one segment: a segment goes as a whole, and what is in it tells when
	// a key was used, so it must not stay because little is.
	maxSegmentAge = time.Hour
	// keepReports is how long reports stay after the control plane has booked them: a database that was restored asks
	// for them again.
	keepReports = 24 * time.Hour
)

var errNoReport = errors.New("node: no such usage report")

// journal keeps usage reports on disk, in segments of one stream each, named by their order.
type journal struct {
	dir      string
	sync     func(*os.File) error
	segments []*segment
	next     int      // number of the next segment
	file     *os.File // the last segment, if it is being written
}

// segment is one file of consecutive reports.
type segment struct {
	path    string
	stream  uint64
	first   uint64
	offsets []int64 // of each report
	size    int64
	beganAt time.Time // when its first report was written
	// ackedAt is when the last report was seen to be booked; zero if it is not.
	ackedAt time.Time
}

func (s *segment) last() uint64 { return s.first + uint64(len(s.offsets)) - 1 }

// age is how far its beginning is from now, either way: clocks are set back, too.
func (s *segment) age(now time.Time) time.Duration { return now.Sub(s.beganAt).Abs() }

// openJournal reads which reports there are.
func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("node: usage directory: %w", err)
	}
	j := &journal{dir: dir, sync: fsync}
	paths, err := filepath.Glob(filepath.Join(dir, "*.usage"))
	if err != nil {
		return nil, fmt.Errorf("node: list usage reports: %w", err)
	}
	slices.Sort(paths)
	for _, path := range paths {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(path), "%d.usage", &n); err != nil {
			continue
		}
		j.next = n + 1
		s, err := readSegment(path)
		if err != nil {
			return nil, fmt.Errorf("node: read usage reports: %w", err)
		}
		if s == nil {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("node: remove empty usage file: %w", err)
			}
			continue
		}
		j.segments = append(j.segments, s)
	}
	return j, nil
}

// readSegment returns nil for a file without a whole report.
func readSegment(path string) (*segment, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &segment{path: path}
	for rest := content; ; {
		body, next, err := cutRecord(rest)
		if err != nil {
			break
		}
		f, err := wire.Decode(body)
		u, ok := f.(*wire.Usage)
		if err != nil || !ok {
			break
		}
		if len(s.offsets) == 0 {
			s.stream, s.first, s.beganAt = u.Stream, u.Seq, time.UnixMilli(u.To)
		} else if u.Stream != s.stream || u.Seq != s.last()+1 {
			break
		}
		s.offsets = append(s.offsets, int64(len(content)-len(rest)))
		rest = next
		s.size = int64(len(content) - len(rest))
	}
	if len(s.offsets) == 0 {
		return nil, nil
	}
	return s, nil
}

// held returns the streams of which there are reports, the oldest first, with the last number of each.
func (j *journal) held() []wire.StreamSeq {
	var held []wire.StreamSeq
	for _, s := range j.segments {
		if n := len(held); n > 0 && held[n-1].Stream == s.stream {
			held[n-1].Seq = s.last()
			continue
		}
		held = append(held, wire.StreamSeq{Stream: s.stream, Seq: s.last()})
	}
	return held
}

// weight returns the size of all reports in bytes, and when the oldest segment began that is not booked, zero if all are.
func (j *journal) weight() (bytes int64, unbookedSince time.Time) {
	for _, s := range j.segments {
		bytes += s.size
		if s.ackedAt.IsZero() && (unbookedSince.IsZero() || s.beganAt.Before(unbookedSince)) {
			unbookedSince = s.beganAt
		}
	}
	return bytes, unbookedSince
}

// append makes a report durable.
func (j *journal) append(u *wire.Usage) error {
	record := appendRecord(nil, wire.Encode(u))
	if j.file != nil {
		s := j.segments[len(j.segments)-1]
		isYoung := s.age(time.UnixMilli(u.To)) < maxSegmentAge
		if isYoung && s.stream == u.Stream && s.last()+1 == u.Seq && s.size+int64(len(record)) <= maxSegment {
			return j.write(s, record)
		}
		if err := j.close(); err != nil {
			return fmt.Errorf("node: close usage file: %w", err)
		}
	}
	s := &segment{path: filepath.Join(j.dir, fmt.Sprintf("%08d.usage", j.next)), stream: u.Stream, first: u.Seq,
		beganAt: time.UnixMilli(u.To)}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("node: begin usage file: %w", err)
	}
	j.file = f
	err = j.write(s, record)
	if err == nil {
		err = syncDir(j.dir, j.sync)
	}
	if err != nil {
		return errors.Join(err, j.close(), os.Remove(s.path))
	}
	j.next++
	j.segments = append(j.segments, s)
	return nil
}

func (j *journal) write(s *segment, record []byte) error {
	_, err := j.file.WriteAt(record, s.size)
	if err == nil {
		err = j.sync(j.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("node: write usage report: %w", err), j.file.Truncate(s.size))
	}
	s.offsets = append(s.offsets, s.size)
	s.size += int64(len(record))
	s.ackedAt = time.Time{}
	return nil
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	f := j.file
	j.file = nil
	return f.Close()
}

// read returns a report, or errNoReport.
func (j *journal) read(stream, seq uint64) (*wire.Usage, error) {
	for _, s := range j.segments {
		if s.stream == stream && s.first <= seq && seq <= s.last() {
			return s.read(int(seq - s.first))
		}
	}
	return nil, errNoReport
}

func (s *segment) read(i int) (*wire.Usage, error) {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoReport
	}
	if err != nil {
		return nil, fmt.Errorf("node: open usage file: %w", err)
	}
	defer f.Close()
	end := s.size
	if i+1 < len(s.offsets) {
		end = s.offsets[i+1]
	}
	record := make([]byte, end-s.offsets[i])
	if _, err := f.ReadAt(record, s.offsets[i]); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoReport, err)
	}
	body, _, err := cutRecord(record)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoReport, err)
	}
	frame, err := wire.Decode(body)
	u, ok := frame.(*wire.Usage)
	if err != nil || !ok {
		return nil, errNoReport
	}
	return u, nil
}

// acked notes which reports of a stream are booked.
func (j *journal) acked(stream, seq uint64, now time.Time) {
	for _, s := range j.segments {
		switch {
		case s.stream != stream:
		case s.last() > seq:
			s.ackedAt = time.Time{}
		case s.ackedAt.IsZero():
			s.ackedAt = now
		}
	}
}

// prune removes segments that were booked long enough ago, and returns the streams that are gone by that.
func (j *journal) prune(now time.Time) ([]uint64, error) {
	var gone []uint64
	var failed error
	writing := len(j.segments) - 1
	if j.file != nil && j.segments[writing].age(now) >= maxSegmentAge {
		failed = j.close()
	}
	if j.file == nil {
		writing = -1
	}
	var kept []*segment
	for i, s := range j.segments {
		if i == writing || s.ackedAt.IsZero() || now.Sub(s.ackedAt) < keepReports {
			kept = append(kept, s)
			continue
		}
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = err
			kept = append(kept, s)
			continue
		}
		gone = append(gone, s.stream)
	}
	j.segments = kept
	gone = slices.DeleteFunc(gone, func(stream uint64) bool {
		return slices.ContainsFunc(kept, func(s *segment) bool { return s.stream == stream })
	})
	return slices.Compact(gone), failed
}
