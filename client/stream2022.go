package client

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
)

const (
	tagSize = 16
	// maxChunk is the most that one chunk may hold, and writeChunk what is put into one, in bytes.
	maxChunk   = 0xFFFF
	writeChunk = 0x8000
)

// chain seals or opens the messages of one direction, each under the next nonce.
type chain struct {
	aead  cipher.AEAD
	nonce [12]byte
}

func (c *chain) advance() {
	for i := range c.nonce {
		if c.nonce[i]++; c.nonce[i] != 0 {
			return
		}
	}
}

func (c *chain) seal(dst, plain []byte) []byte {
	dst = c.aead.Seal(dst, c.nonce[:], plain, nil)
	c.advance()
	return dst
}

func (c *chain) open(sealed []byte) ([]byte, error) {
	plain, err := c.aead.Open(sealed[:0], c.nonce[:], sealed, nil)
	c.advance()
	return plain, err
}

// stream2022 is one TCP connection under AEAD-2022. Reading and writing may run at the same time, each from one goroutine.
type stream2022 struct {
	*net.TCPConn
	tunnel *tunnel2022

	salt     []byte // of the request
	outgoing chain
	sealed   []byte // room for what is written

	incoming chain // its cipher is nil until the answer begins
	room     []byte
	rest     []byte // what was opened and not read yet
}

// ask sends the request: salt, identity, and the two headers (SIP022, section 3.1.3; SIP023).
func (s *stream2022) ask(target []byte) error {
	s.salt = make([]byte, len(s.tunnel.user))
	_, _ = rand.Read(s.salt) // never fails: the program would crash instead
	hash := s.tunnel.hash
	newBlock(subkey(identityContext, s.tunnel.identity, s.salt)).Encrypt(hash[:], hash[:])
	out := append(append([]byte(nil), s.salt...), hash[:]...)
	s.outgoing.aead = sessionCipher(s.tunnel.user, s.salt)
	header := appendPadding(target)
	fixed := binary.BigEndian.AppendUint16(s.tunnel.appendStamp([]byte{fromClient}), uint16(len(header)))
	_, err := s.TCPConn.Write(s.outgoing.seal(s.outgoing.seal(out, fixed), header))
	return err
}

// Write implements net.Conn.
func (s *stream2022) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		n := min(len(b), writeChunk)
		s.sealed = s.outgoing.seal(s.sealed[:0], binary.BigEndian.AppendUint16(nil, uint16(n)))
		s.sealed = s.outgoing.seal(s.sealed, b[:n])
		if _, err := s.TCPConn.Write(s.sealed); err != nil {
			return written, err
		}
		written, b = written+n, b[n:]
	}
	return written, nil
}

// ReadFrom keeps io.Copy from writing past the cipher.
func (s *stream2022) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{s}, r)
}

// WriteTo keeps io.Copy from reading past the cipher.
func (s *stream2022) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{s})
}

// Read implements net.Conn.
func (s *stream2022) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		size, err := s.nextSize()
		if err != nil {
			return 0, err
		}
		if s.rest, err = s.next(size); err != nil {
			return 0, cutShort(err)
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// cutShort tells an end within a chunk from one between two.
func cutShort(err error) error {
	if err == io.EOF { //nolint:errorlint // io.ReadFull's own
		return io.ErrUnexpectedEOF
	}
	return err
}

// next reads and opens a message.
func (s *stream2022) next(size int) ([]byte, error) {
	if s.room == nil {
		s.room = make([]byte, maxChunk+tagSize)
	}
	sealed := s.room[:size+tagSize]
	if _, err := io.ReadFull(s.TCPConn, sealed); err != nil {
		return nil, err
	}
	return s.incoming.open(sealed)
}

// nextSize reads how long the next chunk is: before the first it stands in the header of the answer (SIP022, section 3.1.4).
func (s *stream2022) nextSize() (int, error) {
	if s.incoming.aead != nil {
		length, err := s.next(2)
		if err != nil {
			return 0, err
		}
		return int(binary.BigEndian.Uint16(length)), nil
	}
	salt := make([]byte, len(s.salt))
	if _, err := io.ReadFull(s.TCPConn, salt); err != nil {
		return 0, err
	}
	s.incoming.aead = sessionCipher(s.tunnel.user, salt)
	header, err := s.next(1 + stampSize + len(salt) + 2)
	if err != nil {
		return 0, cutShort(err)
	}
	request := header[1+stampSize : 1+stampSize+len(salt)]
	if header[0] != fromServer || !s.tunnel.isFresh(header[1:]) || string(request) != string(s.salt) {
		return 0, errNotForUs
	}
	return int(binary.BigEndian.Uint16(header[len(header)-2:])), nil
}
