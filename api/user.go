package api

import (
	"context"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"stile/vpn"
	"stile/wire"
)

// userAnswer is a user who writes himself: the route is called often, and reflection shows there.
type userAnswer struct{ *vpn.User }

// user returns the signed-in user.
func (a *API) user(_ context.Context, actor *vpn.Actor, _ nothing) (userAnswer, error) {
	return userAnswer{&actor.User}, nil
}

func (u userAnswer) send(x *exchange) {
	x.body = appendUser(x.body[:0], u.User)
	x.send(http.StatusOK, x.body)
}

// appendUser writes what wire.User would.
func appendUser(b []byte, u *vpn.User) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, u.ID, 10)
	b = append(b, `,"name":`...)
	b = appendString(b, u.Name)
	b = append(b, `,"email":`...)
	b = appendString(b, u.Email)
	b = append(b, `,"email_verified_at":`...)
	b = appendTime(b, u.EmailVerifiedAt)
	b = append(b, `,"status":`...)
	b = appendString(b, string(u.Status))
	b = append(b, `,"locale":`...)
	b = appendString(b, u.Locale)
	b = append(b, `,"created_at":`...)
	b = appendTime(b, u.CreatedAt)
	b = append(b, `,"updated_at":`...)
	b = appendTime(b, u.UpdatedAt)
	return append(b, '}')
}

// userOf is a user as the API shows one.
func userOf(u *vpn.User) wire.User {
	return wire.User{
		ID: u.ID, Name: u.Name, Email: u.Email, EmailVerifiedAt: wire.SecondsOrNull(u.EmailVerifiedAt), Status: string(u.Status),
		Locale: u.Locale, CreatedAt: wire.Seconds(u.CreatedAt), UpdatedAt: wire.Seconds(u.UpdatedAt),
	}
}

// appendTime writes an instant, null for the zero one.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, time.RFC3339)
	return append(b, '"')
}

// appendString writes a JSON string as sendJSON does: only what must be escaped is.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	if isPlain(s) {
		b = append(b, s...)
		return append(b, '"')
	}
	for _, r := range s { // what is no UTF-8 comes as U+FFFD
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		case r == '\u2028':
			b = append(b, `\u2028`...)
		case r == '\u2029':
			b = append(b, `\u2029`...)
		case r < 0x80:
			b = append(b, byte(r))
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// closeString ends a JSON string whose text was written as it is from an index on, behind its quotation mark.
func closeString(b []byte, from int) []byte {
	for _, c := range b[from:] {
		if c < 0x20 || c >= 0x80 || c == '"' || c == '\\' {
			text := string(b[from:])
			return appendString(b[:from-1], text)
		}
	}
	return append(b, '"')
}

// isPlain reports whether a text needs no look at its characters. 0xe2 begins those that JavaScript takes for line ends.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c == 0xe2 {
			return false
		}
	}
	return utf8.ValidString(s)
}
