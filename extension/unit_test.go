package extension_test

import (
	"testing"

	"stile/extension/bundle"
)

// The parts that know no browser, in a browser's engine.
func TestUnits(t *testing.T) {
	script, err := bundle.Test("test/unit.ts")
	if err != nil {
		t.Fatal(err)
	}
	p := startChromium(t, "").blank()
	found := value[struct {
		Passed   int
		Failures []string
	}](t, p, "(() => {"+script+"\n; return results })()")
	for _, failure := range found.Failures {
		t.Error(failure)
	}
	if found.Passed < 15 {
		t.Errorf("only %d tests passed", found.Passed)
	}
}
