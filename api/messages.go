package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

//go:embed messages/*.json
var messageFiles embed.FS

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

// country returns a country's name, or the code when there is none.
func (t *texts) country(l lang, code string) string {
	region, err := language.ParseRegion(code)
	if err != nil || !region.IsCountry() {
		return code
	}
	return t.regions[l].Name(region)
}
