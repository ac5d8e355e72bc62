package laravel

import (
	"bufio"
	"errors"
	"strings"
)

// maxValue bounds a value of a row, in bytes; no column that is read holds as much.
const maxValue = 64 << 10

var errTooLong = errors.New("laravel: a value is longer than 64 KiB")

// kind is what a token is.
type kind byte

const (
	word       kind = iota // a bare word or number
	quotedName             // `name`
	text                   // 'text', as it reads
	punct                  // any other character
)

// token is one token of SQL.
type token struct {
	kind kind
	text string
}

func (t token) is(c byte) bool { return t.kind == punct && len(t.text) == 1 && t.text[0] == c }
func (t token) isWord(keyword string) bool {
	return t.kind == word && strings.EqualFold(t.text, keyword)
}

// scanner takes SQL in MySQL's dialect apart.
type scanner struct {
	r    *bufio.Reader
	line int
	buf  []byte
}

// token returns the next token, or io.EOF. Without keep it has no text longer than one character.
func (s *scanner) token(keep bool) (token, error) {
	for {
		c, err := s.byte()
		if err != nil {
			return token{}, err
		}
		if isBlank, err := s.skipBlank(c); err != nil {
			return token{}, err
		} else if isBlank {
			continue
		}
		switch {
		case c == '\'' || c == '"':
			return s.quoted(c, text, keep)
		case c == '`':
			return s.quoted(c, quotedName, keep)
		case isWordByte(c):
			return s.bare(c, keep)
		default:
			return token{kind: punct, text: string(rune(c))}, nil
		}
	}
}

// skipBlank skips what a character begins, and reports whether that is nothing but space or a comment.
func (s *scanner) skipBlank(c byte) (bool, error) {
	switch {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		return true, nil
	case c == '#' || c == '-' && (s.peekIs("- ") || s.peekIs("-\n")):
		return true, s.skipLine()
	case c == '/' && s.peekIs("*"):
		return true, s.skipComment()
	}
	return false, nil
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c == '.' || c >= 0x80
}

func (s *scanner) byte() (byte, error) {
	c, err := s.r.ReadByte()
	if c == '\n' {
		s.line++
	}
	return c, err
}

func (s *scanner) peekIs(next string) bool {
	b, _ := s.r.Peek(len(next))
	return string(b) == next
}

func (s *scanner) skipLine() error {
	for {
		if c, err := s.byte(); err != nil || c == '\n' {
			return err
		}
	}
}

// skipComment reads up to the end of a comment whose first character is read.
func (s *scanner) skipComment() error {
	if _, err := s.byte(); err != nil { // the asterisk, which must not end it too
		return err
	}
	for {
		c, err := s.byte()
		if err != nil {
			return noEOF(err)
		}
		if c == '*' && s.peekIs("/") {
			_, err := s.byte()
			return err
		}
	}
}

// quoted reads up to the closing quote. Two quotes stand for one; in texts, a backslash escapes (MySQL 8.0 manual, 9.1.1).
func (s *scanner) quoted(quote byte, k kind, keep bool) (token, error) {
	s.buf = s.buf[:0]
	for {
		c, err := s.byte()
		if err != nil {
			return token{}, noEOF(err)
		}
		switch {
		case c == quote && s.peekIs(string(rune(quote))):
			_, err = s.byte()
		case c == quote:
			return token{kind: k, text: string(s.buf)}, nil
		case c == '\\' && k == text:
			if c, err = s.byte(); err == nil {
				c = unescaped(c)
			}
		}
		switch {
		case err != nil:
			return token{}, noEOF(err)
		case !keep:
		case len(s.buf) >= maxValue:
			return token{}, errTooLong
		default:
			s.buf = append(s.buf, c)
		}
	}
}

// unescaped is what a character stands for behind a backslash.
func unescaped(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 26
	default:
		return c
	}
}

// bare reads a word or a number whose first character is read.
func (s *scanner) bare(first byte, keep bool) (token, error) {
	s.buf = append(s.buf[:0], first)
	for {
		b, err := s.r.Peek(1)
		if err != nil || !isWordByte(b[0]) {
			return token{kind: word, text: string(s.buf)}, nil //nolint:nilerr // the next call meets the error again
		}
		c, _ := s.byte()
		if len(s.buf) >= maxValue {
			return token{}, errTooLong
		}
		if keep || len(s.buf) < 64 {
			s.buf = append(s.buf, c)
		}
	}
}
