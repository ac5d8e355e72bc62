package api

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
)

// maxMarked bounds how many compressed segments with marks a list keeps.
const maxMarked = 1024

// The frame of a gzip stream (RFC 1952), and the empty last block of a deflate stream (RFC 1951, stored).
var (
	gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	lastBlock  = []byte{1, 0, 0, 0xff, 0xff}
)

// packed is a list compressed in segments that know nothing of one another and end on a byte, so that one with a
// device's marks can stand in for one without.
type packed struct {
	once     sync.Once
	segments [][]byte
	mu       sync.Mutex
	marked   map[string][]byte // by the marks
}

// gzip is the list with marks, compressed. Only segments with marks not met before cost more than a look-up.
func (s *listing) gzip(marks []int) [][]byte {
	p := &s.packed
	p.once.Do(func() {
		from := 0
		for _, to := range s.cuts {
			p.segments = append(p.segments, deflate([][]byte{s.plain[from:to]}))
			from = to
		}
	})
	out := make([][]byte, 0, len(s.cuts)+3)
	out = append(out, gzipHeader)
	from, next := 0, 0
	for i, to := range s.cuts {
		first := next
		for next < len(marks) && marks[next] < to {
			next++
		}
		segment := p.segments[i]
		if next > first {
			segment = s.markedSegment(from, to, marks[first:next])
		}
		out = append(out, segment)
		from = to
	}
	sum, size := uint32(0), 0
	for _, piece := range s.pieces(marks) {
		sum, size = crc32.Update(sum, crc32.IEEETable, piece), size+len(piece)
	}
	end := append([]byte{}, lastBlock...)
	end = binary.LittleEndian.AppendUint32(end, sum)
	end = binary.LittleEndian.AppendUint32(end, uint32(size))
	return append(out, end)
}

// markedSegment is the compressed segment of plain from one place to another with the marks in it.
func (s *listing) markedSegment(from, to int, marks []int) []byte {
	p, key := &s.packed, fmt.Sprint(marks)
	p.mu.Lock()
	segment := p.marked[key]
	p.mu.Unlock()
	if segment != nil {
		return segment
	}
	part := listing{plain: s.plain[:to]}
	pieces := part.pieces(marks)
	pieces[0] = pieces[0][from:]
	segment = deflate(pieces)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.marked == nil || len(p.marked) >= maxMarked {
		p.marked = make(map[string][]byte)
	}
	p.marked[key] = segment
	return segment
}

// deflate compresses pieces as one run of blocks that ends on a byte and is not the last.
func deflate(pieces [][]byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	for _, p := range pieces {
		if err == nil {
			_, err = w.Write(p)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		panic("api: deflate into memory: " + err.Error())
	}
	return b.Bytes()
}
