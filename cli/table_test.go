package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"stile/wire"
)

func TestTablesAlignWideText(t *testing.T) {
	var out bytes.Buffer
	(&Terminal{Out: &out}).printTable([]string{"ID", "NAME", "CITY"}, [][]string{
		{"1", "Амстердам 1", "Амстердам"},
		{"20", "東京", "Tōkyō"},
		{"3", "cafe\u0301", ""},
		{"4", "evil\x1b[2J\r\n\u202e", "x"},
	})
	want := `ID  NAME         CITY
1   Амстердам 1  Амстердам
20  東京         Tōkyō
3   ` + "cafe\u0301" + `
4   evil[2J      x
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHumanBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 1_234_567: "1.2 MB",
		107_374_182_400: "107.4 GB", 1<<63 - 1: "9.2 EB",
	} {
		if got := humanBytes(n); got != want {
			t.Errorf("humanBytes(%d) = %q, want %q", n, got, want)
		}
	}
	if got := milliseconds(12_345 * time.Microsecond); got != "12 ms" {
		t.Errorf("milliseconds = %q", got)
	}
}

// People are not shown the code of an unknown country.
func TestServersOfAnUnknownCountry(t *testing.T) {
	var out bytes.Buffer
	(&Terminal{Out: &out}).printServers([]wire.Server{
		{ID: 1, Name: "local", Country: "ZZ", CountryCode: "ZZ", Status: "online", Accessible: true},
		{ID: 2, Name: "Amsterdam 1", Country: "Netherlands", CountryCode: "NL", Status: "online", Accessible: true},
	}, nil)
	for want, s := range map[string]wire.Server{
		"local": {Name: "local", Country: "ZZ", CountryCode: "ZZ"}, "local (Riga)": {Name: "local", City: "Riga", Country: "ZZ", CountryCode: "ZZ"},
		"a (NL)": {Name: "a", Country: "NL", CountryCode: "NL"}, "a (B, NL)": {Name: "a", City: "B", Country: "NL", CountryCode: "NL"},
	} {
		if got := describe(&s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if found := matching([]wire.Server{{ID: 1, Name: "local"}}, ""); len(found) != 0 {
		t.Errorf("nothing names %+v", found)
	}
	if said := out.String(); strings.Contains(said, "ZZ") || !strings.Contains(said, "unknown") || !strings.Contains(said, "NL Netherlands") {
		t.Error(said)
	}
}
