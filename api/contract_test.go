package api

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/internal/password"
	"stile/vpn"
)

// contractCase is one line of testdata: a request and what must come back.
type contractCase struct {
	ID            string             `json:"id"`
	Method        string             `json:"method"`
	Path          string             `json:"path"`
	Headers       map[string]string  `json:"headers"`
	Body          string             `json:"body"`
	Status        int                `json:"status"`
	JSON          json.RawMessage    `json:"json"`
	Match         string             `json:"match"`
	BaseHeaders   bool               `json:"base_headers"`
	ExpectHeaders map[string]*string `json:"expect_headers"` // null = must be missing
	Note          string             `json:"note"`
}

// TestContract makes the calls of the documentation (cases.jsonl) and those it leaves open (more.jsonl), in their order,
// on both engines, and holds every request and answer against openapi.yaml.
func TestContract(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			w := setupWith(t, engine.dsn(t), password.New(password.Options{}))
			document := newDocument(t)
			var fill *strings.Replacer
			for _, c := range contractCases(t) {
				if fill == nil && !strings.HasPrefix(c.ID, "login-") {
					// The first cases sign the documented device in again and again, each time with a new token.
					fill = strings.NewReplacer(w.substitutions()...)
				}
				fill := cmp.Or(fill, new(strings.Replacer))
				t.Run(c.ID, func(t *testing.T) {
					r := must(http.NewRequestWithContext(t.Context(), c.Method, w.server.URL+fill.Replace(c.Path), strings.NewReader(fill.Replace(c.Body))))(t)
					for name, v := range c.Headers {
						r.Header.Set(name, fill.Replace(v))
					}
					again := r.Clone(t.Context())
					answer := w.send(r)
					c.check(t, answer, fill)
					again.Body = io.NopCloser(strings.NewReader(fill.Replace(c.Body)))
					document.check(t, again, answer)
				})
			}
		})
	}
}

func contractCases(t *testing.T) []contractCase {
	t.Helper()
	var cases []contractCase
	seen := map[string]bool{}
	for _, file := range []string{"testdata/cases.jsonl", "testdata/more.jsonl"} {
		raw := must(os.ReadFile(file))(t)
		for line := range strings.Lines(string(raw)) {
			var c contractCase
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatalf("%s: %v: %s", file, err, line)
			}
			if seen[c.ID] || (c.JSON == nil && c.Match == "" && c.ExpectHeaders == nil) {
				t.Fatalf("%s: %s is there twice or asserts nothing", file, c.ID)
			}
			seen[c.ID] = true
			cases = append(cases, c)
		}
	}
	return cases
}

// substitutions make what the cases name in braces.
func (w *world) substitutions() []string {
	w.t.Helper()
	ctx, shell := w.t.Context(), vpn.Shell()
	token, device := w.signIn("user@example.com", "uuid-1-1-1")
	_, other := w.signIn("user@example.com", "uuid-other")
	token2, _ := w.signIn("user@example.com", "uuid-2-2-2")
	_, foreign := w.signIn("stranger@example.com", "uuid-stranger")
	expired := must(w.service.AddToken(ctx, shell, w.user.ID, "old", w.now().Add(-time.Hour)))(w.t)
	apiToken := must(w.service.AddToken(ctx, shell, w.user.ID, "script", time.Time{}))(w.t)
	gone := must(w.service.AddUser(ctx, shell, vpn.NewAccount{Email: "gone@example.com", Password: examplePassword}))(w.t)
	orphan, _ := w.signIn("gone@example.com", "uuid-gone")
	if err := w.service.RemoveUser(ctx, shell, gone.ID); err != nil {
		w.t.Fatal(err)
	}
	_, plain, _ := strings.Cut(apiToken, "|")
	_, address, err := w.store.Addressed(ctx, device)
	if err != nil {
		w.t.Fatal(err)
	}
	_, recovery := w.careful("careful@example.com")
	voucher := must(w.service.AddVouchers(ctx, shell, vpn.NewVouchers{Plan: w.plan.Code, Periods: 1, Uses: 1, Count: 1}))(w.t)[0]
	return []string{
		"{TOKEN}", token, "{TOKEN2}", token2, "{PLAIN}", plain, "{EXPIRED}", expired, "{ORPHAN}", orphan, "{API_TOKEN}", apiToken,
		"{DEVICE}", id(device), "{OTHER_DEVICE}", id(other), "{FOREIGN_DEVICE}", id(foreign), "{UUID}", "uuid-1-1-1",
		"{ADDRESS}", address.Reveal(), "{RECOVERY}", recovery[0], "{VOUCHER}", strings.ToLower(voucher),
		"{SERVER}", id(w.servers[0].ID), "{BETTER_SERVER}", id(w.servers[1].ID), "{CLOSED_SERVER}", id(w.servers[2].ID),
		"{255}", strings.Repeat("я", 255), "{256}", strings.Repeat("я", 256),
	}
}

func (c *contractCase) check(t *testing.T, r reply, fill *strings.Replacer) {
	t.Helper()
	if r.StatusCode != c.Status {
		t.Fatalf("status %d, want %d: %s", r.StatusCode, c.Status, r.body)
	}
	if c.JSON != nil {
		var got, want any
		if err := json.Unmarshal([]byte(r.body), &got); err != nil {
			t.Fatalf("%v: %s", err, r.body)
		}
		if err := json.Unmarshal([]byte(fill.Replace(string(c.JSON))), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %s\nwant %s", r.body, fill.Replace(string(c.JSON)))
		}
	}
	if c.Match != "" && !regexp.MustCompile(fill.Replace(c.Match)).MatchString(r.body) {
		t.Errorf("%q does not match %s", r.body, c.Match)
	}
	if c.BaseHeaders {
		for name, want := range map[string]string{"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if got := r.Header.Get("Cache-Control"); got != "no-cache, private" && !(strings.HasSuffix(c.Path, "/key") && got == "no-cache, private, no-store") {
			t.Errorf("Cache-Control: %q", got)
		}
	}
	for name, want := range c.ExpectHeaders {
		got, isThere := r.Header[http.CanonicalHeaderKey(name)]
		switch {
		case want == nil && isThere:
			t.Errorf("%s is there: %q", name, got)
		case want != nil && (!isThere || got[0] != *want):
			t.Errorf("%s: %q, want %q", name, got, *want)
		}
	}
	if hasCode := r.Header.Get("X-Error-Code") != ""; hasCode != (r.StatusCode >= 400) && !strings.Contains(c.Path, "/ssconf/") && !strings.Contains(c.Path, "/sub/") {
		t.Errorf("status %d with X-Error-Code %s", r.StatusCode, strconv.Quote(r.Header.Get("X-Error-Code")))
	}
	if r.Header.Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
}
