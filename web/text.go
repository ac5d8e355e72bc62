package web

import (
	"embed"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/internal/locale"
)

//go:embed messages/*.json
var messageFiles embed.FS

// texts are the messages of the pages, and days and sizes in words.
type texts struct{ *locale.Texts }

func loadTexts() (*texts, error) {
	loaded, err := locale.Load(messageFiles)
	return &texts{loaded}, err
}

// preferred returns the language that a visitor chose, or else the one that the browser prefers.
func (t *texts) preferred(r *http.Request) locale.Lang {
	if cookie, err := r.Cookie(langCookie); err == nil {
		if l, ok := locale.Known(cookie.Value); ok {
			return l
		}
	}
	return t.Preferred(r.Header.Get("Accept-Language"))
}

// date is a day, such as "5 декабря 2026".
func (t *texts) date(l locale.Lang, at time.Time) string {
	if at.IsZero() {
		return t.In(l, "date.never")
	}
	return t.dayOfMonth(l, at) + "\u00a0" + strconv.Itoa(at.Year())
}

// dayOfMonth is a day of this year, such as "5 декабря".
func (t *texts) dayOfMonth(l locale.Lang, at time.Time) string {
	return strconv.Itoa(at.Day()) + "\u00a0" + t.In(l, "date.month."+strconv.Itoa(int(at.Month())))
}

// ago is how long something is ago, in its largest unit; a dash for what never was.
func (t *texts) ago(l locale.Lang, at, now time.Time) string {
	age := max(0, now.Sub(at))
	switch {
	case at.IsZero():
		return "—"
	case age < time.Minute:
		return t.In(l, "ago.now")
	case age < time.Hour:
		return t.Count(l, "ago.minutes", int(age/time.Minute))
	case age < 24*time.Hour:
		return t.Count(l, "ago.hours", int(age/time.Hour))
	default:
		return t.Count(l, "ago.days", int(age/(24*time.Hour)))
	}
}

// sizeUnits are powers of ten, as plans count traffic.
var sizeUnits = []string{"b", "kb", "mb", "gb", "tb", "pb"}

// size is a number of bytes in the unit that suits it, with three digits at most.
func (t *texts) size(l locale.Lang, bytes int64) string {
	value, unit := float64(bytes), 0
	for value >= 999.5 && unit < len(sizeUnits)-1 {
		value, unit = value/1000, unit+1
	}
	digits := 0
	if unit > 0 && value < 10 {
		digits = 1
	}
	number := strings.TrimSuffix(strconv.FormatFloat(value, 'f', digits, 64), ".0")
	if l == locale.Russian {
		number = strings.ReplaceAll(number, ".", ",")
	}
	return number + "\u00a0" + t.In(l, "size."+sizeUnits[unit])
}

// t is a message in the visitor's language.
func (v *visit) t(key string, pairs ...string) string { return v.site.texts.In(v.lang, key, pairs...) }

// n is the form of a message that goes with a number, in the visitor's language.
func (v *visit) n(key string, n int) string { return v.site.texts.Count(v.lang, key, n) }
