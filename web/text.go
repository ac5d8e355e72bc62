package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

//go:embed messages/*.json
var messageFiles embed.FS

// lang is a language of the service.
type lang string

// The languages. Russian is what a visitor gets that asks for no language, or for one that is not there.
const (
	russian lang = "ru"
	english lang = "en"
)

// languages are what is there, the default first.
var languages = []language.Tag{language.Russian, language.English}

// maxAcceptLanguage bounds what is parsed of the header, in bytes.
const maxAcceptLanguage = 256

// knownLang returns the language of a name.
func knownLang(name string) (lang, bool) {
	l := lang(name)
	return l, l == russian || l == english
}

// texts are the messages by language and key. A :word in a message is a place to fill.
type texts struct {
	messages map[lang]map[string]string
	regions  map[lang]display.Namer
	matcher  language.Matcher
}

func loadTexts() (*texts, error) {
	t := &texts{
		messages: make(map[lang]map[string]string), matcher: language.NewMatcher(languages),
		regions: map[lang]display.Namer{russian: display.Regions(language.Russian), english: display.Regions(language.English)},
	}
	for _, l := range []lang{russian, english} {
		raw, err := messageFiles.ReadFile("messages/" + string(l) + ".json")
		if err != nil {
			return nil, err
		}
		messages := make(map[string]string)
		if err := json.Unmarshal(raw, &messages); err != nil {
			return nil, fmt.Errorf("messages/%s.json: %w", l, err)
		}
		t.messages[l] = messages
	}
	return t, nil
}

// preferred returns the language that a visitor chose, or else the one that the browser prefers.
func (t *texts) preferred(r *http.Request) lang {
	if cookie, err := r.Cookie(langCookie); err == nil {
		if l, ok := knownLang(cookie.Value); ok {
			return l
		}
	}
	header := r.Header.Get("Accept-Language")
	if header == "" || len(header) > maxAcceptLanguage {
		return russian
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

// has reports whether there is a message.
func (t *texts) has(l lang, key string) bool {
	_, ok := t.messages[l][key]
	return ok
}

// in returns a message with its places filled by pairs of name and value. A key that is not there is its own message.
func (t *texts) in(l lang, key string, pairs ...string) string {
	message, ok := t.messages[l][key]
	if !ok {
		return key
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		message = strings.ReplaceAll(message, ":"+pairs[i], pairs[i+1])
	}
	return message
}

// count returns the form of a message that goes with a number.
func (t *texts) count(l lang, key string, n int) string {
	tag := language.Russian
	if l == english {
		tag = language.English
	}
	var form string
	switch plural.Cardinal.MatchPlural(tag, n, 0, 0, 0, 0) {
	case plural.One:
		form = "one"
	case plural.Few:
		form = "few"
	case plural.Many:
		form = "many"
	default:
		form = "other"
	}
	return t.in(l, key+"."+form, "count", strconv.Itoa(n))
}

// country returns a country's name, or "" when there is none.
func (t *texts) country(l lang, code string) string {
	region, err := language.ParseRegion(code)
	if err != nil || !region.IsCountry() {
		return ""
	}
	return t.regions[l].Name(region)
}

// date is a day, such as "5 декабря 2026".
func (t *texts) date(l lang, at time.Time) string {
	if at.IsZero() {
		return t.in(l, "date.never")
	}
	return t.dayOfMonth(l, at) + "\u00a0" + strconv.Itoa(at.Year())
}

// dayOfMonth is a day of this year, such as "5 декабря".
func (t *texts) dayOfMonth(l lang, at time.Time) string {
	return strconv.Itoa(at.Day()) + "\u00a0" + t.in(l, "date.month."+strconv.Itoa(int(at.Month())))
}

// ago is how long something is ago, in its largest unit; a dash for what never was.
func (t *texts) ago(l lang, at, now time.Time) string {
	age := max(0, now.Sub(at))
	switch {
	case at.IsZero():
		return "—"
	case age < time.Minute:
		return t.in(l, "ago.now")
	case age < time.Hour:
		return t.count(l, "ago.minutes", int(age/time.Minute))
	case age < 24*time.Hour:
		return t.count(l, "ago.hours", int(age/time.Hour))
	default:
		return t.count(l, "ago.days", int(age/(24*time.Hour)))
	}
}

// sizeUnits are powers of ten, as plans count traffic.
var sizeUnits = []string{"b", "kb", "mb", "gb", "tb", "pb"}

// size is a number of bytes in the unit that suits it, with three digits at most.
func (t *texts) size(l lang, bytes int64) string {
	value, unit := float64(bytes), 0
	for value >= 999.5 && unit < len(sizeUnits)-1 {
		value, unit = value/1000, unit+1
	}
	digits := 0
	if unit > 0 && value < 10 {
		digits = 1
	}
	number := strings.TrimSuffix(strconv.FormatFloat(value, 'f', digits, 64), ".0")
	if l == russian {
		number = strings.ReplaceAll(number, ".", ",")
	}
	return number + "\u00a0" + t.in(l, "size."+sizeUnits[unit])
}

// t is a message in the visitor's language.
func (v *visit) t(key string, pairs ...string) string { return v.site.texts.in(v.lang, key, pairs...) }

// n is the form of a message that goes with a number, in the visitor's language.
func (v *visit) n(key string, n int) string { return v.site.texts.count(v.lang, key, n) }
