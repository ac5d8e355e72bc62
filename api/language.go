package api

import (
	"strings"

	"golang.org/x/text/language"
)

// lang is a language of the service.
type lang string

// The languages. Russian is what a client gets that asks for no language, or for one that is not there.
const (
	russian lang = "ru"
	english lang = "en"
)

// languages are what is there, the default first.
var languages = []language.Tag{language.Russian, language.English}

// maxAcceptLanguage bounds what is parsed of the header, in bytes.
const maxAcceptLanguage = 256

// language returns the language of the answer.
func (x *exchange) language() lang {
	if x.lang == "" {
		x.lang = x.api.texts.preferred(x.r.Header.Get("Accept-Language"))
	}
	return x.lang
}

// preferred returns the language that an Accept-Language header prefers.
func (t *texts) preferred(header string) lang {
	if header == "" || len(header) > maxAcceptLanguage {
		return russian
	}
	// Nearly every client names its language first and without a weight.
	if first, _, _ := strings.Cut(header, ","); !strings.Contains(first, ";") {
		switch primary, _, _ := strings.Cut(first, "-"); primary {
		case "ru":
			return russian
		case "en":
			return english
		}
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return russian
	}
	// The matcher guesses when it has no match at all; only a match counts here.
	if _, i, confidence := t.matcher.Match(tags...); i == 1 && confidence != language.No {
		return english
	}
	return russian
}
