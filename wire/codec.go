package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Errors of the codec.
var (
	ErrFrameTooLarge = errors.New("wire: frame too large")
	ErrTruncated     = errors.New("wire: frame is truncated")
	ErrMalformed     = errors.New("wire: frame is malformed")
)

// A frame is its length (uvarint), its type (one byte) and its fields in a fixed order. Numbers are uvarints in their
// shortest form, signed ones by their two's complement; items of lists carry their own length. A later protocol adds
// fields at the end of a frame or an item, and an earlier one ignores them.

// Encode returns the encoding of a frame without its length, as Decode takes it.
func Encode(f Frame) []byte { return f.appendTo([]byte{byte(f.Type())}) }

// Append appends the encoding of a frame, its length in front.
func Append(b []byte, f Frame) []byte {
	body := Encode(f)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

// ByteReader is what Read reads from; *bufio.Reader is one.
type ByteReader interface {
	io.Reader
	io.ByteReader
}

// Read reads one frame. It returns io.EOF only between frames.
func Read(r ByteReader) (Frame, error) {
	size, err := readLength(r)
	if err != nil {
		return nil, err
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return Decode(body)
}

func readLength(r io.ByteReader) (int, error) {
	var size uint64
	for shift := 0; ; shift += 7 {
		c, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && shift > 0 {
				err = fmt.Errorf("%w: %w", ErrTruncated, io.ErrUnexpectedEOF)
			}
			return 0, err
		}
		size |= uint64(c&0x7f) << shift
		if size > MaxFrame || shift > 21 {
			return 0, ErrFrameTooLarge
		}
		if c < 0x80 {
			return int(size), nil
		}
	}
}

// Decode decodes a frame without its length. Types that this protocol does not know come back as *Unknown.
func Decode(body []byte) (Frame, error) {
	if len(body) > MaxFrame {
		return nil, ErrFrameTooLarge
	}
	if len(body) == 0 {
		return nil, ErrTruncated
	}
	f := newFrame(FrameType(body[0]))
	r := &reader{b: body[1:]}
	f.readFrom(r)
	if r.err != nil {
		return nil, fmt.Errorf("frame type %#x: %w", body[0], r.err)
	}
	return f, nil
}

func newFrame(t FrameType) Frame {
	switch t {
	case TypeHello:
		return new(Hello)
	case TypeWelcome:
		return new(Welcome)
	case TypeDelta:
		return new(Delta)
	case TypeSnapshotBegin:
		return new(SnapshotBegin)
	case TypeSnapshotChunk:
		return new(SnapshotChunk)
	case TypeSnapshotEnd:
		return new(SnapshotEnd)
	case TypeVerify:
		return new(Verify)
	case TypeBucketPrints:
		return new(BucketPrints)
	case TypePatchBegin:
		return new(PatchBegin)
	case TypeRevokedAsk:
		return new(RevokedAsk)
	case TypeRevoked:
		return new(Revoked)
	case TypeAck:
		return new(Ack)
	case TypeNack:
		return new(Nack)
	case TypeServerBeat:
		return new(ServerBeat)
	case TypeNodeBeat:
		return new(NodeBeat)
	case TypeUsage:
		return new(Usage)
	case TypeUsageAck:
		return new(UsageAck)
	case TypeConfig:
		return new(Config)
	case TypeConfigReport:
		return new(ConfigReport)
	}
	return &Unknown{Of: t}
}

// reader takes fields off a frame. After the first error everything reads as zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	switch {
	case n == 0:
		r.fail(ErrTruncated)
		return 0
	case n < 0, n > 1 && r.b[n-1] == 0:
		r.fail(ErrMalformed)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 { return int64(r.uint()) }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(ErrTruncated)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) bool() bool {
	switch r.byte() {
	case 0:
		return false
	case 1:
		return true
	}
	r.fail(ErrMalformed)
	return false
}

func (r *reader) fixed(dst []byte) {
	if copy(dst, r.b) < len(dst) {
		r.fail(ErrTruncated)
		clear(dst)
		return
	}
	r.b = r.b[len(dst):]
}

// take cuts off a part that carries its length.
func (r *reader) take(limit int) []byte {
	n := r.uint()
	switch {
	case n > uint64(limit):
		r.fail(ErrMalformed)
		return nil
	case n > uint64(len(r.b)):
		r.fail(ErrTruncated)
		return nil
	}
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}

func (r *reader) text() string { return string(r.take(MaxText)) }

// readList reads a list whose items are at least smallest bytes long, so that what it allocates is bounded by what came.
func readList[T any](r *reader, smallest int, item func(*reader, *T)) []T {
	n := r.uint()
	if n == 0 || r.err != nil {
		return nil
	}
	if n > MaxItems {
		r.fail(ErrMalformed)
		return nil
	}
	if n*uint64(smallest+1) > uint64(len(r.b)) {
		r.fail(ErrTruncated)
		return nil
	}
	list := make([]T, n)
	for i := range list {
		sub := &reader{b: r.take(MaxFrame)}
		if r.err == nil {
			item(sub, &list[i])
			r.err = sub.err
		}
		if r.err != nil {
			r.b = nil
			return nil
		}
	}
	return list
}

func appendList[T any](b []byte, list []T, item func([]byte, *T) []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	var scratch [128]byte
	for i := range list {
		record := item(scratch[:0], &list[i])
		b = binary.AppendUvarint(b, uint64(len(record)))
		b = append(b, record...)
	}
	return b
}

func appendInts(b []byte, values ...int64) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

func appendUints(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendText(b []byte, s string) []byte {
	if len(s) > MaxText {
		s = s[:MaxText]
	}
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
