package shadowsocks

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"stile/dataplane"
)

var errBadChunk = errors.New("shadowsocks: bad chunk")

// lengthSize is the length of a chunk's first message as sent.
const lengthSize = 2 + tagSize

// stream is the client's side of a relay: chunks of either edition on a TCP connection, each a sealed length and a sealed
// payload. Chunks are opened where they were read; what is written goes out with one write for many chunks.
type stream struct {
	*net.TCPConn
	buffers *dataplane.Buffers

	// Reading.
	source     *dataplane.Source
	incoming   chain
	size       int // payload of the chunk whose length is known, or -1
	chunk      *dataplane.Buffer
	start, end int         // what of chunk is not opened yet
	opened     net.Buffers // what Next returns
	rest       net.Buffers // what the target header left over of it

	// Writing.
	outgoing chain // its cipher is nil until the first write

	// What an edition sets.
	maxChunk   int // the longest payload that may be read
	writeChunk int // how much is put into one chunk that is written
	begin      opening
}

// opening begins the direction to a client: it appends to out, which is empty, what comes before the first chunk's payload
// of the given size, and returns the chain that goes on.
type opening func(out []byte, size int) ([]byte, chain)

// newStream continues a connection after its first message under a cipher; the next message is a payload of size bytes.
func newStream(conn *net.TCPConn, incoming cipher.AEAD, size int, buffers *dataplane.Buffers) (*stream, error) {
	source, err := dataplane.NewSource(conn, buffers)
	s := &stream{TCPConn: conn, buffers: buffers, source: source, size: size}
	s.incoming.aead = incoming
	s.incoming.advance()
	return s, err
}

// Next returns the payloads of all chunks that have arrived whole.
func (s *stream) Next() (net.Buffers, error) {
	if len(s.rest) > 0 {
		rest := s.rest
		s.rest = nil
		return rest, nil
	}
	for {
		if err := s.openChunks(); err != nil {
			return nil, err
		}
		if len(s.opened) > 0 {
			return s.opened, nil
		}
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
}

// Release gives up the payloads; the buffer stays only if it holds the beginning of a chunk.
func (s *stream) Release() {
	s.opened = s.opened[:0]
	if s.start == s.end {
		s.buffers.Return(s.chunk)
		s.chunk, s.start, s.end = nil, 0, 0
	}
}

// openChunks opens every whole message between start and end, in place.
func (s *stream) openChunks() error {
	for {
		have := s.end - s.start
		if s.size < 0 {
			if have < lengthSize {
				return nil
			}
			length, err := s.incoming.open(s.chunk[s.start : s.start+lengthSize])
			if err != nil {
				return errBadChunk
			}
			s.start += lengthSize
			if s.size, err = chunkSize(length, s.maxChunk); err != nil {
				return err
			}
			continue
		}
		if have < s.size+tagSize {
			return nil
		}
		payload, err := s.incoming.open(s.chunk[s.start : s.start+s.size+tagSize])
		if err != nil {
			return errBadChunk
		}
		s.start += s.size + tagSize
		s.size = -1
		if len(payload) > 0 {
			s.opened = append(s.opened, payload)
		}
	}
}

// chunkSize reads an opened length. In AEAD-2018 the two high bits are reserved and zero.
func chunkSize(length []byte, most int) (int, error) {
	size := int(binary.BigEndian.Uint16(length))
	if size > most {
		return 0, errBadChunk
	}
	return size, nil
}

// fill reads once. It is called with nothing opened, so what is left can be moved to the front.
func (s *stream) fill() error {
	s.Release() // empty chunks may have left nothing
	if s.chunk == nil {
		chunk, n, err := s.source.Read(dataplane.BufferSize)
		if err != nil {
			return s.ending(err)
		}
		s.chunk, s.start, s.end = chunk, 0, n
		return nil
	}
	if s.start > 0 {
		copy(s.chunk[:], s.chunk[s.start:s.end])
		s.start, s.end = 0, s.end-s.start
	}
	n, err := s.source.ReadInto(s.chunk[s.end:])
	s.end += max(n, 0)
	if err != nil {
		return s.ending(err)
	}
	return nil
}

// ending tells the end between two chunks from one within.
func (s *stream) ending(err error) error {
	if errors.Is(err, io.EOF) && (s.start != s.end || s.size >= 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// target reads the header that opens the stream; the payload behind it is the next that Next returns.
func (s *stream) target() (dataplane.Target, error) {
	var partial []byte
	for {
		payloads, err := s.Next()
		if err != nil {
			return dataplane.Target{}, err
		}
		for i, payload := range payloads {
			if partial != nil {
				payload = append(partial, payload...)
			}
			to, n, err := parseTarget(payload)
			if errors.Is(err, errShortTarget) {
				partial = append([]byte(nil), payload...)
				continue
			}
			if err != nil {
				return dataplane.Target{}, err
			}
			payloads[i] = payload[n:]
			s.putBack(payloads[i:])
			return to, nil
		}
		s.Release()
	}
}

// putBack makes payloads what Next returns next.
func (s *stream) putBack(payloads net.Buffers) {
	if len(payloads[0]) == 0 {
		payloads = payloads[1:]
	}
	if s.rest = payloads; len(payloads) == 0 {
		s.Release()
	}
}

// Write seals payloads into as few chunks and writes as they fit.
func (s *stream) Write(payload net.Buffers) error {
	buffer := s.buffers.Take()
	defer s.buffers.Return(buffer)
	out := buffer[:0]
	for _, plain := range payload {
		for len(plain) > 0 {
			size := min(len(plain), s.writeChunk)
			if cap(out)-len(out) < lengthSize+size+tagSize {
				if _, err := s.TCPConn.Write(out); err != nil {
					return err
				}
				out = out[:0]
			}
			if s.outgoing.aead == nil {
				out, s.outgoing = s.begin(out, size)
			} else {
				out = s.outgoing.sealSize(out, size)
			}
			out = s.outgoing.seal(out, plain[:size])
			plain = plain[size:]
		}
	}
	_, err := s.TCPConn.Write(out)
	return err
}

// close returns the buffer when nobody will call Next any more.
func (s *stream) close() {
	s.buffers.Return(s.chunk)
	s.chunk, s.start, s.end = nil, 0, 0
}
