package web

import (
	"encoding/json"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stile/internal/locale"
	"stile/vpn"
)

// Both languages have the same messages with the same places, each once and none empty, and all forms of plural.
func TestMessagesMatch(t *testing.T) {
	must(loadTexts())(t)
}

// Each message that a page or a script names is there.
func TestMessagesAreThere(t *testing.T) {
	texts := must(loadTexts())(t)
	named := regexp.MustCompile(`\b[tn]\(? ?"([a-z_.]+[a-z_])"`)
	files := must(filepath.Glob("pages/*.html"))(t)
	files = append(files, must(filepath.Glob("ui/*.ts"))(t)...)
	files = append(files, must(filepath.Glob("*.go"))(t)...)
	count := 0
	for _, file := range files {
		for _, m := range named.FindAllStringSubmatch(string(must(os.ReadFile(file))(t)), -1) {
			count++
			if !texts.Has(locale.English, m[1]) && !texts.Has(locale.English, m[1]+".other") {
				t.Errorf("%s names the message %q, which is not there", file, m[1])
			}
		}
	}
	if count < 100 {
		t.Errorf("found only %d names of messages", count)
	}
	// Those whose names are put together.
	for _, code := range []vpn.Code{
		vpn.CodeInvalidCredentials, vpn.CodeAccountBlocked, vpn.CodeDeviceNotFound, vpn.CodeDeviceMismatch, vpn.CodeSubscriptionRequired,
		vpn.CodeSubscriptionExpired, vpn.CodeTrafficQuotaExceeded, vpn.CodePlanUpgradeRequired, vpn.CodeServerNotFound, vpn.CodeProtocolUnavailable,
		vpn.CodeServerOffline, vpn.CodeServerFull, vpn.CodeServerMaintenance, vpn.CodeNotFound, vpn.CodeForbidden,
	} {
		if !texts.Has(locale.English, "refusal."+string(code)) {
			t.Errorf("no message for %s", code)
		}
	}
}

func TestPlurals(t *testing.T) {
	texts := must(loadTexts())(t)
	for n, want := range map[int]string{
		0: "Осталось 0 дней", 1: "Остался 1 день", 2: "Осталось 2 дня", 5: "Осталось 5 дней", 11: "Осталось 11 дней", 12: "Осталось 12 дней",
		21: "Остался 21 день", 22: "Осталось 22 дня", 25: "Осталось 25 дней", 101: "Остался 101 день", 111: "Осталось 111 дней",
	} {
		if got := texts.Count(locale.Russian, "overview.days_left", n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 days left", 1: "1 day left", 2: "2 days left", 21: "21 days left"} {
		if got := texts.Count(locale.English, "overview.days_left", n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestSizesAndDates(t *testing.T) {
	texts := must(loadTexts())(t)
	for bytes, want := range map[int64]string{
		0: "0 Б", 999: "999 Б", 1000: "1 кБ", 1500: "1,5 кБ", 999_499: "999 кБ", 999_500: "1 МБ", 9_960_000: "10 МБ", 31_400_000_000: "31 ГБ", 2e15: "2 ПБ", 9e18: "9000 ПБ",
	} {
		if got := strings.ReplaceAll(texts.size(locale.Russian, bytes), "\u00a0", " "); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
	at := time.Date(2026, 12, 5, 23, 59, 0, 0, time.UTC)
	if got := strings.ReplaceAll(texts.date(locale.Russian, at), "\u00a0", " ") + "; " + strings.ReplaceAll(texts.date(locale.English, at), "\u00a0", " ") + "; " + texts.date(locale.English, time.Time{}); got != "5 декабря 2026; 5 December 2026; never" {
		t.Error(got)
	}
}

func TestPreferredLanguage(t *testing.T) {
	texts := must(loadTexts())(t)
	for header, want := range map[string]locale.Lang{
		"": locale.Russian, "en": locale.English, "en-GB,ru;q=0.5": locale.English, "de": locale.Russian, "de,en;q=0.5": locale.English, "ru,en": locale.Russian, "!": locale.Russian,
		strings.Repeat("en,", 100): locale.Russian,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", header)
		if got := texts.preferred(r); got != want {
			t.Errorf("%.20q: %s, want %s", header, got, want)
		}
	}
}

// No page holds what its policy would refuse: a script, a style or a handler of its own.
func TestPagesHoldNoScript(t *testing.T) {
	refused := regexp.MustCompile(`(?i)<style|<script(?:[^>]*>[^<]|>)|\sstyle=|\son[a-z]+=|javascript:`)
	err := fs.WalkDir(pageFiles, "pages", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := pageFiles.ReadFile(file)
		if found := refused.Find(raw); found != nil {
			t.Errorf("%s: %s", file, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Every call of the API's document has its words in both languages.
func TestReferenceIsTranslated(t *testing.T) {
	texts := must(loadTexts())(t)
	r := must(newReference(must(os.ReadFile("../api/openapi.yaml"))(t), texts))(t)
	calls := 0
	for _, s := range r.sections {
		if !texts.Has(locale.English, "docs.tag."+s.Tag) {
			t.Errorf("the tag %s has no words", s.Tag)
		}
		for _, o := range s.Operations {
			calls++
			if !texts.Has(locale.English, "docs.op."+o.ID+".title") {
				t.Errorf("the call %s has no words: add docs.op.%s to messages/", o.ID, o.ID)
			}
			for _, a := range o.Answers {
				if !texts.Has(locale.English, "docs.status."+a.Status) {
					t.Errorf("%s: the status %s has no words", o.ID, a.Status)
				}
				if len(a.Examples) == 0 && a.Status != "204" && a.Status != "304" && o.ID != "openapi" {
					t.Errorf("%s: the status %s has no example", o.ID, a.Status)
				}
			}
			for _, sample := range o.samples("https://vpn.example.net") {
				if !strings.Contains(sample.Code, "https://vpn.example.net/") || strings.Contains(sample.Code, "{id}") || o.NeedsToken != strings.Contains(sample.Code, sampleToken) {
					t.Errorf("%s in %s:\n%s", o.ID, sample.Name, sample.Code)
				}
			}
		}
	}
	if calls < 17 {
		t.Errorf("%d calls", calls)
	}
	var document map[string]any
	if err := json.Unmarshal(r.json, &document); err != nil {
		t.Error(err)
	}
}

func FuzzReference(f *testing.F) {
	f.Add([]byte("openapi: 3.1.0\npaths: {/x: {get: {operationId: x, responses: {\"200\": {description: y}}}}}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("paths: {/x: {get: &g {parameters: [*g]}}}\n"))
	texts, err := loadTexts()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		r, err := newReference(document, texts)
		if err == nil && !json.Valid(r.json) {
			t.Errorf("%q became %q", document, r.json)
		}
	})
}

func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/docs", "//x", `/\x`, "/\tx", "x", "/x?y#z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := localPath(path, "/")
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.HasPrefix(got, `/\`) || strings.ContainsAny(got, "\r\n") {
			t.Errorf("%q became %q", path, got)
		}
	})
}
