package locale

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// Texts are the messages of a room by language and key. A :word in a message is a place to fill. A message that counts
// stands there once for each form of plural, under its key and ".one", ".few", ".many", ".other".
type Texts struct {
	messages map[Lang]map[string]string
	regions  map[Lang]display.Namer
	matcher  language.Matcher
}

// forms are the forms of plural of all languages, as the ends of keys.
var forms = []string{".one", ".few", ".many", ".other"}

// Load reads messages/ru.json and messages/en.json of a room: flat objects of keys and messages. It fails when one of
// them is not whole: both must have the same keys with the same places, each once, none empty, and all forms of what
// counts.
func Load(files fs.FS) (*Texts, error) {
	t := &Texts{messages: make(map[Lang]map[string]string), regions: make(map[Lang]display.Namer)}
	var tags []language.Tag
	for _, l := range All() {
		file := "messages/" + string(l) + ".json"
		raw, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}
		if t.messages[l], err = parse(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		t.regions[l] = display.Regions(l.tag())
		tags = append(tags, l.tag())
	}
	t.matcher = language.NewMatcher(tags)
	return t, t.check()
}

// parse reads a flat object of texts. Unlike json.Unmarshal it refuses a key that stands there twice.
func parse(raw []byte) (map[string]string, error) {
	messages := make(map[string]string)
	d := json.NewDecoder(bytes.NewReader(raw))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.Join(errors.New("no object of messages"), err)
	}
	for d.More() {
		var words [2]string
		for i := range words {
			token, err := d.Token()
			if err != nil {
				return nil, err
			}
			word, isText := token.(string)
			if !isText {
				return nil, fmt.Errorf("%v after %q: want a text", token, words[0])
			}
			words[i] = word
		}
		if _, isTwice := messages[words[0]]; isTwice {
			return nil, fmt.Errorf("%s stands there twice", words[0])
		}
		messages[words[0]] = words[1]
	}
	_, err := d.Token()
	return messages, err
}

// place is a place to fill in a message.
var place = regexp.MustCompile(`:[a-z]+`)

func places(message string) []string {
	return slices.Compact(slices.Sorted(slices.Values(place.FindAllString(message, -1))))
}

// check returns what is not whole.
func (t *Texts) check() error {
	var errs []error
	for _, l := range All() {
		for key, message := range t.messages[l] {
			if strings.TrimSpace(message) == "" {
				errs = append(errs, fmt.Errorf("%s is empty in %s", key, l))
			}
			for _, other := range All() {
				if theirs, isThere := t.messages[other][key]; !isThere {
					errs = append(errs, fmt.Errorf("%s is in %s and not in %s", key, l, other))
				} else if a, b := places(message), places(theirs); l < other && !slices.Equal(a, b) {
					errs = append(errs, fmt.Errorf("%s has the places %v in %s and %v in %s", key, a, l, b, other))
				}
			}
			if counted, ok := strings.CutSuffix(key, ".one"); ok {
				for _, form := range forms {
					if !t.Has(l, counted+form) {
						errs = append(errs, fmt.Errorf("%s has no form %s in %s", counted, form, l))
					}
				}
			}
		}
	}
	return errors.Join(errs...)
}

// Has reports whether there is a message.
func (t *Texts) Has(l Lang, key string) bool {
	_, ok := t.messages[l][key]
	return ok
}

// In returns a message with its places filled by pairs of name and value. A key that is not there is its own message.
func (t *Texts) In(l Lang, key string, pairs ...string) string {
	message, ok := t.messages[l][key]
	if !ok {
		return key
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		message = strings.ReplaceAll(message, ":"+pairs[i], pairs[i+1])
	}
	return message
}

// Count returns the form of a message that goes with a number, which fills the place :count.
func (t *Texts) Count(l Lang, key string, n int) string {
	form := ".other"
	switch plural.Cardinal.MatchPlural(l.tag(), n, 0, 0, 0, 0) {
	case plural.One:
		form = ".one"
	case plural.Few:
		form = ".few"
	case plural.Many:
		form = ".many"
	default:
	}
	return t.In(l, key+form, "count", strconv.Itoa(n))
}

// Country returns the name of a country by its ISO 3166 code, or "" when there is none.
func (t *Texts) Country(l Lang, code string) string {
	region, err := language.ParseRegion(code)
	if err != nil || !region.IsCountry() {
		return ""
	}
	return t.regions[l].Name(region)
}
