package extension_test

import (
	"testing"

	"stile/extension/bundle"
	"stile/internal/testbrowser"
)

// The parts that need no extension's rights, in a browser's engine: what knows no browser at all, and the worker in a browser of
// which the test decides when it answers.
func TestUnits(t *testing.T) {
	const config = `export default { api: "https://api.test", name: "Stile", language: "en" };`
	worker, err := bundle.Test("src/background.ts", config)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := bundle.Test("test/all.ts", config)
	if err != nil {
		t.Fatal(err)
	}
	p := testbrowser.StartChromium(t, testbrowser.ChromiumConfig{}).Open("about:blank")
	found := testbrowser.Value[struct {
		Passed   int
		Failures []string
	}](t, p, "(() => { globalThis.workerSource = "+testbrowser.Quote(worker)+";\n"+tests+"\n; return globalThis.results })()")
	for _, failure := range found.Failures {
		t.Error(failure)
	}
	if found.Passed < 17 {
		t.Errorf("only %d tests passed", found.Passed)
	}
}
