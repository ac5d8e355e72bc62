package vpn

import "strings"

// Scopes are what a token is good for, within what its user may do: a set of bits. The zero Scopes is that of devices and of
// tokens of earlier releases, and the same as ScopeAccount.
type Scopes uint8

// The scopes.
const (
	// ScopeAccount uses the service as its user, and has all the narrower scopes of that.
	ScopeAccount Scopes = 1 << iota
	// ScopeAdminRead looks at what the user's role may see.
	ScopeAdminRead
	// ScopeAdminWrite changes what the user's role may change, and looks too.
	ScopeAdminWrite
	// ScopeAccountRead looks at the account: its user, subscription, traffic and devices.
	ScopeAccountRead
	// ScopeServersRead looks at the servers.
	ScopeServersRead
	// ScopeKeys makes access keys and reads those there are.
	ScopeKeys
	// scopeUnknown stands for those of a later release: good for nothing here.
	scopeUnknown
)

// scopeWords are the scopes as they are written, in the order of their bits.
var scopeWords = []string{"account", "admin:read", "admin:write", "account:read", "servers:read", "keys"}

// ParseScopes reads words parted by spaces; "" is the zero Scopes. ok is false when one is unknown.
func ParseScopes(text string) (s Scopes, ok bool) {
	ok = true
	for _, word := range strings.Fields(text) {
		found := scopeUnknown
		for i, w := range scopeWords {
			if w == word {
				found = 1 << i
			}
		}
		s |= found
		ok = ok && found != scopeUnknown
	}
	return s, ok
}

// String writes what ParseScopes reads.
func (s Scopes) String() string {
	var words []string
	for i, w := range scopeWords {
		if s&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// Has reports whether all of some scopes are held.
func (s Scopes) Has(all Scopes) bool {
	if s == 0 {
		s = ScopeAccount
	}
	if s&ScopeAccount != 0 {
		s |= ScopeAccountRead | ScopeServersRead | ScopeKeys
	}
	return s&all == all
}

// Words are the scopes as they are written; the zero Scopes is "account".
func (s Scopes) Words() []string {
	if s == 0 {
		s = ScopeAccount
	}
	return strings.Fields(s.String())
}

// IsAdmin reports whether any scope of administration is held.
func (s Scopes) IsAdmin() bool { return s&(ScopeAdminRead|ScopeAdminWrite) != 0 }

// reaches reports whether a token is good for a level. One of a device never is.
func (t *Token) reaches(l Level) bool {
	if t.DeviceID != 0 {
		return false
	}
	return t.Scopes.Has(ScopeAdminWrite) || (l <= Read && t.Scopes.Has(ScopeAdminRead))
}
