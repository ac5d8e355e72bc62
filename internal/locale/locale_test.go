package locale

import (
	"strings"
	"testing"
	"testing/fstest"
)

// catalogue makes the files of a room.
func catalogue(ru, en string) fstest.MapFS {
	return fstest.MapFS{"messages/ru.json": {Data: []byte(ru)}, "messages/en.json": {Data: []byte(en)}}
}

const (
	daysRU = `{"left.one":"Остался :count день","left.few":"Осталось :count дня","left.many":"Осталось :count дней","left.other":"Осталось :count дня","hi":"Привет, :name"}`
	daysEN = `{"left.one":":count day left","left.few":":count days left","left.many":":count days left","left.other":":count days left","hi":"Hello :name"}`
)

func testTexts(t testing.TB) *Texts {
	t.Helper()
	texts, err := Load(catalogue(daysRU, daysEN))
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestACatalogueIsWhole(t *testing.T) {
	for _, c := range []struct{ ru, en, want string }{
		{`{"a":"а"}`, `{}`, "a is in ru and not in en"},
		{`{}`, `{"a":"a"}`, "a is in en and not in ru"},
		{`{"a":"а :b"}`, `{"a":"a"}`, "a has the places"},
		{`{"a":" "}`, `{"a":"a"}`, "a is empty in ru"},
		{`{"a":"а","a":"б"}`, `{"a":"a"}`, "messages/ru.json: a stands there twice"},
		{`{"a.one":"а"}`, `{"a.one":"a"}`, "a has no form .many in en"},
		{`{"a":1}`, `{}`, "want a text"},
		{`{"a":{}}`, `{}`, "want a text"},
		{`[]`, `{}`, "no object"},
		{`{"a":"а"`, `{}`, "EOF"},
	} {
		if _, err := Load(catalogue(c.ru, c.en)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s: %v, want %q", c.ru, c.en, err, c.want)
		}
	}
	if _, err := Load(fstest.MapFS{}); err == nil {
		t.Error("no files, no error")
	}
}

func TestIn(t *testing.T) {
	texts := testTexts(t)
	if got := texts.In(Russian, "hi", "name", "Иван") + texts.In(English, "no.such") + texts.In(English, "hi"); got != "Привет, Иванno.suchHello :name" {
		t.Error(got)
	}
	if texts.Has(English, "left") || !texts.Has(English, "left.one") {
		t.Error("Has")
	}
}

func TestPlurals(t *testing.T) {
	texts := testTexts(t)
	for n, want := range map[int]string{
		0: "Осталось 0 дней", 1: "Остался 1 день", 2: "Осталось 2 дня", 5: "Осталось 5 дней", 11: "Осталось 11 дней", 12: "Осталось 12 дней",
		21: "Остался 21 день", 22: "Осталось 22 дня", 25: "Осталось 25 дней", 101: "Остался 101 день", 111: "Осталось 111 дней",
	} {
		if got := texts.Count(Russian, "left", n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 days left", 1: "1 day left", 2: "2 days left", 21: "21 days left"} {
		if got := texts.Count(English, "left", n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestPreferred(t *testing.T) {
	texts := testTexts(t)
	for header, want := range map[string]Lang{
		"": Russian, "ru": Russian, "ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7": Russian, "en": English, "en-US,en;q=0.9": English,
		"en-GB": English, "en;q=0.5, ru": Russian, "ru;q=0.5, en": English, "de": Russian, "de, en;q=0.5": English, "*": Russian,
		"fr-FR, fr;q=0.9, en;q=0.8, *;q=0.5": English, "EN-us": English, "en;q=0": Russian, "\xff\x00": Russian, "english": English,
		strings.Repeat("en,", 200): Russian, ",,,": Russian, "uk-UA,uk;q=0.9": Russian, "ru,en": Russian, "!": Russian,
	} {
		if got := texts.Preferred(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestCountries(t *testing.T) {
	texts := testTexts(t)
	for code, want := range map[string][2]string{
		"NL": {"Нидерланды", "Netherlands"}, "US": {"Соединенные Штаты", "United States"}, "ZZ": {}, "": {}, "??": {},
	} {
		if got := [2]string{texts.Country(Russian, code), texts.Country(English, code)}; got != want {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

// FuzzPreferred: whatever a client asks for, it gets one of the languages.
func FuzzPreferred(f *testing.F) {
	for _, seed := range []string{"", "ru", "en", "en-US,en;q=0.9", "ru;q=0.1,en", "*", "de,*;q=0.5", "\xff", "en-", "ru,en;q=1", "x-y-z;q=0.0001"} {
		f.Add(seed)
	}
	texts := testTexts(f)
	f.Fuzz(func(t *testing.T, header string) {
		if got, ok := Known(string(texts.Preferred(header))); !ok {
			t.Errorf("%q: %q", header, got)
		}
	})
}
