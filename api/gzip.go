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
	segments []segment
	mu       sync.Mutex
	marked   map[string]segment // by the marks
}

// segment is a part of a list, compressed, with what the checksum of the whole needs of it.
type segment struct {
	deflated []byte
	size     int    // before compression
	sum      uint32 // CRC-32 of the part
	shift    uint32 // x^(8·size) modulo the polynomial of CRC-32: moves a checksum past the part
}

// gzip is the list with marks, compressed. Only segments with marks not met before cost more than a look-up.
func (s *listing) gzip(marks []int) [][]byte {
	p := &s.packed
	p.once.Do(func() {
		from := 0
		for _, to := range s.cuts {
			p.segments = append(p.segments, newSegment([][]byte{s.plain[from:to]}))
			from = to
		}
	})
	out := make([][]byte, 0, len(s.cuts)+2)
	out = append(out, gzipHeader)
	from, next, sum, size := 0, 0, uint32(0), 0
	for i, to := range s.cuts {
		first := next
		for next < len(marks) && marks[next] < to {
			next++
		}
		part := p.segments[i]
		if next > first {
			part = s.markedSegment(from, to, marks[first:next])
		}
		out = append(out, part.deflated)
		sum, size, from = multiply(part.shift, sum)^part.sum, size+part.size, to
	}
	end := append([]byte{}, lastBlock...)
	end = binary.LittleEndian.AppendUint32(end, sum)
	end = binary.LittleEndian.AppendUint32(end, uint32(size))
	return append(out, end)
}

// markedSegment is the segment of plain from one place to another with the marks in it.
func (s *listing) markedSegment(from, to int, marks []int) segment {
	p, key := &s.packed, fmt.Sprint(marks)
	p.mu.Lock()
	kept, isKept := p.marked[key]
	p.mu.Unlock()
	if isKept {
		return kept
	}
	part := listing{plain: s.plain[:to]}
	pieces := part.pieces(marks)
	pieces[0] = pieces[0][from:]
	made := newSegment(pieces)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.marked == nil || len(p.marked) >= maxMarked {
		p.marked = make(map[string]segment)
	}
	p.marked[key] = made
	return made
}

// newSegment compresses pieces as one run of blocks that ends on a byte and is not the last.
func newSegment(pieces [][]byte) segment {
	var s segment
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	for _, p := range pieces {
		if err == nil {
			_, err = w.Write(p)
		}
		s.size += len(p)
		s.sum = crc32.Update(s.sum, crc32.IEEETable, p)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		panic("api: deflate into memory: " + err.Error())
	}
	s.deflated, s.shift = b.Bytes(), powerOfX(8*s.size)
	return s
}

// In the polynomials over GF(2) modulo that of CRC-32, as its checksums are written: the highest bit is the power 0.
const (
	one uint32 = 1 << 31
	x1  uint32 = 1 << 30
)

// multiply is the product of two polynomials.
func multiply(a, b uint32) uint32 {
	product := uint32(0)
	for ; a != 0; a <<= 1 {
		if a&one != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.IEEE
		} else {
			b >>= 1
		}
	}
	return product
}

// powerOfX is x^n.
func powerOfX(n int) uint32 {
	power, square := one, x1
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			power = multiply(square, power)
		}
		square = multiply(square, square)
	}
	return power
}
