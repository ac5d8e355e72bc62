package vpn

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

// The table is what CLDR, as x/text has it, calls a country, without what ISO 3166-1 has withdrawn, only reserved, or left to
// private use but for Kosovo.
func TestCountriesAreThoseOfISO3166(t *testing.T) {
	unassigned := strings.Fields("AC AN BU CP CQ CS CT DD DG DY EA EZ FQ FX HV IC JT MI NH NQ NT PC PU PZ RH SU TA TP UK UN VD WK YD YU ZR")
	count := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			region, err := language.ParseRegion(code)
			want := err == nil && region.IsCountry() && !slices.Contains(unassigned, code) || code == UnknownCountry
			if isCountry(code) != want {
				t.Errorf("%s: %v, want %v", code, !want, want)
			}
			if want {
				count++
			}
		}
	}
	if count != 249+2 {
		t.Errorf("%d countries, with Kosovo and the unknown one", count)
	}
	for _, code := range []string{"", "N", "NLD", "nl", "D ", " A", "D A"} {
		if isCountry(code) {
			t.Errorf("%q is a country", code)
		}
	}
}
