package wire

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestFieldErrorsKeepTheirOrder(t *testing.T) {
	want := `{"message":"m","errors":{"password":["b <c>"],"email":["a","d"]}}`
	var p Problem
	if err := json.Unmarshal([]byte(want), &p); err != nil {
		t.Fatal(err)
	}
	fields := FieldErrors{{"password", []string{"b <c>"}}, {"email", []string{"a", "d"}}}
	if !reflect.DeepEqual(p.Errors, fields) {
		t.Fatalf("read %+v, want %+v", p.Errors, fields)
	}
	raw, err := p.Errors.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var again FieldErrors
	if err := again.UnmarshalJSON(raw); err != nil || !reflect.DeepEqual(again, fields) {
		t.Fatalf("%s read back as %+v, %v", raw, again, err)
	}
	if again.UnmarshalJSON([]byte(`[1]`)) == nil || again.UnmarshalJSON([]byte(`{"a":1}`)) == nil {
		t.Fatal("a list, or a field without a list, was read as errors of fields")
	}
	if err := again.UnmarshalJSON([]byte(`null`)); err != nil || again != nil {
		t.Fatalf("null read as %v, %v", again, err)
	}
}

func TestProblemsHaveOnlyWhatTheyNeed(t *testing.T) {
	for want, p := range map[string]Problem{
		`{"error":"e"}`:   {Error: "e"},
		`{"message":"m"}`: {Message: "m"},
		`{"message":"m","code":"c","details":{"available":[]}}`: {
			Message: "m", Code: "c", Details: &ProblemDetails{Available: []string{}},
		},
	} {
		if got, err := json.Marshal(p); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

func TestTimesAreWholeSecondsInUTC(t *testing.T) {
	at := time.Date(2026, 9, 1, 3, 0, 0, 999_999_999, time.FixedZone("", 3*3600))
	raw, err := json.Marshal([]any{Seconds(at), SecondsOrNull(at), SecondsOrNull(time.Time{})})
	if want := `["2026-09-01T00:00:00Z","2026-09-01T00:00:00Z",null]`; err != nil || string(raw) != want {
		t.Fatalf("got %s, %v; want %s", raw, err, want)
	}
}
