// Package locale is what the rooms that speak to people share of languages: which there are, which of them a request
// prefers, and the messages of a room in all of them, with plurals and the names of countries. The messages themselves
// belong to the rooms; dates, sizes and pages do so too.
package locale

import (
	"strings"

	"golang.org/x/text/language"
)

// Lang is a language of the service, by its BCP 47 name.
type Lang string

// The languages. Russian is what they get who ask for no language, or for one that is not there.
const (
	Russian Lang = "ru"
	English Lang = "en"
)

// All returns the languages, the default first.
func All() []Lang { return []Lang{Russian, English} }

// Known returns the language of a name.
func Known(name string) (Lang, bool) {
	l := Lang(name)
	return l, l == Russian || l == English
}

// tag is the language as golang.org/x/text knows it.
func (l Lang) tag() language.Tag {
	if l == English {
		return language.English
	}
	return language.Russian
}

// maxHeader bounds what is parsed of an Accept-Language header, in bytes.
const maxHeader = 256

// Preferred returns the language that an Accept-Language header prefers (RFC 9110 section 12.5.4).
func (t *Texts) Preferred(header string) Lang {
	if header == "" || len(header) > maxHeader {
		return Russian
	}
	// Nearly every client names its language first and without a weight.
	if first, _, _ := strings.Cut(header, ","); !strings.Contains(first, ";") {
		primary, _, _ := strings.Cut(first, "-")
		if l, ok := Known(primary); ok {
			return l
		}
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return Russian
	}
	// The matcher guesses when it has no match at all; only a match counts here.
	if _, i, confidence := t.matcher.Match(tags...); confidence != language.No {
		return All()[i]
	}
	return Russian
}
